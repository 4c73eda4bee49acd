// Every operation of the pipeline that stores a file, and of the one that reads it back, fails
// once. The outcome is the same bytes or an Error; never half a file under its name, and nothing is
// left behind. See harness/faulty_calls.h for how an operation is made to fail.
#include <cerrno>
#include <functional>
#include <optional>
#include <span>

#include <sys/timerfd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/errors.h"
#include "harness/faulty_calls.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "io/archive_reader.h"
#include "io/copy.h"
#include "io/uring.h"
#include "storage/posix_storage.h"

namespace pitr {

using testing::Bytes;
using testing::Fault;
using testing::FaultInjection;
using testing::TemporaryDirectory;
using Kind = Fault::Kind;

namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr const char* kKey = "wal/file";

// A repository and a file to be stored in it.
struct Place {
  TemporaryDirectory directory;
  std::string root = directory / "repository";
  std::string source = directory / "source";
  Bytes raw = testing::random_bytes(6 * kBlock + 5);

  Place() {
    create_posix_repository(root);
    testing::write_file(source, raw);
  }

  // As archive_file() does it. False: the key exists.
  bool store(RingMode mode) const {
    const auto storage = open_posix_storage(root, mode);
    const File file = File::open_for_read(source);
    EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
    Ring ring(mode);
    const auto destination = storage->create(kKey);
    ArchiveWriter writer(*destination, buffers);
    const std::uint64_t copied = copy({file}, 0, raw.size(), ring, writer, {});
    CHECK(copied == raw.size());
    writer.finish({});
    return destination->commit();
  }

  // Nothing when there is no such file.
  std::optional<Bytes> read(unsigned jobs) const {
    const auto storage = open_posix_storage(root, RingMode::kOff);
    const auto file = storage->open(kKey);
    if (!file) return std::nullopt;
    Bytes bytes;
    ArchiveReader(*file).read_all(jobs, [&](ByteSpan block, std::uint64_t) {
      bytes.insert(bytes.end(), block.begin(), block.end());
    });
    return bytes;
  }

  std::vector<std::string> stored_names() const {
    return testing::exists(root + "/wal") ? testing::names_in(root + "/wal")
                                          : std::vector<std::string>();
  }
};

std::optional<ErrorReport> attempt(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.report();
  }
  return std::nullopt;
}

struct Outcome {
  std::optional<ErrorReport> error;
  bool met = false;
};

Outcome attempt_with(const Fault& fault, const std::function<void()>& call) {
  const FaultInjection injection(fault);
  Outcome outcome{.error = attempt(call)};
  outcome.met = injection.met();
  return outcome;
}

std::string text_of(const Fault& fault) {
  return fmt::format("fault {} of kind {} with error {}", fault.number,
                     static_cast<int>(fault.kind), fault.error);
}

// Stores a file under a fault in a place of its own; false when there were not enough operations.
bool store_under(const Fault& fault, RingMode mode) {
  INFO(text_of(fault));
  const Place place;
  bool stored = false;
  const Outcome outcome = attempt_with(fault, [&] { stored = place.store(mode); });
  if (outcome.error) {
    CHECK(outcome.error->kind == ErrorKind::kSystem);
    CHECK_THAT(outcome.error->message, Catch::Contains(place.directory.path()));
  } else {
    CHECK(stored);
  }
  // What cannot be told from success must not be acknowledged; what can be gone on with is.
  const bool is_lasting = fault.kind == Kind::kError && fault.error != EINTR;
  if (outcome.met && fault.error != EAGAIN) CHECK(outcome.error.has_value() == is_lasting);

  const auto found = place.read(1);
  if (found || !outcome.error) CHECK(found == place.raw);
  CHECK(place.stored_names() ==
        (found ? std::vector<std::string>{"file"} : std::vector<std::string>()));

  CHECK(place.store(mode) == !found.has_value());
  CHECK(place.read(1) == place.raw);
  return outcome.met;
}

// The fault at the first operation, the second …, up to the last. Returns how many there were.
std::uint64_t at_every_operation(Fault fault, const std::function<bool(const Fault&)>& call) {
  while (call(fault))
    ++fault.number;
  return fault.number - 1;
}

std::size_t open_descriptors() { return testing::names_in("/proc/self/fd").size(); }

}  // namespace

TEST_CASE("a file is stored or there is an error, whichever operation fails", "[faults]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const Fault fault =
      GENERATE(Fault{.kind = Kind::kShort}, Fault{.error = EIO}, Fault{.error = ENOSPC},
               Fault{.error = EINTR}, Fault{.error = ENOMEM}, Fault{.error = EAGAIN});
  const std::size_t descriptors = open_descriptors();
  const std::uint64_t count =
      at_every_operation(fault, [&](const Fault& next) { return store_under(next, mode); });
  CHECK(count >= 20);  // the marker twice, seven blocks in and out, the trailer, three fsyncs
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("a file is read whole or there is an error, whichever operation fails", "[faults]") {
  const unsigned jobs = GENERATE(1U, 3U);
  const Fault fault = GENERATE(Fault{.kind = Kind::kShort}, Fault{.error = EIO},
                               Fault{.error = EINTR}, Fault{.error = ENOMEM});
  const Place place;
  REQUIRE(place.store(RingMode::kOff));
  const std::size_t descriptors = open_descriptors();
  const std::uint64_t count = at_every_operation(fault, [&](const Fault& next) {
    INFO(text_of(next));
    std::optional<Bytes> found;
    const Outcome outcome = attempt_with(next, [&] { found = place.read(jobs); });
    if (outcome.error) {
      CHECK(outcome.error->kind == ErrorKind::kSystem);  // never "damaged"
      CHECK_THAT(outcome.error->message, Catch::Contains(place.root));
    } else {
      CHECK(found == place.raw);
    }
    const bool is_lasting = next.kind == Kind::kError && next.error != EINTR;
    if (outcome.met) CHECK(outcome.error.has_value() == is_lasting);
    return outcome.met;
  });
  CHECK(count >= 10);
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("what the kernel does not take into a ring is done all the same", "[faults]") {
  if (!Ring(RingMode::kAuto).uses_io_uring()) return;
  const Kind kind = GENERATE(Kind::kNotTaken, Kind::kTakenLate);
  const int error = GENERATE(EINTR, EAGAIN, ENOMEM);
  const std::uint64_t count =
      at_every_operation({.kind = kind, .error = error},
                         [](const Fault& next) { return store_under(next, RingMode::kAuto); });
  CHECK(count >= 15);
}

TEST_CASE("a kernel that grants a ring and then takes nothing costs speed only", "[faults]") {
  if (!Ring(RingMode::kAuto).uses_io_uring()) return;
  const int error = GENERATE(EAGAIN, EBUSY, ENOMEM, EPERM);
  const std::uint64_t first = GENERATE(1U, 5U);
  const Place place;
  const Outcome outcome = attempt_with(
      {.kind = Kind::kNotTaken, .error = error, .number = first, .from_there_on = true},
      [&] { CHECK(place.store(RingMode::kAuto)); });
  CHECK(outcome.met);
  CHECK_FALSE(outcome.error);
  CHECK(place.read(1) == place.raw);
}

TEST_CASE("a ring takes many operations although the kernel takes none of them", "[faults]") {
  if (!Ring(RingMode::kAuto).uses_io_uring()) return;
  const TemporaryDirectory directory;
  const File file = File::create(directory / "f");
  Bytes bytes = testing::random_bytes(10);
  const FaultInjection injection({.kind = Kind::kNotTaken, .error = ENOMEM, .from_there_on = true});
  Ring ring(RingMode::kAuto);
  for (std::uint64_t i = 0; i < 100; ++i) {
    RingOperation write{.kind = RingOperation::Kind::kWrite,
                        .descriptor = file.descriptor(),
                        .data = bytes.data(),
                        .length = bytes.size(),
                        .offset = i * bytes.size()};
    ring.start(write);
    ring.wait(write);
    CHECK(write.error == 0);
  }
  CHECK(file.size() == 100 * bytes.size());
}

TEST_CASE("a wait that fails is begun again", "[faults]") {
  Ring ring(RingMode::kAuto);
  if (!ring.uses_io_uring()) return;
  const int error = GENERATE(EINTR, EAGAIN, ENOMEM);
  const File timer(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timer");
  itimerspec soon{};
  soon.it_value.tv_nsec = 50'000'000;
  REQUIRE(timerfd_settime(timer.descriptor(), 0, &soon, nullptr) == 0);
  std::uint64_t expired = 0;
  const FaultInjection injection(
      {.kind = Kind::kWaitFails, .error = error, .from_there_on = GENERATE(false, true)});
  RingOperation read{.descriptor = timer.descriptor(),
                     .data = std::as_writable_bytes(std::span(&expired, 1)).data(),
                     .length = sizeof expired};
  ring.start(read);
  ring.wait(read);
  CHECK(injection.met());
  CHECK(read.error == 0);
  CHECK(expired == 1);
}

}  // namespace pitr
