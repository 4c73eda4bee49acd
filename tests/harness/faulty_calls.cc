#include "harness/faulty_calls.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <dirent.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <liburing.h>

// What the linker calls the functions that it has replaced.
extern "C" {
ssize_t real_pread(int descriptor, void* bytes, size_t length,
                   off64_t offset) asm("__real_pread64");
ssize_t real_pwrite(int descriptor, const void* bytes, size_t length,
                    off64_t offset) asm("__real_pwrite64");
ssize_t real_write(int descriptor, const void* bytes, size_t length) asm("__real_write");
int real_fsync(int descriptor) asm("__real_fsync");
int real_submit(io_uring* ring) asm("__real_io_uring_submit");
int real_get_completion(io_uring* ring, io_uring_cqe** entry, unsigned submit, unsigned count,
                        sigset_t* mask) asm("__real___io_uring_get_cqe");
int real_stat(const char* path, struct stat* status) asm("__real_stat64");
int real_lstat(const char* path, struct stat* status) asm("__real_lstat64");
int real_fstat(int descriptor, struct stat* status) asm("__real_fstat64");
int real_fstatat(int folder, const char* path, struct stat* status,
                 int flags) asm("__real_fstatat64");
dirent* real_readdir(DIR* directory) asm("__real_readdir64");

ssize_t faulty_pread(int descriptor, void* bytes, size_t length,
                     off64_t offset) asm("__wrap_pread64");
ssize_t faulty_checked_pread(int descriptor, void* bytes, size_t length, off64_t offset,
                             size_t room) asm("__wrap___pread64_chk");
ssize_t faulty_pwrite(int descriptor, const void* bytes, size_t length,
                      off64_t offset) asm("__wrap_pwrite64");
ssize_t faulty_write(int descriptor, const void* bytes, size_t length) asm("__wrap_write");
int faulty_fsync(int descriptor) asm("__wrap_fsync");
int faulty_submit(io_uring* ring) asm("__wrap_io_uring_submit");
int faulty_get_completion(io_uring* ring, io_uring_cqe** entry, unsigned submit, unsigned count,
                          sigset_t* mask) asm("__wrap___io_uring_get_cqe");
int faulty_stat(const char* path, struct stat* status) asm("__wrap_stat64");
int faulty_lstat(const char* path, struct stat* status) asm("__wrap_lstat64");
int faulty_fstat(int descriptor, struct stat* status) asm("__wrap_fstat64");
int faulty_fstatat(int folder, const char* path, struct stat* status,
                   int flags) asm("__wrap_fstatat64");
dirent* faulty_readdir(DIR* directory) asm("__wrap_readdir64");
}

namespace pitr::testing {

namespace {

Fault wanted;
std::atomic<bool> armed = false;
std::atomic<bool> happened = false;
std::atomic<std::uint64_t> operations = 0;
std::atomic<std::uint64_t> submissions = 0;
std::atomic<std::uint64_t> waits = 0;
std::atomic<std::uint64_t> stats = 0;

bool is_due(std::atomic<std::uint64_t>& counter) {
  const std::uint64_t number = ++counter;
  if (number != wanted.number && (number < wanted.number || !wanted.from_there_on)) return false;
  happened = true;
  return true;
}

// The error of the next operation, or 0 with `length` cut; nothing where it is left alone.
std::optional<int> next_operation(std::size_t& length) {
  if (!armed) return std::nullopt;
  const bool is_short = wanted.kind == Fault::Kind::kShort;
  if ((wanted.kind != Fault::Kind::kError && !is_short) || !is_due(operations)) return std::nullopt;
  if (is_short) length = std::max<std::size_t>(length / 2, 1);
  return is_short ? 0 : wanted.error;
}

template <typename Call>
auto faulty(std::size_t length, const Call& call) -> decltype(call(length)) {
  const std::optional<int> error = next_operation(length);
  if (error.value_or(0) == 0) return call(length);
  errno = *error;
  return -1;
}

template <typename Call>
int faulty_status(const Call& call) {
  if (!armed || wanted.kind != Fault::Kind::kStat || !is_due(stats)) return call();
  errno = wanted.error;
  return -1;
}

// The completion of an entry that was made a no-op, which ends while it is submitted.
void end_with(io_uring* ring, std::uint64_t user_data, int error) {
  unsigned head = 0;
  io_uring_cqe* entry = nullptr;
  io_uring_for_each_cqe(ring, head, entry) {
    if (entry->user_data != user_data) continue;
    entry->res = -error;
    return;
  }
  std::fprintf(stderr, "faulty_calls: the no-op has not ended\n");
  std::abort();
}

// Makes of each entry that waits to be submitted what the fault wants. Returns whose completion is
// to report an error.
std::optional<std::uint64_t> prepare_entries(const io_uring_sq& queue) {
  std::optional<std::uint64_t> failing;
  for (unsigned i = queue.sqe_head; i != queue.sqe_tail; ++i) {
    io_uring_sqe& entry = queue.sqes[i & queue.ring_mask];
    if (entry.opcode == IORING_OP_NOP) continue;
    std::size_t length = entry.len;
    const std::optional<int> error = next_operation(length);
    if (!error) continue;
    if (*error != 0) {
      failing = entry.user_data;
      io_uring_prep_nop(&entry);
      entry.user_data = *failing;
    } else if (entry.opcode != IORING_OP_FSYNC) {
      entry.len = static_cast<unsigned>(length);
    }
  }
  return failing;
}

// All entries but the last.
int submit_without_the_last(io_uring* ring) {
  --ring->sq.sqe_tail;
  const int result = real_submit(ring);
  ++ring->sq.sqe_tail;
  return result;
}

}  // namespace

FaultInjection::FaultInjection(const Fault& fault) {
  wanted = fault;
  happened = false;
  operations = 0;
  submissions = 0;
  waits = 0;
  stats = 0;
  armed = true;
}

FaultInjection::~FaultInjection() { armed = false; }

bool FaultInjection::met() const { return happened; }

std::uint64_t FaultInjection::operations_seen() const { return operations; }

}  // namespace pitr::testing

using pitr::testing::Fault;

extern "C" {

ssize_t faulty_pread(int descriptor, void* bytes, size_t length, off64_t offset) {
  return pitr::testing::faulty(
      length, [&](size_t count) { return real_pread(descriptor, bytes, count, offset); });
}

// What _FORTIFY_SOURCE makes of pread().
ssize_t faulty_checked_pread(int descriptor, void* bytes, size_t length, off64_t offset,
                             size_t room) {
  if (length > room) std::abort();
  return faulty_pread(descriptor, bytes, length, offset);
}

ssize_t faulty_pwrite(int descriptor, const void* bytes, size_t length, off64_t offset) {
  return pitr::testing::faulty(
      length, [&](size_t count) { return real_pwrite(descriptor, bytes, count, offset); });
}

ssize_t faulty_write(int descriptor, const void* bytes, size_t length) {
  return pitr::testing::faulty(length,
                               [&](size_t count) { return real_write(descriptor, bytes, count); });
}

int faulty_fsync(int descriptor) {
  return pitr::testing::faulty(1, [&](size_t) { return real_fsync(descriptor); });
}

int faulty_submit(io_uring* ring) {
  using namespace pitr::testing;
  if (!armed) return real_submit(ring);
  if (wanted.kind == Fault::Kind::kNotTaken && is_due(submissions)) return -wanted.error;
  if (wanted.kind == Fault::Kind::kTakenLate) {
    const bool was_not_taken = happened && submissions == wanted.number;
    if (is_due(submissions)) return -wanted.error;
    if (was_not_taken) return submit_without_the_last(ring);
  }
  const std::optional<std::uint64_t> failing = prepare_entries(ring->sq);
  const int result = real_submit(ring);
  if (failing) end_with(ring, *failing, wanted.error);
  return result;
}

int faulty_get_completion(io_uring* ring, io_uring_cqe** entry, unsigned submit, unsigned count,
                          sigset_t* mask) {
  using namespace pitr::testing;
  if (armed && wanted.kind == Fault::Kind::kWaitFails && is_due(waits)) return -wanted.error;
  return real_get_completion(ring, entry, submit, count, mask);
}

int faulty_stat(const char* path, struct stat* status) {
  return pitr::testing::faulty_status([&] { return real_stat(path, status); });
}

int faulty_lstat(const char* path, struct stat* status) {
  return pitr::testing::faulty_status([&] { return real_lstat(path, status); });
}

int faulty_fstat(int descriptor, struct stat* status) {
  return pitr::testing::faulty_status([&] { return real_fstat(descriptor, status); });
}

int faulty_fstatat(int folder, const char* path, struct stat* status, int flags) {
  return pitr::testing::faulty_status([&] { return real_fstatat(folder, path, status, flags); });
}

dirent* faulty_readdir(DIR* directory) {
  using namespace pitr::testing;
  dirent* entry = real_readdir(directory);
  if (entry != nullptr && armed && wanted.kind == Fault::Kind::kStat) entry->d_type = DT_UNKNOWN;
  return entry;
}
}
