#include "io/buffer_pool.h"

#include <new>
#include <utility>

#include <sys/mman.h>

namespace pitr {

Buffer::Buffer(Buffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Buffer::release() {
  if (pool_ != nullptr) pool_->give_back(std::exchange(data_, nullptr));
  pool_ = nullptr;
}

BufferPool::BufferPool(std::size_t count, std::size_t capacity_bytes) : capacity_(capacity_bytes) {
  constexpr std::size_t kPage = 4096;
  stride_ = (capacity_bytes + kPage - 1) / kPage * kPage;
  region_bytes_ = stride_ * count;
  void* region = mmap(nullptr, region_bytes_, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (region == MAP_FAILED) throw std::bad_alloc();
  region_ = static_cast<std::byte*>(region);
  free_.reserve(count);
  for (std::size_t i = count; i > 0; --i)
    free_.push_back(region_ + (i - 1) * stride_);
}

BufferPool::~BufferPool() { munmap(region_, region_bytes_); }

Buffer BufferPool::acquire() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return !free_.empty(); });
  Buffer buffer;
  buffer.pool_ = this;
  buffer.data_ = free_.back();
  buffer.capacity_ = capacity_;
  free_.pop_back();
  return buffer;
}

void BufferPool::give_back(std::byte* data) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(data);
  }
  freed_.notify_one();
}

}  // namespace pitr
