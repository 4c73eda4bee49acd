#include "io/rate_limit.h"

#include <algorithm>
#include <thread>

namespace pitr {

void RateLimit::wait_for(std::uint64_t bytes) {
  if (bytes_per_second_ == 0) return;
  Clock::time_point until;
  {
    const std::lock_guard lock(mutex_);
    const std::chrono::duration<double> cost(static_cast<double>(bytes) /
                                             static_cast<double>(bytes_per_second_));
    free_at_ = std::max(free_at_, Clock::now()) + std::chrono::duration_cast<Clock::duration>(cost);
    until = free_at_;
  }
  std::this_thread::sleep_until(until);
}

}  // namespace pitr
