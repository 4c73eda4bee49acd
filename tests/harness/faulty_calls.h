// Makes an operation on a file fail, or transfer less than was asked for. The linker puts this in
// the place of the calls that io/ makes (--wrap, see tests/CMakeLists.txt): in programs of the
// tests only, so nothing of it can be reached in a program that is installed.
#pragma once

#include <cstdint>

namespace pitr::testing {

struct Fault {
  enum class Kind : std::uint8_t {
    kError,      // an operation moves nothing and ends with `error`
    kShort,      // an operation moves half of its bytes
    kNotTaken,   // io_uring_submit() takes nothing and returns -error
    kTakenLate,  // the same, and the next one takes only what this one did not
    kWaitFails,  // the wait for a completion returns -error at once
    kStat,       // stat, lstat, fstat or fstatat fails with `error`; no entry of a directory tells
                 // what it is, so that they are all asked
  };

  Kind kind = Kind::kError;
  int error = 0;
  // Operations (pread, pwrite, write, fsync, whether called plainly or given to an io_uring),
  // submissions, waits and stats are counted from 1, each by themselves, over all threads.
  std::uint64_t number = 1;
  bool from_there_on = false;  // not only once
};

// While it exists its fault happens. One at a time.
class FaultInjection {
 public:
  explicit FaultInjection(const Fault& fault);
  FaultInjection(const FaultInjection&) = delete;
  FaultInjection& operator=(const FaultInjection&) = delete;
  FaultInjection(FaultInjection&&) = delete;
  FaultInjection& operator=(FaultInjection&&) = delete;
  ~FaultInjection();

  // Whether there were enough operations for it to happen.
  bool met() const;
  // How many there were so far.
  std::uint64_t operations_seen() const;
};

}  // namespace pitr::testing
