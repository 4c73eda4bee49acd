#include "io/uring.h"

#include <cerrno>
#include <deque>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::Bytes;
using testing::TemporaryDirectory;
using Kind = RingOperation::Kind;

namespace {

// Operations must stay where they are while the kernel owns them: a deque does not move them.
using Operations = std::deque<RingOperation>;

RingOperation on(const File& file, Kind kind, std::span<std::byte> bytes = {},
                 std::uint64_t offset = 0) {
  return {.kind = kind,
          .descriptor = file.descriptor(),
          .data = bytes.data(),
          .length = bytes.size(),
          .offset = offset};
}

}  // namespace

TEST_CASE("a ring that is switched off does not use io_uring", "[io]") {
  CHECK_FALSE(Ring(RingMode::kOff).uses_io_uring());
}

// So that a run of these tests with io_uring is one, and not plain calls twice.
TEST_CASE("a ring uses io_uring wherever the kernel grants one", "[io]") {
  io_uring_params parameters{};
  const long descriptor = syscall(SYS_io_uring_setup, 1, &parameters);
  if (descriptor >= 0) close(static_cast<int>(descriptor));
  CHECK(Ring(RingMode::kAuto).uses_io_uring() == (descriptor >= 0));
}

TEST_CASE("what a ring writes it reads back", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const TemporaryDirectory directory;
  const File file = File::create(directory / "f");
  Bytes written = testing::random_bytes(100'000);

  RingOperation write = on(file, Kind::kWrite, written, 123);
  ring.start(write);
  ring.wait(write);
  CHECK(write.error == 0);
  CHECK(write.transferred == written.size());
  RingOperation sync = on(file, Kind::kSync);
  ring.start(sync);
  ring.wait(sync);
  CHECK(sync.error == 0);

  Bytes found(written.size());
  RingOperation read = on(file, Kind::kRead, found, 123);
  ring.start(read);
  ring.wait(read);
  CHECK(read.done);
  CHECK(found == written);
  CHECK(file.size() == 123 + written.size());
}

TEST_CASE("a read over the end of a file transfers what is there, without error", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "0123456789");
  const File file = File::open_for_read(directory / "f");
  Bytes bytes(100);

  RingOperation part = on(file, Kind::kRead, bytes, 4);
  ring.start(part);
  ring.wait(part);
  CHECK(part.error == 0);
  CHECK(part.transferred == 6);
  CHECK(as_text(ByteSpan(bytes).first(6)) == "456789");

  RingOperation behind = on(file, Kind::kRead, bytes, 10);
  ring.start(behind);
  ring.wait(behind);
  CHECK(behind.error == 0);
  CHECK(behind.transferred == 0);
}

TEST_CASE("an operation on a closed descriptor reports EBADF and the ring goes on", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "x");
  const File file = File::open_for_read(directory / "f");
  Bytes bytes(1);

  for (const Kind kind : {Kind::kRead, Kind::kWrite, Kind::kSync}) {
    RingOperation bad = on(file, kind, bytes);
    bad.descriptor = 999'999;
    ring.start(bad);
    ring.wait(bad);
    CHECK(bad.done);
    CHECK(bad.error == EBADF);
  }
  RingOperation good = on(file, Kind::kRead, bytes);
  ring.start(good);
  ring.wait(good);
  CHECK(good.error == 0);
  CHECK(good.transferred == 1);
}

TEST_CASE("a write to a file opened for reading reports an error", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "x");
  const File file = File::open_for_read(directory / "f");
  Bytes bytes(1);
  RingOperation write = on(file, Kind::kWrite, bytes);
  ring.start(write);
  ring.wait(write);
  CHECK(write.error == EBADF);
}

TEST_CASE("a full device is an error, not an endless write", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const File file = File::open("/dev/full", O_WRONLY);
  Bytes bytes(4096);
  RingOperation write = on(file, Kind::kWrite, bytes);
  ring.start(write);
  ring.wait(write);
  CHECK(write.error == ENOSPC);
}

TEST_CASE("an operation of no bytes is done at once", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const TemporaryDirectory directory;
  const File file = File::create(directory / "f");
  for (const Kind kind : {Kind::kRead, Kind::kWrite}) {
    RingOperation empty = on(file, kind);
    ring.start(empty);
    ring.wait(empty);
    CHECK(empty.error == 0);
  }
  CHECK(file.size() == 0);
}

TEST_CASE("more operations than a ring holds are all done, waited for in any order", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  constexpr std::size_t kCount = 500;
  constexpr std::size_t kPiece = 4096;
  const TemporaryDirectory directory;
  const File file = File::create(directory / "f");
  Bytes written = testing::random_bytes(kCount * kPiece);

  Operations writes;
  for (std::size_t i = 0; i < kCount; ++i) {
    writes.push_back(
        on(file, Kind::kWrite, std::span(written).subspan(i * kPiece, kPiece), i * kPiece));
    ring.start(writes.back());
  }
  for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
    ring.wait(*write);
    CHECK(write->error == 0);
  }

  Bytes found(written.size());
  Operations reads;
  for (std::size_t i = 0; i < kCount; ++i) {
    reads.push_back(
        on(file, Kind::kRead, std::span(found).subspan(i * kPiece, kPiece), i * kPiece));
    ring.start(reads.back());
  }
  for (RingOperation& read : reads)
    ring.wait(read);
  CHECK(found == written);
}

TEST_CASE("an operation can be started again with its next bytes", "[io]") {
  Ring ring(GENERATE(RingMode::kAuto, RingMode::kOff));
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "ab");
  const File file = File::open_for_read(directory / "f");
  Bytes bytes(1);
  RingOperation read = on(file, Kind::kRead, bytes);
  for (const char expected : {'a', 'b'}) {
    ring.start(read);
    ring.wait(read);
    CHECK(read.transferred == 1);
    CHECK(as_text(bytes) == std::string(1, expected));
    ++read.offset;
  }
}

TEST_CASE("a ring that is destroyed waits for what is in flight", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const TemporaryDirectory directory;
  const File file = File::create(directory / "f");
  Bytes bytes = testing::random_bytes(1 << 20);
  Operations writes;
  {
    Ring ring(mode);
    for (std::size_t i = 0; i < 16; ++i) {
      writes.push_back(on(file, Kind::kWrite, bytes, i * bytes.size()));
      ring.start(writes.back());
    }
  }
  for (const RingOperation& write : writes)
    CHECK(write.done);
  CHECK(file.size() == 16 * bytes.size());
}

}  // namespace pitr
