#include "restore_cmd/restore_file.h"

#include <algorithm>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/temporary_directory.h"
#include "harness/wal_builder.h"
#include "storage/memory_storage.h"
#include "storage/posix_storage.h"
#include "wal/segment_index.h"

namespace pitr {

using testing::error_kind_of;
using testing::error_of;
using testing::exists;
using testing::k1MiB;
using testing::TemporaryDirectory;

namespace {

using Bytes = std::vector<std::byte>;

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

constexpr Lsn kStart = 5 * k1MiB;
constexpr const char* kSegment = "000000010000000000000005";
constexpr const char* kNextSegment = "000000010000000000000006";

WalFileName name_of(std::string_view text) { return WalFileName::parse(text).value(); }
std::string key_of(std::string_view text) { return wal_key(kMain.key, name_of(text)); }

// Stores WAL under a key as pitr-archive does: with its index.
void store_wal(Storage& storage, const std::string& key, ByteSpan bytes, Lsn start = kStart) {
  SegmentIndexer indexer(start, k1MiB);
  indexer.feed(bytes);
  std::vector<Section> sections = identity_sections({.kind = FileKind::kSegment,
                                                     .name = std::string(last_part(key)),
                                                     .cluster_name = kMain.key.name,
                                                     .cluster = kMain.identity,
                                                     .timeline = 1,
                                                     .start_lsn = start,
                                                     .end_lsn = start + bytes.size()});
  sections.push_back({.id = kWalIndexSection, .bytes = encode_index(indexer.finish())});
  EncodeBuffers buffers({.jobs = 1});
  const auto destination = storage.create(key);
  ArchiveWriter writer(*destination, buffers);
  writer.append(bytes);
  writer.finish(std::move(sections));
  REQUIRE(destination->commit());
}

void store_tail(Storage& storage, const Bytes& segment, std::size_t length) {
  store_wal(storage, tail_key(kMain.key, name_of(kSegment).segment, length, 0x1234),
            ByteSpan(segment).first(length));
}

// A restore to "RECOVERYXLOG" in a directory of its own.
struct Restore {
  TemporaryDirectory directory;
  std::string destination = directory / "RECOVERYXLOG";

  RestoreAnswer operator()(Storage& storage, std::string_view name = kSegment,
                           unsigned jobs = 1) const {
    return restore_file(
        {.name = name_of(name), .destination = destination, .cluster = kMain, .jobs = jobs},
        storage);
  }
  Bytes restored() const { return testing::read_file(destination); }
  bool left_nothing() const { return testing::names_in(directory.path()).empty(); }
};

}  // namespace

TEST_CASE("a stored segment arrives whole, and nothing beside it", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  const Bytes segment = testing::complete_segment(kStart);
  store_wal(*storage, key_of(kSegment), segment);
  const Restore restore;
  CHECK(restore(*storage, kSegment, GENERATE(1U, 4U)).outcome == RestoreOutcome::kRestored);
  CHECK(restore.restored() == segment);
  CHECK(testing::names_in(restore.directory.path()) == std::vector<std::string>{"RECOVERYXLOG"});
}

TEST_CASE("a restore replaces what an earlier one left", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  const Bytes segment = testing::complete_segment(kStart);
  store_wal(*storage, key_of(kSegment), segment);
  const Restore restore;
  testing::write_file(restore.destination, "older");
  testing::write_file(restore.destination + ".pitr", std::string(3 * k1MiB, 'x'));
  CHECK(restore(*storage).outcome == RestoreOutcome::kRestored);
  CHECK(restore.restored() == segment);
}

TEST_CASE("a history file arrives as it was stored", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  const std::string contents = "1\t0/5000148\tno recovery target specified\n";
  REQUIRE(store_text(*storage, key_of("00000002.history"),
                     {.kind = FileKind::kHistory,
                      .name = "00000002.history",
                      .cluster_name = "main",
                      .cluster = kMain.identity},
                     contents));
  const Restore restore;
  CHECK(restore(*storage, "00000002.history").outcome == RestoreOutcome::kRestored);
  CHECK(as_text(restore.restored()) == contents);
  CHECK(restore(*storage, "00000003.history").outcome == RestoreOutcome::kAbsent);
}

TEST_CASE("a segment after the last stored one is absent", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  store_wal(*storage, key_of(kSegment), testing::complete_segment(kStart));
  const Restore restore;
  CHECK(restore(*storage, kNextSegment).outcome == RestoreOutcome::kAbsent);
  CHECK(restore.left_nothing());
}

TEST_CASE("a missing segment with a later one behind it is a gap, not the end", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  const std::string later =
      GENERATE(as<std::string>(), "000000010000000000000006", "0000000100000000000000FF",
               "000000010000000100000000", "000000010000FFFF00000001");
  CAPTURE(later);
  const Lsn start = name_of(later).segment.start(k1MiB);
  store_wal(*storage, key_of(later), testing::complete_segment(start), start);
  const Restore restore;
  const RestoreAnswer answer = restore(*storage);
  CHECK(answer.outcome == RestoreOutcome::kGap);
  CHECK(answer.present == later);
  CHECK(restore.left_nothing());
}

TEST_CASE("segments of other timelines and earlier ones are no gap", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  for (const char* other : {"000000020000000000000006", "000000010000000000000004"}) {
    const Lsn start = name_of(other).segment.start(k1MiB);
    store_wal(*storage, key_of(other), testing::complete_segment(start), start);
  }
  CHECK(Restore()(*storage).outcome == RestoreOutcome::kAbsent);
}

TEST_CASE("of a segment never written to its end the longest beginning is restored",
          "[restore_cmd]") {
  const auto storage = make_memory_storage();
  const Bytes segment = testing::incomplete_segment(kStart);
  store_tail(*storage, segment, 2 * kUsualWalPageSize);
  store_tail(*storage, segment, 8 * kUsualWalPageSize);
  const Restore restore;
  CHECK(restore(*storage).outcome == RestoreOutcome::kRestored);
  CHECK(restore.restored() == segment);  // behind the tail there are zeros, up to the full size
}

TEST_CASE("a damaged beginning is not replaced by a shorter one: commits would be gone",
          "[restore_cmd]") {
  const TemporaryDirectory place;
  const std::string root = place / "repository";
  create_posix_repository(root);
  const auto storage = open_posix_storage(root, RingMode::kAuto);
  const Bytes segment = testing::incomplete_segment(kStart, 10);
  store_tail(*storage, segment, 2 * kUsualWalPageSize);
  store_tail(*storage, segment, 6 * kUsualWalPageSize);
  const SegmentName name = name_of(kSegment).segment;
  testing::damage_file(root + "/" + tail_key(kMain.key, name, 6 * kUsualWalPageSize, 0x1234), 100);
  CHECK_THROWS_AS(Restore()(*storage), Error);
}

TEST_CASE("a beginning with a later segment behind it is a gap all the same", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  store_tail(*storage, testing::incomplete_segment(kStart), 2 * kUsualWalPageSize);
  store_wal(*storage, key_of(kNextSegment), testing::complete_segment(kStart + k1MiB),
            kStart + k1MiB);
  CHECK(Restore()(*storage).outcome == RestoreOutcome::kGap);
}

TEST_CASE("a damaged stored file is never handed over", "[restore_cmd]") {
  const TemporaryDirectory place;
  const std::string root = place / "repository";
  create_posix_repository(root);
  const auto storage = open_posix_storage(root, RingMode::kAuto);
  store_wal(*storage, key_of(kSegment), testing::complete_segment(kStart));
  const std::string path = root + "/" + key_of(kSegment);
  const Bytes whole = testing::read_file(path);
  const Restore restore;
  testing::write_file(restore.destination, "older");
  const auto check_refused = [&](const Bytes& damaged) {
    testing::write_file(path, damaged);
    for (const unsigned jobs : {1U, 3U})
      CHECK(error_kind_of([&] { restore(*storage, kSegment, jobs); }) == ErrorKind::kCorrupt);
    CHECK(as_text(restore.restored()) == "older");
    CHECK(testing::names_in(restore.directory.path()) == std::vector<std::string>{"RECOVERYXLOG"});
  };
  for (const std::size_t place_of_damage :
       {std::size_t{0}, std::size_t{40}, whole.size() / 2, whole.size() - 1}) {
    Bytes flipped = whole;
    flipped[place_of_damage] ^= std::byte{0x10};
    check_refused(flipped);
  }
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{1}, whole.size() / 2, whole.size() - 1}) {
    check_refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
  }
  check_refused(Bytes(whole.size(), std::byte{'x'}));
}

TEST_CASE("another segment, or another cluster's, in the file's place is refused",
          "[restore_cmd]") {
  const auto [start, identifier, version] = GENERATE(table<Lsn, std::uint64_t, unsigned>({
      {kStart + k1MiB, testing::kSystemIdentifier, 15},
      {kStart, 7289450113274518899, 15},
      {kStart, testing::kSystemIdentifier, 17},
  }));
  ClusterIdentity cluster = kMain.identity;
  cluster.system_identifier = identifier;
  cluster.postgres_version = version;
  const auto storage = make_memory_storage();
  store_wal(*storage, key_of(kSegment), testing::complete_segment(start, cluster), start);
  const Restore restore;
  CHECK_THROWS_AS(restore(*storage), Error);
  CHECK(restore.left_nothing());
}

TEST_CASE("a segment that holds an invalid record is refused: recovery would end there",
          "[restore_cmd]") {
  const auto storage = make_memory_storage();
  Bytes segment = testing::complete_segment(kStart);
  segment[k1MiB / 2] ^= std::byte{1};
  store_wal(*storage, key_of(kSegment), segment);
  const Restore restore;
  const ErrorReport report = error_of([&] { restore(*storage); });
  CHECK(report.kind == ErrorKind::kCorrupt);
  CHECK_THAT(report.message, Catch::Contains(kSegment) && Catch::Contains("invalid record"));
  CHECK(restore.left_nothing());
}

TEST_CASE("a stored segment that is too long is refused", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  Bytes segment = testing::complete_segment(kStart);
  segment.resize(k1MiB + 1);
  store_wal(*storage, key_of(kSegment), segment);
  const Restore restore;
  CHECK(error_kind_of([&] { restore(*storage); }) == ErrorKind::kCorrupt);
  CHECK(restore.left_nothing());
}

TEST_CASE("a repository that is not there is no answer", "[restore_cmd]") {
  const TemporaryDirectory place;
  const std::string root = place / "repository";
  create_posix_repository(root);
  const auto storage = open_posix_storage(root, RingMode::kAuto);
  REQUIRE(unlink((root + "/" + kRepositoryMarker).c_str()) == 0);
  const Restore restore;
  CHECK(error_kind_of([&] { restore(*storage); }) == ErrorKind::kSystem);
  CHECK(error_kind_of([&] { restore(*storage, "00000002.history"); }) == ErrorKind::kSystem);
  CHECK(restore.left_nothing());
}

TEST_CASE("a destination that cannot be written is an error that may pass", "[restore_cmd]") {
  const auto storage = make_memory_storage();
  store_wal(*storage, key_of(kSegment), testing::complete_segment(kStart));
  const TemporaryDirectory directory;
  const RestoreRequest request{.name = name_of(kSegment),
                               .destination = directory / "missing/RECOVERYXLOG",
                               .cluster = kMain};
  CHECK(error_kind_of([&] { restore_file(request, *storage); }) == ErrorKind::kSystem);
}

}  // namespace pitr
