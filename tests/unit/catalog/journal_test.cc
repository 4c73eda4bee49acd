#include "catalog/journal.h"

#include <algorithm>
#include <stdexcept>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::error_kind_of;
using testing::exists;
using testing::TemporaryDirectory;

namespace {

WalFileEntry entry(std::size_t number, std::size_t index_bytes = 50) {
  return {.cluster = {.name = "main", .system_identifier = 9},
          .key = fmt::format("wal/main-9/00000001/00000000/{:024}", number),
          .raw_bytes = 1U << 20,
          .stored_bytes = 1000 + number,
          .archived_at = Instant(std::chrono::microseconds(1'795'000'000'000'000)),
          .index = testing::random_bytes(index_bytes, static_cast<std::uint32_t>(number))};
}

std::vector<WalFileEntry> taken_from(const Journal& journal) {
  std::vector<WalFileEntry> entries;
  journal.take([&](const WalFileEntry& e) { entries.push_back(e); }, [] {});
  return entries;
}

}  // namespace

TEST_CASE("an entry is read back as it was written", "[catalog]") {
  CHECK(decode_entry(encode_entry(entry(7))) == entry(7));
  CHECK(decode_entry(encode_entry(entry(7, 0))) == entry(7, 0));
}

TEST_CASE("an entry cut short or with something behind it is damaged", "[catalog]") {
  const auto bytes = encode_entry(entry(7));
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK(error_kind_of([&] { decode_entry(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_entry(longer); }) == ErrorKind::kCorrupt);
}

TEST_CASE("the journal hands over every entry once, oldest first", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory / "state/pitr");  // made when it is needed
  for (std::size_t i = 0; i < 10; ++i)
    journal.append(entry(i));
  const auto entries = taken_from(journal);
  REQUIRE(entries.size() == 10);
  for (std::size_t i = 0; i < 10; ++i)
    CHECK(entries[i] == entry(i));
  CHECK(taken_from(journal).empty());
}

TEST_CASE("a journal that was never written is empty", "[catalog]") {
  const TemporaryDirectory directory;
  CHECK(taken_from(Journal(directory / "missing")).empty());
}

TEST_CASE("a journal that cannot be written says so", "[catalog]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "state", "not a directory");
  CHECK(error_kind_of([&] { Journal(directory / "state").append(entry(1)); }) ==
        ErrorKind::kSystem);
}

TEST_CASE("a record torn by a crash is passed over", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  const auto whole = testing::read_file(directory / "journal");
  journal.append(entry(2));
  const auto both = testing::read_file(directory / "journal");
  for (std::size_t length = whole.size(); length < both.size(); length += 7) {
    testing::write_file(directory / "journal", ByteSpan(both).first(length));
    CAPTURE(length);
    CHECK(taken_from(journal) == std::vector<WalFileEntry>{entry(1)});
  }
}

TEST_CASE("records behind a torn one are not lost", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  auto bytes = testing::read_file(directory / "journal");
  bytes.erase(bytes.end() - 10, bytes.end());
  testing::write_file(directory / "journal", bytes);
  journal.append(entry(2));
  journal.append(entry(3));
  CHECK(taken_from(journal) == std::vector<WalFileEntry>{entry(2), entry(3)});
}

TEST_CASE("every damaged byte of a record loses that record at most", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  const std::size_t begin = testing::read_file(directory / "journal").size();
  journal.append(entry(2));
  const std::size_t end = testing::read_file(directory / "journal").size();
  journal.append(entry(3));
  const auto whole = testing::read_file(directory / "journal");
  for (std::size_t offset = begin; offset < end; offset += 3) {
    auto damaged = whole;
    damaged[offset] ^= std::byte{0x20};
    testing::write_file(directory / "journal", damaged);
    CAPTURE(offset);
    CHECK(taken_from(journal) == std::vector<WalFileEntry>{entry(1), entry(3)});
  }
}

TEST_CASE("a record of another format is passed over although its checksum is right", "[catalog]") {
  // A record as a later version might write it, made from one of ours by its own rules: only the
  // entry inside cannot be understood.
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  WalFileEntry strange = entry(1);
  strange.cluster.name = "";  // "-9" is no cluster's key
  journal.append(strange);
  journal.append(entry(2));
  std::vector<WalFileEntry> entries;
  CHECK_NOTHROW(entries = taken_from(journal));
  CHECK(entries == std::vector<WalFileEntry>{entry(2)});
}

TEST_CASE("a journal of foreign bytes is passed over, and what is appended to it is not",
          "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  const auto record = testing::read_file(directory / "journal");
  const auto announces_too_much = [&] {
    auto bytes = record;
    for (std::size_t i = 4; i < 8; ++i)
      bytes[i] = std::byte{0xFF};
    return bytes;
  };
  for (const auto& foreign :
       {testing::random_bytes(100'000), testing::Bytes(100'000), announces_too_much()}) {
    testing::write_file(directory / "journal", foreign);
    journal.append(entry(2));
    CHECK(taken_from(journal) == std::vector<WalFileEntry>{entry(2)});
  }
}

TEST_CASE("entries are dropped only after they were taken in", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  journal.append(entry(2));
  CHECK_THROWS_WITH(
      journal.take([](const WalFileEntry&) { throw std::runtime_error("full"); }, [] {}), "full");
  CHECK_THROWS_WITH(
      journal.take([](const WalFileEntry&) {}, [] { throw std::runtime_error("late"); }), "late");
  journal.append(entry(3));
  CHECK(taken_from(journal) == std::vector<WalFileEntry>{entry(1), entry(2), entry(3)});
  CHECK(taken_from(journal).empty());
}

TEST_CASE("finish is called after the last entry", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  journal.append(entry(2));
  int seen = 0;
  int seen_at_finish = -1;
  journal.take([&](const WalFileEntry&) { ++seen; },
               [&] { seen_at_finish = std::max(seen_at_finish, seen); });
  CHECK(seen_at_finish == 2);
}

TEST_CASE("what a crash left half taken is taken before the rest", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  REQUIRE(rename((directory / "journal").c_str(), (directory / "journal.taken").c_str()) == 0);
  journal.append(entry(2));
  CHECK(taken_from(journal) == std::vector<WalFileEntry>{entry(1), entry(2)});
  CHECK_FALSE(exists(directory / "journal.taken"));
}

TEST_CASE("an entry appended while the journal is being taken is not lost", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  journal.append(entry(1));
  std::vector<WalFileEntry> entries;
  bool appended = false;
  journal.take(
      [&](const WalFileEntry& e) {
        entries.push_back(e);
        if (!appended) journal.append(entry(2));  // must not wait for us
        appended = true;
      },
      [] {});
  for (const WalFileEntry& e : taken_from(journal))
    entries.push_back(e);
  CHECK(entries == std::vector<WalFileEntry>{entry(1), entry(2)});
}

TEST_CASE("many threads append while the journal is taken, and nothing is lost", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kEach = 60;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < kEach; ++i)
        journal.append(entry(t * kEach + i, 3000));
    });
  }
  std::vector<std::string> keys;
  const auto take = [&] {
    journal.take([&](const WalFileEntry& e) { keys.push_back(e.key); }, [] {});
  };
  for (int round = 0; round < 20; ++round)
    take();
  for (std::thread& thread : threads)
    thread.join();
  take();
  std::sort(keys.begin(), keys.end());
  CHECK(keys.size() == kThreads * kEach);
  CHECK(std::unique(keys.begin(), keys.end()) == keys.end());
}

TEST_CASE("many processes append at once, and their records do not mix", "[catalog]") {
  const TemporaryDirectory directory;
  const Journal journal(directory.path());
  constexpr std::size_t kProcesses = 4;
  constexpr std::size_t kEach = 30;
  std::vector<pid_t> children;
  for (std::size_t p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    if (child == 0) {
      for (std::size_t i = 0; i < kEach; ++i)
        journal.append(entry(p * kEach + i, 5000));
      _exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  auto entries = taken_from(journal);
  std::sort(entries.begin(), entries.end(),
            [](const WalFileEntry& a, const WalFileEntry& b) { return a.key < b.key; });
  REQUIRE(entries.size() == kProcesses * kEach);
  for (std::size_t i = 0; i < entries.size(); ++i)
    CHECK(entries[i] == entry(i, 5000));
}

}  // namespace pitr
