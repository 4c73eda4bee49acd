// Reads a part of a file from its beginning to its end, some buffers ahead of who takes them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "io/buffer_pool.h"
#include "io/file.h"
#include "io/uring.h"

namespace pitr {

// `direct` is null, or open_direct() of the source: then that is read, and the source only where it
// cannot be.
struct ReadAheadPlan {
  const File& source;
  const File* direct = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::size_t reads = 1;  // under way at once
};

// Used by the thread that the ring belongs to.
class ReadAhead {
 public:
  // `take_buffer` may wait; it is called before each read.
  ReadAhead(const ReadAheadPlan& plan, Ring& ring, std::function<Buffer()> take_buffer);
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ReadAhead(ReadAhead&&) = delete;
  ReadAhead& operator=(ReadAhead&&) = delete;
  // Waits for what is under way: the kernel owns those buffers.
  ~ReadAhead();

  // The next bytes: a buffer that is full, or holds the last of them. Less than that when the file
  // ended before; without data when all was taken.
  Buffer next();

 private:
  struct Read {
    Buffer buffer;
    RingOperation operation;
  };

  void start();
  void read_otherwise(RingOperation& operation) const;

  ReadAheadPlan plan_;
  Ring& ring_;
  std::function<Buffer()> take_buffer_;
  std::uint64_t started_ = 0;
  std::deque<std::unique_ptr<Read>> reads_;
};

}  // namespace pitr
