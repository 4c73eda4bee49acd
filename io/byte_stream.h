// Where the pipeline's bytes come from and go to. storage/ implements both for every place.
#pragma once

#include <cstdint>
#include <string>

#include "common/bytes.h"
#include "io/buffer_pool.h"

namespace pitr {

// A sink holds at most this many buffers before append() waits for one.
constexpr std::size_t kMostBuffersHeld = 4;

// Takes bytes from front to back. Used by one thread.
class ByteSink {
 public:
  ByteSink() = default;
  ByteSink(const ByteSink&) = delete;
  ByteSink& operator=(const ByteSink&) = delete;
  ByteSink(ByteSink&&) = delete;
  ByteSink& operator=(ByteSink&&) = delete;
  virtual ~ByteSink() = default;

  virtual void append(Buffer buffer) = 0;
};

// Bytes that can be read anywhere. read() may be called from several threads.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  ByteSource(ByteSource&&) = delete;
  ByteSource& operator=(ByteSource&&) = delete;
  virtual ~ByteSource() = default;

  virtual std::uint64_t size() const = 0;
  // Fills all of `bytes`; throws kCorrupt when the source ends before.
  virtual void read(std::uint64_t offset, std::span<std::byte> bytes) const = 0;
  virtual const std::string& name() const = 0;  // for messages
};

}  // namespace pitr
