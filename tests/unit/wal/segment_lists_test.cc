// The lists of a segment's index, its details, and records that end in a later segment.
#include <algorithm>
#include <numeric>

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"
#include "harness/wal_builder.h"
#include "wal/segment_index.h"

namespace pitr {

using testing::Bytes;
using testing::k1MiB;
using testing::main_data_body;
using testing::WalBuilder;
using testing::WalRecord;

namespace {

constexpr Lsn kStart = 3 * k1MiB;
constexpr RelationFile kFile{.tablespace = 1663, .database = 5, .number = 16384};
constexpr RelationFile kNew{.tablespace = 1663, .database = 5, .number = 16500};
constexpr unsigned kVersion = 15;

struct Indexed {
  SegmentIndex index;
  SegmentDetails details;
};

Indexed index_of(const WalBuilder& wal, std::size_t number = 0) {
  SegmentIndexer indexer(kStart + number * k1MiB, k1MiB);
  indexer.feed(wal.segment(number));
  Indexed indexed{.index = indexer.finish()};
  indexed.details = indexer.take_details();
  return indexed;
}

template <typename... Numbers>
WalRecord record_of(ResourceManager manager, std::uint8_t info, Numbers... values) {
  ByteWriter data;
  (data.put(values), ...);
  return {.manager = static_cast<std::uint8_t>(manager),
          .info = info,
          .xid = 7,
          .body = main_data_body(data.bytes())};
}

WalRecord tablespace_record(std::string_view path) {
  ByteWriter data;
  data.put(std::uint32_t{16700});
  data.put_bytes(as_byte_span(path));
  data.put(std::uint8_t{0});
  return {.manager = 5, .info = 0x00, .xid = 7, .body = main_data_body(data.bytes())};
}

// One of everything that an index lists.
void add_everything(WalBuilder& wal) {
  wal.add(tablespace_record("/srv/space"));
  wal.add(record_of(ResourceManager::kTablespace, 0x10, 16700U));
  wal.add(record_of(ResourceManager::kDatabase, 0x10, 16800U, 1663U));
  wal.add(record_of(ResourceManager::kDatabase, 0x20, 16801U, 1U, 1663U));
  wal.add_checkpoint(0x7'0000'0001);
  wal.add_checkpoint(0x7'0000'0002);
  wal.add(record_of(ResourceManager::kXlog, 0x90, std::int64_t{-77}, 3U, 2U));
  wal.add(record_of(ResourceManager::kXlog, 0x60, 100, 8, 10, 64, 128, 1, 0));
  wal.add(record_of(ResourceManager::kStandby, 0x10, 2U, 0U, 1U, 900U, 850U, 899U, 850U, 860U));
  wal.add_restore_point("a point", 99);
  wal.add({.manager = 201, .info = 0, .body = main_data_body(Bytes(3))});
  wal.add({.manager = 128, .info = 0, .body = main_data_body(Bytes(3))});
  wal.add({.manager = 201, .info = 0x10, .body = main_data_body(Bytes(3))});
}

void check_same_lists(const SegmentIndex& a, const SegmentIndex& b) {
  CHECK(a.restore_points == b.restore_points);
  CHECK(a.tablespaces == b.tablespaces);
  CHECK(a.databases == b.databases);
  CHECK(a.checkpoints == b.checkpoints);
  CHECK(a.recoveries == b.recoveries);
  CHECK(a.parameters == b.parameters);
  CHECK(a.running == b.running);
  CHECK(a.custom_managers == b.custom_managers);
  CHECK(a.min_xid == b.min_xid);
  CHECK(a.max_xid == b.max_xid);
  CHECK(a.commits_prepared == b.commits_prepared);
  CHECK(a.aborts_prepared == b.aborts_prepared);
  CHECK(a.has_relation_changes == b.has_relation_changes);
}

// What the record that is open at the end of segment 0 says, put together.
SegmentIndex joined_lists(const WalBuilder& wal, std::size_t segments, RelationChanges& changes) {
  JoinedRecord record(index_of(wal).index);
  REQUIRE(record.is_open());
  for (std::size_t i = 1; i < segments; ++i) {
    CHECK_FALSE(record.is_whole());
    REQUIRE(record.join(index_of(wal, i).index));
  }
  REQUIRE(record.is_whole());
  CHECK(record.is_valid());
  SegmentIndex lists;
  RecordVisitor visitor = lists.collector();
  visitor.on_lock = [&](const RelationLock& lock) { changes.locks.push_back(lock); };
  visitor.on_relation_name = [&](const RelationName& name) { changes.names.push_back(name); };
  visitor.on_file_creation = [&](const FileCreation& creation) {
    changes.created.push_back(
        {.start = creation.start, .xid = creation.xid, .file = creation.file});
  };
  record.visit(kVersion, visitor);
  return lists;
}

testing::WalBlock block_of(const RelationFile& file, std::uint32_t block) {
  return {.file = file, .block = block, .data = Bytes(9, std::byte{1})};
}

std::vector<std::uint32_t> blocks_of(const ChangedBlocks& changed, const RelationFile& file) {
  for (const ChangedFork& fork : changed.forks) {
    if (fork.file == file && fork.fork == Fork::kMain) return fork.blocks;
  }
  return {};
}

}  // namespace

TEST_CASE("an index lists everything that its segment says, in its order", "[wal]") {
  WalBuilder wal(kStart);
  add_everything(wal);
  wal.fill_segment();
  const SegmentIndex index = index_of(wal).index;
  REQUIRE(index.tablespaces.size() == 2);
  CHECK(index.tablespaces[0].path == "/srv/space");
  CHECK(index.tablespaces[1].is_drop);
  REQUIRE(index.databases.size() == 2);
  CHECK(index.databases[0].oid == 16800);
  CHECK(index.databases[1].is_drop);
  REQUIRE(index.checkpoints.size() == 2);
  CHECK(index.checkpoints[0].next_xid == 0x7'0000'0001);
  CHECK(index.next_xid() == 0x7'0000'0002);
  REQUIRE(index.recoveries.size() == 1);
  CHECK(index.recoveries[0].timeline == 3);
  REQUIRE(index.parameters.size() == 1);
  CHECK(index.parameters[0].max_locks_per_transaction == 128);
  REQUIRE(index.running.size() == 1);
  CHECK(index.running[0].overflowed);
  REQUIRE(index.restore_points.size() == 1);
  CHECK(index.custom_managers == std::vector<std::uint8_t>{128, 201});
}

TEST_CASE("lists of every kind are read back as they were written", "[wal]") {
  WalBuilder wal(kStart);
  add_everything(wal);
  wal.add_commit_prepared(900, 5);
  wal.add_abort_prepared(800, 6);
  wal.add(testing::lock_record({{1, 2, 3}}));
  wal.fill_segment();
  const SegmentIndex index = index_of(wal).index;
  CHECK(index.has_relation_changes);
  CHECK(index.min_xid == 800);
  CHECK(index.max_xid == 901);
  CHECK(index.commits_prepared == 1);
  CHECK(index.aborts_prepared == 1);
  check_same_lists(decode_index(encode_index(index)), index);
}

TEST_CASE("an index with lists of every kind cut or damaged at any byte only throws kCorrupt",
          "[wal]") {
  WalBuilder wal(kStart);
  add_everything(wal);
  const Bytes bytes = encode_index(index_of(wal).index);
  const auto decode = [](ByteSpan damaged) {
    try {
      decode_index(damaged);
      return true;
    } catch (const Error& error) {
      if (error.report().kind != ErrorKind::kCorrupt) FAIL(error.report().message);
      return false;
    }
  };
  REQUIRE(decode(bytes));
  for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
    if (decode(ByteSpan(bytes).first(offset))) FAIL("cut at " << offset);
    for (const unsigned value : {0x00U, 0x01U, 0x7FU, 0x80U, 0xFFU}) {
      Bytes damaged = bytes;
      damaged[offset] = static_cast<std::byte>(value);
      decode(damaged);
    }
  }
}

TEST_CASE("a record that says something is joined over two segments wherever it is cut", "[wal]") {
  const std::vector<WalRecord> records = {
      tablespace_record("/srv/" + std::string(200, 'p')),
      record_of(ResourceManager::kDatabase, 0x10, 16800U, 1663U),
      record_of(ResourceManager::kXlog, 0x60, 100, 8, 10, 64, 128, 1, 0),
      record_of(ResourceManager::kStandby, 0x10, 2U, 0U, 1U, 900U, 850U, 899U, 850U, 860U),
      testing::lock_record({{7, 5, 16384}, {8, 5, 16385}}),
      testing::file_creation_record(kNew, Fork::kMain, 7),
      testing::class_insert_record(5, {.oid = 16384, .name = "orders"}, 7, kVersion),
      WalRecord{.manager = 150, .body = main_data_body(Bytes(60))}};
  const std::size_t which = GENERATE(range(std::size_t{0}, std::size_t{8}));
  const WalRecord& record = records[which];
  const std::size_t length = kRecordHeaderSize + record.body.size();
  WalBuilder plain(kStart);
  const Lsn plain_start = plain.add(record);
  const Indexed direct = index_of(plain);
  for (std::size_t in_first = 8; in_first<length; in_first += length> 120 ? 24 : 8) {
    CAPTURE(which, in_first);
    WalBuilder wal(kStart);
    wal.fill_segment(in_first);
    const Lsn start = wal.add(record);
    wal.fill_segment();
    RelationChanges changes;
    SegmentIndex joined = joined_lists(wal, 2, changes);
    const auto moved = [&](auto list) {
      for (auto& one : list)
        one.start = one.start - start + plain_start;
      return list;
    };
    joined.tablespaces = moved(joined.tablespaces);
    joined.databases = moved(joined.databases);
    joined.parameters = moved(joined.parameters);
    joined.running = moved(joined.running);
    joined.has_relation_changes = direct.index.has_relation_changes;
    check_same_lists(joined, direct.index);
    CHECK(changes.locks == direct.details.relations.locks);
    CHECK(changes.created.size() == direct.details.relations.created.size());
    CHECK(moved(changes.names) == direct.details.relations.names);
  }
}

TEST_CASE("a record over three segments is joined whichever kind it is", "[wal]") {
  std::vector<RelationLock> locks(100'000);
  for (std::uint32_t i = 0; i < locks.size(); ++i)
    locks[i] = {.xid = 7, .database = 5, .relation = i};
  WalBuilder wal(kStart);
  wal.fill_segment(8);  // all the rest of its header is in the next segment
  wal.add(testing::lock_record(locks));
  wal.fill_segment();
  RelationChanges changes;
  joined_lists(wal, 3, changes);
  // Not all of it is kept; what is told is its beginning.
  REQUIRE(changes.locks.size() < locks.size());
  CHECK(std::equal(changes.locks.begin(), changes.locks.end(), locks.begin()));
  JoinedRecord record(index_of(wal).index);
  REQUIRE(record.join(index_of(wal, 1).index));
  REQUIRE(record.join(index_of(wal, 2).index));
  CHECK(record.is_cut());
  CHECK(record.is_valid());
}

TEST_CASE("a joined record with a damaged byte says nothing", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(32);
  wal.add(testing::lock_record({{7, 5, 16384}, {8, 5, 16385}}));
  wal.fill_segment();
  const SegmentIndex first = index_of(wal).index;
  const SegmentIndex second = index_of(wal, 1).index;
  const auto locks_of = [](const SegmentIndex& a, const SegmentIndex& b) {
    std::size_t locks = 0;
    JoinedRecord record(a);
    if (record.is_open() && record.join(b) && record.is_whole()) {
      record.visit(kVersion, {.on_lock = [&](const RelationLock&) { ++locks; }});
    }
    return locks;
  };
  REQUIRE(locks_of(first, second) == 2);
  // What of the record the index keeps only in a checksum is damaged there.
  const std::size_t header = std::min<std::size_t>(first.open_record_head.size(), 24);
  for (std::size_t i = 0; i < header; ++i) {
    SegmentIndex damaged = first;
    damaged.open_record_head[i] ^= std::byte{0x10};
    CHECK(locks_of(damaged, second) == 0);
  }
  for (std::size_t i = 0; i < RecordScanner::kContinuationSkipped; ++i) {
    SegmentIndex damaged = second;
    damaged.continuation_head[i] ^= std::byte{0x10};
    CHECK(locks_of(first, damaged) == 0);
  }
  SegmentIndex damaged = second;
  damaged.continuation_crc ^= 0x10;
  CHECK(locks_of(first, damaged) == 0);
  damaged = first;
  damaged.open_record_body_crc ^= 0x10;
  CHECK(locks_of(damaged, second) == 0);
}

TEST_CASE("a record that a crash cut short joins to nothing", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(40);
  wal.add_overwritten(500);
  wal.fill_segment();
  JoinedRecord record(index_of(wal).index);
  if (record.is_open()) CHECK_FALSE(record.join(index_of(wal, 1).index));
  CHECK_FALSE(record.is_whole());
}

TEST_CASE("indexes with any byte of their heads cut join without a crash", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(24);
  wal.add(testing::lock_record({{7, 5, 16384}, {8, 5, 16385}}));
  wal.fill_segment();
  const SegmentIndex first = index_of(wal).index;
  const SegmentIndex second = index_of(wal, 1).index;
  for (std::size_t a = 0; a <= first.open_record_head.size(); ++a) {
    for (std::size_t b = 0; b <= second.continuation_head.size(); ++b) {
      SegmentIndex cut = first;
      cut.open_record_head.resize(a);
      SegmentIndex rest = second;
      rest.continuation_head.resize(b);
      JoinedRecord record(cut);
      if (record.is_open() && record.join(rest)) record.visit(kVersion, {});
    }
  }
}

TEST_CASE("a commit longer than is kept of a record is whole in its own segment", "[wal]") {
  std::vector<std::uint32_t> subtransactions(30'000);
  std::iota(subtransactions.begin(), subtransactions.end(), 1000U);
  REQUIRE(subtransactions.size() * 4 > RecordScanner::kBodyKept);
  WalBuilder wal(kStart);
  wal.add(testing::transaction_end_record(
      {.time = 5, .subtransactions = subtransactions, .dropped_files = {kFile}}, 999, kVersion));
  wal.fill_segment();
  const Indexed indexed = index_of(wal);
  CHECK(indexed.index.min_xid == 999);
  CHECK(indexed.index.max_xid == 30'999);
  CHECK(indexed.details.xids.size() == 30'001);
  REQUIRE(indexed.details.relations.drops.size() == 1);
  CHECK(indexed.details.relations.drops[0].dropped_files == std::vector<RelationFile>{kFile});
}

TEST_CASE("a commit longer than is kept that ends in a later segment says that it is cut",
          "[wal]") {
  std::vector<std::uint32_t> subtransactions(60'000);
  std::iota(subtransactions.begin(), subtransactions.end(), 1000U);
  WalBuilder wal(kStart);
  wal.fill_segment(120'000);
  wal.add(testing::transaction_end_record(
      {.time = 5, .subtransactions = subtransactions, .dropped_files = {kFile}}, 999, kVersion));
  wal.fill_segment();
  JoinedRecord record(index_of(wal).index);
  REQUIRE(record.is_open());
  REQUIRE(record.join(index_of(wal, 1).index));
  REQUIRE(record.is_whole());
  CHECK(record.is_valid());
  CHECK(record.is_cut());
  std::vector<TransactionEnd> ends;
  record.visit(kVersion, {.on_transaction_end = [&](const auto& end) { ends.push_back(end); }});
  REQUIRE(ends.size() == 1);
  CHECK(ends[0].xid == 999);
  CHECK(ends[0].time == 5);
}

TEST_CASE("a created file is as long as its transaction left it", "[wal]") {
  WalBuilder wal(kStart);
  wal.add(testing::file_creation_record(kNew, Fork::kMain, 700));
  for (std::uint32_t block = 0; block < 5; ++block)
    wal.add(testing::blocks_record({block_of(kNew, block)}, 700, kVersion));
  SECTION("it commits") { wal.add_commit(700, 1); }
  SECTION("it aborts") { wal.add_abort(700, 1); }
  SECTION("its parent commits") {
    wal.add(
        testing::transaction_end_record({.time = 1, .subtransactions = {699, 700}}, 690, kVersion));
  }
  SECTION("it is a prepared one") { wal.add_commit_prepared(700, 1); }
  SECTION("the subtransaction of a prepared one") { wal.add_commit_prepared(699, 1); }
  for (std::uint32_t block = 0; block < 50; ++block)
    wal.add(testing::blocks_record({block_of(kNew, block)}, 701, kVersion));
  wal.add_commit(701, 2);
  wal.fill_segment();
  const RelationChanges relations = index_of(wal).details.relations;
  REQUIRE(relations.created.size() == 1);
  CHECK(relations.created[0].xid == 700);
  CHECK(relations.created[0].length == 5);
}

TEST_CASE("a created file whose transaction goes on is as long as at the segment's end", "[wal]") {
  WalBuilder wal(kStart);
  wal.add(testing::file_creation_record(kNew, Fork::kMain, 700));
  wal.add(testing::file_creation_record(kFile, Fork::kMain, 700));
  wal.add_commit(699, 1);  // another's
  wal.add(testing::blocks_record({block_of(kNew, 7)}, 700, kVersion));
  wal.fill_segment();
  const RelationChanges relations = index_of(wal).details.relations;
  REQUIRE(relations.created.size() == 2);
  CHECK(relations.created[0].length == 8);
  CHECK(relations.created[1].length == 0);
}

TEST_CASE("main and init forks are created files, and every fork changes from its first block",
          "[wal]") {
  WalBuilder wal(kStart);
  for (const Fork fork : {Fork::kMain, Fork::kFreeSpaceMap, Fork::kVisibilityMap, Fork::kInit})
    wal.add(testing::file_creation_record(kNew, fork, 700));
  wal.fill_segment();
  const SegmentDetails details = index_of(wal).details;
  CHECK(details.relations.created.size() == 2);
  REQUIRE(details.changed_blocks.forks.size() == 4);
  for (const ChangedFork& fork : details.changed_blocks.forks)
    CHECK(fork.from == 0);
}

TEST_CASE("locks are sorted, each once; names and drops come in their order", "[wal]") {
  WalBuilder wal(kStart);
  wal.add(testing::lock_record({{9, 5, 1}, {7, 5, 2}}));
  wal.add(testing::lock_record({{7, 5, 2}}));
  wal.add(testing::class_insert_record(5, {.oid = 30, .name = "b"}, 7, kVersion));
  wal.add(testing::class_insert_record(5, {.oid = 20, .name = "a"}, 7, kVersion));
  wal.add(testing::lock_record({{9, 5, 1}}));
  wal.add(testing::transaction_end_record({.dropped_files = {kFile}}, 9, kVersion));
  wal.add(
      testing::transaction_end_record({.is_commit = false, .dropped_files = {kNew}}, 8, kVersion));
  wal.add(testing::transaction_end_record({.dropped_files = {kNew}}, 7, kVersion));
  wal.fill_segment();
  const RelationChanges relations = index_of(wal).details.relations;
  CHECK(relations.locks == std::vector<RelationLock>{{7, 5, 2}, {9, 5, 1}});
  REQUIRE(relations.names.size() == 2);
  CHECK(relations.names[0].name == "b");
  REQUIRE(relations.drops.size() == 2);  // an abort drops what it made
  CHECK(relations.drops[0].xid == 9);
  CHECK(relations.drops[1].dropped_files == std::vector<RelationFile>{kNew});
}

TEST_CASE("changed blocks are those of every record, with truncations and databases", "[wal]") {
  WalBuilder wal(kStart);
  wal.add(testing::blocks_record({block_of(kFile, 9), block_of(kFile, 3)}, 7, kVersion));
  wal.add(testing::file_truncation_record(kFile, 5, 7));
  wal.add(record_of(ResourceManager::kDatabase, 0x10, 16800U, 1663U));
  wal.add(record_of(ResourceManager::kDatabase, 0x20, 16801U, 1U, 1663U));
  wal.fill_segment();
  const ChangedBlocks changed = index_of(wal).details.changed_blocks;
  CHECK(changed.databases == std::vector<std::uint32_t>{16800, 16801});
  REQUIRE(changed.forks.size() == 3);
  CHECK(changed.forks[0].fork == Fork::kMain);
  CHECK(changed.forks[0].from == 5);
  CHECK(blocks_of(changed, kFile).front() == 3);
  CHECK(changed.forks[1].from == 0);
  CHECK(changed.forks[2].from == 0);
}

TEST_CASE("a block that a record over two segments changes is told by one of them", "[wal]") {
  const WalRecord record = testing::blocks_record(
      {block_of(kFile, 9), {.file = kNew, .block = 4, .id = 1, .data = Bytes(300)}}, 7, kVersion);
  const std::size_t length = kRecordHeaderSize + record.body.size();
  for (std::size_t in_first = 8; in_first < length; in_first += 8) {
    CAPTURE(in_first);
    WalBuilder wal(kStart);
    wal.fill_segment(in_first);
    wal.add(record);
    wal.fill_segment();
    const ChangedBlocks first = index_of(wal).details.changed_blocks;
    const ChangedBlocks second = index_of(wal, 1).details.changed_blocks;
    const auto told = [&](const RelationFile& file) {
      return !blocks_of(first, file).empty() || !blocks_of(second, file).empty();
    };
    const bool all_told = first.omitted || second.omitted || (told(kFile) && told(kNew));
    // Or the heads that are kept let it be put together.
    const SegmentIndex head = index_of(wal).index;
    Bytes together = head.open_record_head;
    if (together.size() == head.open_record_taken) {
      const Bytes rest = index_of(wal, 1).index.continuation_head;
      together.insert(together.end(), rest.begin(), rest.end());
    }
    RecordView view;
    const bool can_be_joined = view.parse(together, kVersion) && view.blocks().size() == 2;
    CHECK((all_told || can_be_joined));
  }
}

}  // namespace pitr
