#include "io/uring.h"

#include <cassert>
#include <cerrno>
#include <cstdlib>

#include <unistd.h>

#include <liburing.h>

#include "common/log.h"

namespace pitr {

namespace {

constexpr unsigned kQueueDepth = 32;

// Takes the result of one transfer into the operation; true when nothing of it is left to do.
bool accept_result(RingOperation& operation, std::int64_t result) {
  if (result < 0) {
    if (result == -EINTR || result == -EAGAIN) return false;
    operation.error = static_cast<int>(-result);
    return true;
  }
  if (operation.kind == RingOperation::Kind::kSync) return true;
  operation.transferred += static_cast<std::size_t>(result);
  if (operation.transferred == operation.length) return true;
  if (result > 0) return false;
  // Nothing transferred: the end of the file for a read, no room for a write.
  if (operation.kind == RingOperation::Kind::kWrite) operation.error = ENOSPC;
  return true;
}

std::int64_t call_plainly(const RingOperation& operation) {
  std::byte* data = operation.data + operation.transferred;
  const std::size_t length = operation.length - operation.transferred;
  const auto offset = static_cast<off_t>(operation.offset + operation.transferred);
  std::int64_t result = 0;
  switch (operation.kind) {
    case RingOperation::Kind::kRead:
      result = pread(operation.descriptor, data, length, offset);
      break;
    case RingOperation::Kind::kWrite:
      result = pwrite(operation.descriptor, data, length, offset);
      break;
    case RingOperation::Kind::kSync:
      result = fsync(operation.descriptor);
      break;
  }
  return result < 0 ? -errno : result;
}

}  // namespace

struct Ring::Queue {
  io_uring ring{};
};

Ring::Ring(RingMode mode) {
  if (mode == RingMode::kOff) return;
  auto queue = std::make_unique<Queue>();
  const int result = io_uring_queue_init(kQueueDepth, &queue->ring, 0);
  if (result < 0) {
    // EPERM and ENOSYS where a container or a sysctl forbids it, ENOMEM under a low memory lock
    // limit of older kernels: the work is done all the same.
    log_debug("io_uring is not available here; using plain reads and writes");
    return;
  }
  queue_ = std::move(queue);
}

Ring::~Ring() {
  if (!queue_) return;
  // The kernel still writes to the buffers of what is in flight.
  while (in_flight_ > 0)
    accept_completion();
  io_uring_queue_exit(&queue_->ring);
}

bool Ring::uses_io_uring() const { return queue_ != nullptr; }

void Ring::start(RingOperation& operation) {
  operation.transferred = 0;
  operation.error = 0;
  operation.done = false;
  if (!queue_) {
    while (!accept_result(operation, call_plainly(operation))) {
    }
    operation.done = true;
    return;
  }
  while (in_flight_ >= kQueueDepth)
    accept_completion();
  ++in_flight_;
  submit(operation);
}

void Ring::submit(RingOperation& operation) {
  io_uring_sqe* entry = io_uring_get_sqe(&queue_->ring);
  assert(entry != nullptr);  // never more in flight than the queue is deep
  std::byte* data = operation.data + operation.transferred;
  const auto length = static_cast<unsigned>(operation.length - operation.transferred);
  const std::uint64_t offset = operation.offset + operation.transferred;
  switch (operation.kind) {
    case RingOperation::Kind::kRead:
      io_uring_prep_read(entry, operation.descriptor, data, length, offset);
      break;
    case RingOperation::Kind::kWrite:
      io_uring_prep_write(entry, operation.descriptor, data, length, offset);
      break;
    case RingOperation::Kind::kSync:
      io_uring_prep_fsync(entry, operation.descriptor, 0);
      break;
  }
  io_uring_sqe_set_data(entry, &operation);
  int result = 0;
  do {
    result = io_uring_submit(&queue_->ring);
  } while (result == -EINTR || result == -EAGAIN || result == -EBUSY);
  if (result < 0) {
    // The kernel did not take the entry and it cannot be taken back: it becomes a no-op, and the
    // work is done by a plain call.
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, nullptr);
    while (!accept_result(operation, call_plainly(operation))) {
    }
    operation.done = true;
    --in_flight_;
  }
}

void Ring::accept_completion() {
  io_uring_cqe* entry = nullptr;
  int result = 0;
  do {
    result = io_uring_wait_cqe(&queue_->ring, &entry);
  } while (result == -EINTR || result == -EAGAIN);
  if (result < 0) std::abort();  // only for a broken ring; buffers must not be freed under it
  auto* operation = static_cast<RingOperation*>(io_uring_cqe_get_data(entry));
  const std::int64_t transferred = entry->res;
  io_uring_cqe_seen(&queue_->ring, entry);
  if (operation == nullptr) return;
  if (accept_result(*operation, transferred)) {
    operation->done = true;
    --in_flight_;
  } else {
    submit(*operation);
  }
}

void Ring::wait(RingOperation& operation) {
  while (!operation.done)
    accept_completion();
}

}  // namespace pitr
