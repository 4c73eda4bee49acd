// Reads, writes and fsyncs that overlap: io_uring, or plain calls where io_uring is forbidden (as
// in many containers) or switched off. Both give the same guarantees; a short read or write is
// always gone on with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/config.h"
#include "io/file.h"

namespace pitr {

// One request. It must stay where it is, and so must its bytes, from start() until it is done: the
// kernel owns them meanwhile.
struct RingOperation {
  enum class Kind : std::uint8_t { kRead, kWrite, kSync };

  Kind kind = Kind::kRead;
  int descriptor = -1;
  std::byte* data = nullptr;
  std::size_t length = 0;
  std::uint64_t offset = 0;

  // Results. A read that met the end of the file transfers less than `length`.
  std::size_t transferred = 0;
  int error = 0;  // errno value; 0: none
  bool done = false;
};

// Not thread-safe: one ring belongs to one thread. The destructor waits for what is in flight.
class Ring {
 public:
  explicit Ring(RingMode mode);
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  Ring(Ring&&) = delete;
  Ring& operator=(Ring&&) = delete;
  ~Ring();

  void start(RingOperation& operation);
  // Returns when the operation is done. Never throws: look at its error.
  void wait(RingOperation& operation);

  bool uses_io_uring() const;

 private:
  struct Queue;

  void submit(RingOperation& operation);
  void accept_completion();

  std::unique_ptr<Queue> queue_;  // null: plain calls
  unsigned in_flight_ = 0;
};

}  // namespace pitr
