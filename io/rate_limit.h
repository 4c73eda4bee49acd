// Keeps the bytes that several threads move below a rate.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>

namespace pitr {

// Thread-safe. A rate of 0 limits nothing.
class RateLimit {
 public:
  explicit RateLimit(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // Sleeps until `bytes` more may have been moved.
  void wait_for(std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::uint64_t bytes_per_second_;
  std::mutex mutex_;
  Clock::time_point free_at_ = Clock::now();
};

}  // namespace pitr
