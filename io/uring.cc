#include "io/uring.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>

#include <unistd.h>

#include <liburing.h>

#include "common/error.h"
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

void perform_plainly(RingOperation& operation) {
  while (!accept_result(operation, call_plainly(operation))) {
  }
  operation.done = true;
}

// The rest of an operation, as the kernel wants to be told of it.
void prepare_entry(RingOperation& operation, io_uring_sqe* entry) {
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
}

// The kernel may still write to buffers that an Error would free.
[[noreturn]] void give_up(int error) {
  log_error({.kind = ErrorKind::kSystem,
             .message = "could not wait for io_uring: " + std::generic_category().message(error)});
  std::abort();
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
    perform_plainly(operation);
    return;
  }
  while (in_flight_ >= kQueueDepth)
    accept_completion();
  ++in_flight_;
  submit(operation);
}

void Ring::submit(RingOperation& operation) {
  io_uring* ring = &queue_->ring;
  // Null when the queue is full of what the kernel did not take.
  io_uring_sqe* entry = io_uring_get_sqe(ring);
  if (entry != nullptr) {
    prepare_entry(operation, entry);
    int taken = 0;
    do {
      taken = io_uring_submit(ring);
    } while (taken > 0 && io_uring_sq_ready(ring) > 0);
    // Entries are taken in order and this one is the last: nothing waits, so it is in flight.
    if (io_uring_sq_ready(ring) == 0) return;
    // An entry that was not taken cannot be taken back: it becomes a no-op.
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, nullptr);
  }
  perform_plainly(operation);
  --in_flight_;
}

void Ring::accept_completion() {
  constexpr int kMostFailures = 6000;  // a minute
  io_uring_cqe* entry = nullptr;
  int failures = 0;
  for (int result = -1; result < 0;) {
    result = io_uring_wait_cqe(&queue_->ring, &entry);
    if (result >= 0 || result == -EINTR || result == -EAGAIN) continue;
    // What is in flight ends all the same, and is found without a wait.
    if (++failures == kMostFailures) give_up(-result);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  auto* operation = static_cast<RingOperation*>(io_uring_cqe_get_data(entry));
  const std::int64_t transferred = entry->res;
  io_uring_cqe_seen(&queue_->ring, entry);
  if (operation == nullptr) return;
  if (transferred == -EAGAIN) {
    // What the kernel would not wait for it would not wait for the next time either.
    perform_plainly(*operation);
    --in_flight_;
  } else if (accept_result(*operation, transferred)) {
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
