// Tells on stderr how far a long piece of work is: in place on a terminal, a line every 30 s
// elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pitr {

// Used by one thread.
class Progress {
 public:
  // `total_bytes` 0: not known.
  Progress(std::string what, std::uint64_t total_bytes);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  Progress(Progress&&) = delete;
  Progress& operator=(Progress&&) = delete;
  ~Progress();  // clears the terminal's line

  void show(std::uint64_t bytes_done);

 private:
  using Clock = std::chrono::steady_clock;

  std::string what_;
  std::uint64_t total_bytes_;
  bool on_terminal_;
  bool line_open_ = false;
  Clock::time_point started_ = Clock::now();
  Clock::time_point shown_;
};

}  // namespace pitr
