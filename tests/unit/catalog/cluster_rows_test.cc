#include "catalog/cluster_rows.h"

#include <map>

#include <catch2/catch.hpp>

#include "catalog/wal_contents.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/wal_builder.h"
#include "io/archive_format.h"
#include "io/archive_writer.h"
#include "storage/memory_storage.h"
#include "unit/catalog/all_rows.h"

namespace pitr {

using testing::all_rows;
using testing::Bytes;
using testing::error_kind_of;
using testing::k1MiB;
using testing::WalBuilder;

namespace {

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

Bytes stored_form(FileIdentity identity, ByteSpan raw, std::vector<Section> extra) {
  testing::MemorySink sink;
  EncodeBuffers buffers({});
  ArchiveWriter writer(sink, buffers);
  writer.append(raw);
  identity.cluster_name = kMain.key.name;
  identity.cluster = kMain.identity;
  std::vector<Section> sections = identity_sections(identity);
  for (Section& section : extra)
    sections.push_back(std::move(section));
  writer.finish(std::move(sections));
  return std::move(sink.bytes);
}

void put(Storage& storage, const std::string& key, ByteSpan bytes) {
  BufferPool pool(1, std::max<std::size_t>(bytes.size(), 1));
  const auto destination = storage.create(key);
  Buffer buffer = pool.acquire();
  std::copy(bytes.begin(), bytes.end(), buffer.space().begin());
  buffer.set_size(bytes.size());
  destination->append(std::move(buffer));
  REQUIRE(destination->commit());
}

SegmentIndex index_of(ByteSpan pages, Lsn start) {
  SegmentIndexer indexer(start, k1MiB);
  indexer.feed(pages);
  return indexer.finish();
}

std::string segment_key(const std::string& name) {
  return wal_key(kMain.key, *WalFileName::parse(name));
}

Bytes stored_segment(const std::string& name, ByteSpan pages) {
  const Lsn start = SegmentName::parse(name.substr(0, 24))->start(k1MiB);
  return stored_form({.kind = FileKind::kSegment, .name = name}, pages,
                     {{.id = kWalIndexSection, .bytes = encode_index(index_of(pages, start))}});
}

void store_segment(Storage& storage, const std::string& name, ByteSpan pages) {
  put(storage, segment_key(name), stored_segment(name, pages));
}

void store_backup(Storage& storage, const std::string& id, Lsn stop) {
  const BackupSummary summary{.id = id, .timeline = 1, .start_lsn = stop - 100, .stop_lsn = stop};
  put(storage, backup_manifest_key(kMain.key, id),
      stored_form({.kind = FileKind::kBackupManifest, .name = id}, {},
                  {{.id = kBackupSummarySection, .bytes = encode_summary(summary)}}));
}

void store_history(Storage& storage, TimelineId timeline, const std::string& contents) {
  const std::string name = history_file_name(timeline);
  REQUIRE(store_text(storage, wal_key(kMain.key, *WalFileName::parse(name)),
                     {.kind = FileKind::kHistory,
                      .name = name,
                      .cluster_name = kMain.key.name,
                      .cluster = kMain.identity},
                     contents));
}

// Remembers in maps, and counts what it is asked to remember.
struct Memory {
  std::map<std::string, WalFileEntry> wal;
  std::map<std::string, BackupSummary> backups;
  std::map<TimelineId, std::string> histories;
  int put_count = 0;

  RowCache cache() {
    return {.find_wal =
                [this](const std::string& key, WalFileEntry& entry) {
                  if (!wal.contains(key)) return false;
                  entry = wal.at(key);
                  return true;
                },
            .put_wal = [this](const WalFileEntry& entry) { wal[entry.key] = entry, ++put_count; },
            .find_backup =
                [this](const std::string& id, BackupSummary& summary) {
                  if (!backups.contains(id)) return false;
                  summary = backups.at(id);
                  return true;
                },
            .put_backup = [this](const BackupSummary& s) { backups[s.id] = s, ++put_count; },
            .find_history = [this](TimelineId timeline) -> std::optional<std::string> {
              if (!histories.contains(timeline)) return std::nullopt;
              return histories.at(timeline);
            },
            .put_history =
                [this](const HistoryFile& history) {
                  histories[history.timeline] = history.contents, ++put_count;
                }};
  }
};

// Two segments, a tail, a partial segment, a backup history file, two backups and a history file.
std::unique_ptr<Storage> usual_storage() {
  auto storage = make_memory_storage();
  store_segment(*storage, "000000010000000000000002", testing::complete_segment(2 * k1MiB));
  store_segment(*storage, "000000010000000000000001", testing::complete_segment(k1MiB));
  const auto cut = testing::incomplete_segment(3 * k1MiB);
  const SegmentName third = *SegmentName::parse("000000010000000000000003");
  const std::string tail = tail_key(kMain.key, third, 16384, 7);
  put(*storage, tail,
      stored_form({.kind = FileKind::kTail, .name = std::string(last_part(tail))},
                  ByteSpan(cut).first(16384),
                  {{.id = kWalIndexSection, .bytes = encode_index(index_of(cut, 3 * k1MiB))}}));
  store_segment(*storage, "000000010000000000000003.partial", cut);
  put(*storage, segment_key("000000010000000000000002.00000028.backup"), testing::bytes_of("x"));
  store_backup(*storage, "later", 2 * k1MiB + 500);
  store_backup(*storage, "earlier", k1MiB + 500);
  store_history(*storage, 2, "1\t0/380000\tx\n");
  return storage;
}

}  // namespace

TEST_CASE("rows tell what the repository holds, in order", "[catalog]") {
  const auto storage = usual_storage();
  const ClusterRows rows = read_rows(*storage, kMain, {});
  const LogRows all = all_rows(rows);
  CHECK(rows.unreadable.empty());
  REQUIRE(all.segments.size() == 2);
  CHECK(all.segments[0].name.to_string() == "000000010000000000000001");
  CHECK(all.segments[1].name.to_string() == "000000010000000000000002");
  CHECK(all.segments[0].index.commits == 2);
  CHECK(all.segments[0].index.complete);
  CHECK(all.segments[0].stored_bytes > 0);
  REQUIRE(all.beginnings.size() == 2);
  CHECK(all.beginnings[0].kind != all.beginnings[1].kind);
  CHECK_FALSE(all.beginnings[0].index.complete);
  REQUIRE(rows.backups.size() == 2);
  CHECK(rows.backups[0].id == "earlier");
  REQUIRE(rows.histories.size() == 1);
  CHECK(rows.histories[0].timeline == 2);
  CHECK(rows.histories[0].contents == "1\t0/380000\tx\n");
}

TEST_CASE("an empty repository has no rows", "[catalog]") {
  const auto storage = make_memory_storage();
  const ClusterRows rows = read_rows(*storage, kMain, {});
  const LogRows all = all_rows(rows);
  CHECK(all.segments.empty());
  CHECK(rows.backups.empty());
  CHECK(rows.cluster.key == kMain.key);
}

TEST_CASE("what is remembered is not read again", "[catalog]") {
  const auto storage = usual_storage();
  Memory memory;
  const ClusterRows first = read_rows(*storage, kMain, memory.cache());
  CHECK(memory.put_count == 7);
  const ClusterRows second = read_rows(*storage, kMain, memory.cache());
  CHECK(memory.put_count == 7);
  REQUIRE(all_rows(second).segments.size() == all_rows(first).segments.size());
  CHECK(all_rows(second).segments[1].index.last_record ==
        all_rows(first).segments[1].index.last_record);
  CHECK(all_rows(second).beginnings.size() == all_rows(first).beginnings.size());
  CHECK(second.backups == first.backups);
  CHECK(second.histories.size() == 1);
  CHECK(second.unreadable.empty());
}

TEST_CASE("what is remembered but no longer stored has no row", "[catalog]") {
  const auto storage = usual_storage();
  Memory memory;
  read_rows(*storage, kMain, memory.cache());
  REQUIRE(storage->remove(segment_key("000000010000000000000001")));
  REQUIRE(storage->remove(backup_manifest_key(kMain.key, "earlier")));
  const ClusterRows rows = read_rows(*storage, kMain, memory.cache());
  const LogRows all = all_rows(rows);
  CHECK(all.segments.size() == 1);
  CHECK(rows.backups.size() == 1);
}

TEST_CASE("a damaged trailer becomes a line, and the rest is still told", "[catalog]") {
  const auto storage = make_memory_storage();
  store_segment(*storage, "000000010000000000000001", testing::complete_segment(k1MiB));
  const std::string name = "000000010000000000000002";
  const Bytes whole = stored_segment(name, testing::complete_segment(2 * k1MiB));
  Bytes damaged = whole;
  SECTION("damaged at its end") { damaged[damaged.size() - 30] ^= std::byte{1}; }
  SECTION("cut short") { damaged.resize(damaged.size() / 2); }
  SECTION("empty") { damaged.clear(); }
  SECTION("foreign") { damaged = testing::random_bytes(5000); }
  SECTION("of another name") {
    damaged = stored_segment("000000010000000000000009", testing::complete_segment(9 * k1MiB));
  }
  SECTION("without an index") {
    damaged = stored_form({.kind = FileKind::kSegment, .name = name}, {}, {});
  }
  SECTION("with an index of another format") {
    damaged = stored_form({.kind = FileKind::kSegment, .name = name}, {},
                          {{.id = kWalIndexSection, .bytes = testing::random_bytes(100)}});
  }
  put(*storage, segment_key(name), damaged);
  const ClusterRows rows = read_rows(*storage, kMain, {});
  const LogRows all = all_rows(rows);
  CHECK(std::count_if(all.segments.begin(), all.segments.end(),
                      [](const SegmentRow& row) { return !row.index.damaged; }) == 1);
  REQUIRE(rows.unreadable.size() == 1);
  CHECK(rows.unreadable[0].key == segment_key(name));
  CHECK(rows.unreadable[0].reason.size() > 5);
  CHECK(rows.unreadable[0].is_damaged);
  CHECK(rows.not_read().empty());
}

TEST_CASE("a damaged backup or history file becomes a line, too", "[catalog]") {
  const auto storage = usual_storage();
  put(*storage, backup_manifest_key(kMain.key, "broken"), testing::random_bytes(3000));
  put(*storage, backup_manifest_key(kMain.key, "silent"),
      stored_form({.kind = FileKind::kBackupManifest, .name = "silent"}, {}, {}));
  put(*storage, wal_key(kMain.key, *WalFileName::parse("00000003.history")),
      testing::bytes_of("1\t0/1\tnot an archived file\n"));
  const ClusterRows rows = read_rows(*storage, kMain, {});
  CHECK(rows.unreadable.size() == 3);
  CHECK(rows.backups.size() == 2);
  CHECK(rows.histories.size() == 1);
}

TEST_CASE("an entry of the cache that cannot be understood is read from the repository",
          "[catalog]") {
  const auto storage = usual_storage();
  Memory memory;
  read_rows(*storage, kMain, memory.cache());
  memory.wal.at(segment_key("000000010000000000000001")).index = testing::random_bytes(50);
  const ClusterRows rows = read_rows(*storage, kMain, memory.cache());
  const LogRows all = all_rows(rows);
  CHECK(rows.unreadable.empty());
  CHECK(all.segments.size() == 2);
}

TEST_CASE("the transactions of a stored segment come in LSN order", "[catalog]") {
  WalBuilder wal(k1MiB);
  const Lsn first = wal.add_commit(701, 1'000'000);
  wal.fill_segment(16);  // room for a record's beginning only
  const Lsn across = wal.add_commit(702, 2'000'000);
  const Lsn behind = wal.add_abort(703, 3'000'000);
  REQUIRE(across < 2 * k1MiB);
  REQUIRE(behind > 2 * k1MiB);
  const auto storage = make_memory_storage();
  store_segment(*storage, "000000010000000000000001", wal.segment(0));
  store_segment(*storage, "000000010000000000000002", wal.segment(1));
  const ClusterRows rows = read_rows(*storage, kMain, {});
  const LogRows all = all_rows(rows);
  REQUIRE(all.segments.size() == 2);
  CHECK(all.segments[0].index.commits == 2);
  const auto both = read_transactions(*storage, kMain, all.segments[0]);
  CHECK(both[0].start == first);
  CHECK(both[0].xid == 701);
  REQUIRE(both.size() == 2);
  CHECK(both[1].start == across);
  CHECK(both[1].xid == 702);
  CHECK(both[1].time == 2'000'000);
  const auto second = read_transactions(*storage, kMain, all.segments[1]);
  REQUIRE(second.size() == 1);
  CHECK(second[0].xid == 703);
  CHECK_FALSE(second[0].is_commit);
}

TEST_CASE("the transactions of a tail that ends inside a page are read", "[catalog]") {
  WalBuilder wal(k1MiB);
  wal.add_commit(701, 1'000'000);
  wal.add_filler(20'000);
  wal.add_commit(702, 2'000'000);
  const std::size_t length = wal.position() - k1MiB;
  REQUIRE(length % kUsualWalPageSize != 0);
  const auto pages = wal.segment(0);
  const SegmentName name = *SegmentName::parse("000000010000000000000001");
  const std::string key = tail_key(kMain.key, name, length, 7);
  const auto storage = make_memory_storage();
  put(*storage, key,
      stored_form({.kind = FileKind::kTail, .name = std::string(last_part(key))},
                  ByteSpan(pages).first(length),
                  {{.id = kWalIndexSection, .bytes = encode_index(index_of(pages, k1MiB))}}));
  const ClusterRows rows = read_rows(*storage, kMain, {});
  const LogRows all = all_rows(rows);
  REQUIRE(all.beginnings.size() == 1);
  CHECK(read_transactions(*storage, kMain, all.beginnings[0]).size() == 2);
}

TEST_CASE("a segment whose contents are damaged tells no transactions", "[catalog]") {
  const auto storage = make_memory_storage();
  const std::string name = "000000010000000000000001";
  Bytes bytes = stored_segment(name, testing::complete_segment(k1MiB));
  bytes[500] ^= std::byte{1};
  put(*storage, segment_key(name), bytes);
  const ClusterRows rows = read_rows(*storage, kMain, {});
  const LogRows all = all_rows(rows);
  REQUIRE(all.segments.size() == 1);  // the trailer is whole
  CHECK(error_kind_of([&] { read_transactions(*storage, kMain, all.segments[0]); }) ==
        ErrorKind::kCorrupt);
}

}  // namespace pitr
