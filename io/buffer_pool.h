// Buffers that are allocated and populated once, then reused: fresh pages are dear on virtual
// machines, and a pool of fixed size is what bounds the memory of a pipeline.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "common/bytes.h"

namespace pitr {

class BufferPool;

// A buffer on loan from its pool, given back when it is destroyed. `size` counts the bytes in use.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() { return data_; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  void set_size(std::size_t size) { size_ = size; }

  std::span<std::byte> space() { return {data_, capacity_}; }
  ByteSpan bytes() const { return {data_, size_}; }

 private:
  friend class BufferPool;
  void release();

  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Thread-safe. Must outlive its buffers.
class BufferPool {
 public:
  BufferPool(std::size_t count, std::size_t capacity_bytes);
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  BufferPool(BufferPool&&) = delete;
  BufferPool& operator=(BufferPool&&) = delete;
  ~BufferPool();

  // Waits until a buffer is free. Its data are aligned to a page.
  Buffer acquire();

 private:
  friend class Buffer;
  void give_back(std::byte* data);

  std::size_t stride_ = 0;
  std::size_t region_bytes_ = 0;
  std::byte* region_ = nullptr;
  std::size_t capacity_ = 0;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::byte*> free_;
};

}  // namespace pitr
