#include "catalog/history.h"

#include <catch2/catch.hpp>

#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::at;
using testing::HandMadeWal;
using testing::k1MiB;
using testing::lsn_in;
using testing::postgres_time;

namespace {

using Kind = HistoryEvent::Kind;

constexpr std::uint32_t kDatabase = 5;
constexpr std::uint32_t kTable = 16384;
constexpr std::uint32_t kIndex = 16388;
constexpr std::uint32_t kToast = 16390;
constexpr std::uint32_t kToastIndex = 16391;

RelationFile file_of(std::uint32_t number) { return {1663, kDatabase, number}; }

// Hand-made rows with what their segments say of relations.
class Story {
 public:
  HandMadeWal wal;
  RelationNames names;
  std::vector<MappedRelation> map;  // of before everything

  // A transaction's evidence goes to `segment`, its end to offset 1000 and up.
  struct Change {
    std::uint32_t xid = 700;
    std::uint32_t evidence_xid = 0;  // 0: the same
    std::vector<std::uint32_t> locked = {};
    std::vector<CreatedFile> created = {};
    std::vector<RelationName> rows = {};
    std::vector<std::uint32_t> dropped = {};
    std::vector<std::uint32_t> subtransactions = {};
  };

  Story() {
    for (const auto& [oid, kind, name] :
         {std::tuple(kTable, 'r', "orders"), std::tuple(kIndex, 'i', "orders_pkey"),
          std::tuple(kToast, 't', "pg_toast_16384"), std::tuple(kToastIndex, 'i', "pg_toast_index"),
          std::tuple(16400U, 'r', "items"), std::tuple(16500U, 'm', "totals")}) {
      map.push_back({.database = kDatabase,
                     .oid = oid,
                     .file_number = oid,
                     .kind = kind,
                     .schema = "public",
                     .name = name});
    }
  }

  // `second` is that of the commit, which is what the order of events follows.
  void add(std::uint64_t segment, int second, const Change& change, TimelineId timeline = 1) {
    const std::string key = key_of(timeline, segment);
    RelationChanges& changes = changes_[key];
    const std::uint32_t xid = change.evidence_xid == 0 ? change.xid : change.evidence_xid;
    for (const std::uint32_t oid : change.locked)
      changes.locks.push_back({.xid = xid, .database = kDatabase, .relation = oid});
    for (CreatedFile created : change.created) {
      created.xid = xid;
      created.start = lsn_in(segment, 500 + 10 * changes.created.size());
      changes.created.push_back(created);
    }
    for (RelationName row : change.rows) {
      row.xid = xid;
      row.start = lsn_in(segment, 400 + 10 * changes.names.size());
      changes.names.push_back(std::move(row));
    }
    if (change.dropped.empty()) return;
    TransactionEnd end{.start = lsn_in(segment, 1000 + 50 * changes.drops.size()),
                       .time = postgres_time(second),
                       .xid = change.xid,
                       .is_commit = true,
                       .subtransactions = change.subtransactions};
    for (const std::uint32_t number : change.dropped)
      end.dropped_files.push_back(file_of(number));
    changes.drops.push_back(std::move(end));
  }

  void set(std::uint64_t segment, RelationChanges changes, TimelineId timeline = 1) {
    changes_[key_of(timeline, segment)] = std::move(changes);
  }

  ChangedBlocks& changed_blocks(std::uint64_t segment) { return blocks_[key_of(1, segment)]; }

  std::vector<HistoryEvent> tell(const HistoryRequest& request = {}) {
    for (SegmentRow& row : wal.segments)
      row.index.has_relation_changes = changes_.contains(row.key);
    const HistoryReader reader{
        .transactions = [this](const SegmentRow& row) { return wal.read(row); },
        .relation_changes =
            [this](const SegmentRow& row) {
              return changes_.contains(row.key) ? changes_.at(row.key) : RelationChanges{};
            },
        .changed_blocks =
            [this](const SegmentRow& row) {
              return blocks_.contains(row.key) ? blocks_.at(row.key) : ChangedBlocks{};
            }};
    const RawHistory raw = collect_history(wal.all(), request, reader, names);
    for (const MappedRelation& relation : map)
      names.add(relation, at(-100));
    return resolve_history(raw, names);
  }

 private:
  std::string key_of(TimelineId timeline, std::uint64_t segment) {
    return wal.whole(timeline, segment).key;
  }

  std::map<std::string, RelationChanges> changes_;
  std::map<std::string, ChangedBlocks> blocks_;
};

CreatedFile created(std::uint32_t number, std::uint32_t length = 0) {
  return {.file = file_of(number), .length = length};
}

RelationName row_of(std::uint32_t oid, std::string name, std::uint32_t file_number,
                    char kind = 'r') {
  return {.database = kDatabase,
          .oid = oid,
          .schema_oid = 2200,
          .file_number = file_number,
          .kind = kind,
          .name = std::move(name)};
}

std::vector<std::string> names_of(const HistoryEvent& event) {
  std::vector<std::string> names;
  for (const MappedRelation& relation : event.relations)
    names.push_back(relation.name);
  return names;
}

using Names = std::vector<std::string>;

Story with_segments(std::uint64_t count = 4) {
  Story story;
  for (std::uint64_t number = 1; number <= count; ++number)
    story.wal.add(1, number, {{.offset = 900, .second = static_cast<int>(number), .xid = 600}});
  return story;
}

const std::vector<std::uint32_t> kAllFiles = {kTable, kIndex, kToast, kToastIndex};

}  // namespace

TEST_CASE("nothing happened, nothing is told", "[catalog]") {
  Story empty;
  CHECK(empty.tell().empty());
  Story quiet = with_segments();
  CHECK(quiet.tell().empty());
}

TEST_CASE("a restore point is told with its name and place", "[catalog]") {
  Story story = with_segments();
  story.wal.whole(1, 2).index.restore_points.push_back(
      {.start = lsn_in(2, 800), .end = lsn_in(2, 900), .time = postgres_time(2), .name = "here"});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kRestorePoint);
  CHECK(events[0].name == "here");
  CHECK(events[0].lsn == lsn_in(2, 800));
  CHECK(events[0].time == postgres_time(2));
  CHECK(events[0].timeline == 1);
  CHECK(events[0].segment == "000000010000000000000002");
  CHECK(events[0].xid == 0);
}

TEST_CASE("a dropped table is told once, without its index and TOAST table", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {kTable, kIndex}, .dropped = kAllFiles});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kDrop);
  CHECK(names_of(events[0]) == Names{"orders"});
  CHECK(events[0].relations[0].schema == "public");
  CHECK(events[0].relations[0].oid == kTable);
  CHECK(events[0].xid == 700);
  CHECK(events[0].time == postgres_time(20));
  CHECK(events[0].lsn == lsn_in(2, 1000));
  CHECK(events[0].segment == "000000010000000000000002");
}

TEST_CASE("two tables dropped by one transaction are one event", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {kTable, 16400}, .dropped = {kTable, kIndex, 16400, 16500}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(names_of(events[0]) == Names{"orders", "items", "totals"});
}

TEST_CASE("a drop has a 64-bit transaction id where a checkpoint told the epoch", "[catalog]") {
  Story story = with_segments();
  story.wal.whole(1, 1).index.checkpoints.push_back(
      {.start = lsn_in(1, 100), .next_xid = 0x3'0000'0500});
  story.add(2, 20, {.xid = 0x4FF, .locked = {kTable}, .dropped = {kTable}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].full_xid == 0x3'0000'04FF);
}

TEST_CASE("a truncated table gets new files that are empty, its indexes their first pages",
          "[catalog]") {
  Story story = with_segments();
  story.add(2, 20,
            {.locked = {kTable},
             .created = {created(16600), created(16601, 1), created(16602), created(16603, 1)},
             .dropped = kAllFiles});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kTruncate);
  CHECK(names_of(events[0]) == Names{"orders"});
}

TEST_CASE("a table without index and TOAST table is truncated", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {16400}, .created = {created(16600)}, .dropped = {16400}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kTruncate);
  CHECK(names_of(events[0]) == Names{"items"});
}

TEST_CASE("two tables truncated at once are one event", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20,
            {.locked = {kTable, 16400},
             .created = {created(16600), created(16601, 1), created(16602), created(16603, 1),
                         created(16604)},
             .dropped = {kTable, kIndex, kToast, kToastIndex, 16400}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kTruncate);
  CHECK(names_of(events[0]) == Names{"orders", "items"});
}

TEST_CASE("a table truncated twice is named the second time, too", "[catalog]") {
  Story story = with_segments();
  const bool with_parts = GENERATE(true, false);
  if (with_parts) {
    story.add(2, 20,
              {.locked = {kTable},
               .created = {created(16600), created(16601, 1), created(16602), created(16603, 1)},
               .dropped = kAllFiles});
    story.add(3, 30,
              {.xid = 701,
               .locked = {kTable},
               .created = {created(16700), created(16701, 1), created(16702), created(16703, 1)},
               .dropped = {16600, 16601, 16602, 16603}});
  } else {
    story.add(2, 20, {.locked = {kTable}, .created = {created(16600)}, .dropped = {kTable}});
    story.add(3, 30,
              {.xid = 701, .locked = {kTable}, .created = {created(16700)}, .dropped = {16600}});
  }
  const auto events = story.tell();
  REQUIRE(events.size() == 2);
  for (const HistoryEvent& event : events) {
    CHECK(event.kind == Kind::kTruncate);
    CHECK(names_of(event) == Names{"orders"});
  }
  CHECK(events[1].xid == 701);
}

TEST_CASE("a table truncated, then dropped, is dropped under its name", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {kTable}, .created = {created(16600)}, .dropped = {kTable}});
  story.add(3, 30, {.xid = 701, .locked = {kTable}, .dropped = {16600}});
  const auto events = story.tell();
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == Kind::kTruncate);
  CHECK(events[1].kind == Kind::kDrop);
  CHECK(names_of(events[1]) == Names{"orders"});
}

TEST_CASE("a rewrite is told by its transient table's row, however long the new file is",
          "[catalog]") {
  const std::uint32_t length = GENERATE(0U, 1U, 500U);
  Story story = with_segments();
  story.add(2, 20,
            {.locked = {kTable},
             .created = {created(16600, length), created(16601, 2)},
             .rows = {row_of(16600, "pg_temp_16384", 16600)},
             .dropped = {kTable, kIndex}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kRewrite);
  CHECK(names_of(events[0]) == Names{"orders"});
}

TEST_CASE("a new file that is not empty makes no truncation", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {16400}, .created = {created(16600, 12)}, .dropped = {16400}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kRewrite);
}

TEST_CASE("a new file filled in a later segment makes no truncation", "[catalog]") {
  Story story = with_segments();
  story.add(2, 0, {.locked = {16400}, .created = {created(16600)}});
  story.changed_blocks(3).forks.push_back({.file = file_of(16600), .blocks = {0, 1, 2, 3}});
  story.add(4, 40, {.dropped = {16400}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kRewrite);
  CHECK(names_of(events[0]) == Names{"items"});
  CHECK(events[0].segment == "000000010000000000000004");
}

TEST_CASE("an index rebuilt alone is nothing that happened to a table", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {kIndex}, .created = {created(16600, 2)}, .dropped = {kIndex}});
  CHECK(story.tell().empty());
}

TEST_CASE("a TOAST table and its index dropped alone are nothing of their own", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.dropped = {kToast, kToastIndex, kIndex}});
  CHECK(story.tell().empty());
}

TEST_CASE("a table created beside a drop does not make it a rewrite", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20,
            {.locked = {kTable},
             .created = {created(16600), created(16601, 1)},
             .rows = {row_of(16600, "next", 16600), row_of(16601, "next_pkey", 16601, 'i')},
             .dropped = {kTable, kIndex}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kDrop);
  CHECK(names_of(events[0]) == Names{"orders"});
}

TEST_CASE("a drop in a subtransaction is told under the transaction that committed", "[catalog]") {
  Story story = with_segments();
  story.add(2, 0,
            {.evidence_xid = 702,
             .locked = {kTable},
             .created = {created(16600, 5)},
             .rows = {row_of(16600, "next", 16600)}});
  story.add(3, 30, {.dropped = {kTable}, .subtransactions = {701, 702}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kDrop);
  CHECK(events[0].xid == 700);
  CHECK(names_of(events[0]) == Names{"orders"});
}

TEST_CASE("the evidence of another transaction is not this one's", "[catalog]") {
  Story story = with_segments();
  story.add(2, 0, {.xid = 650, .locked = {16400}, .created = {created(16600)}});
  story.add(2, 20, {.locked = {kTable}, .dropped = {kTable}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kDrop);
}

TEST_CASE("what one transaction both created and dropped was never there", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20,
            {.locked = {16600},
             .created = {created(16600), created(16601, 1)},
             .rows = {row_of(16600, "passing", 16600), row_of(16601, "passing_pkey", 16601, 'i')},
             .dropped = {16600, 16601}});
  CHECK(story.tell().empty());
}

TEST_CASE("what was created and dropped beside a real drop is left out of it", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20,
            {.locked = {16600, kTable},
             .created = {created(16600)},
             .rows = {row_of(16600, "passing", 16600)},
             .dropped = {16600, kTable}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kDrop);
  CHECK(names_of(events[0]) == Names{"orders"});
}

TEST_CASE("a relation that nobody named is told by its numbers", "[catalog]") {
  Story story = with_segments();
  story.add(2, 20, {.locked = {99'000}, .dropped = {99'000}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kDrop);
  REQUIRE(events[0].relations.size() == 1);
  CHECK(events[0].relations[0].name.empty());
  CHECK(events[0].relations[0].file_number == 99'000);
  CHECK(events[0].relations[0].database == kDatabase);
}

TEST_CASE("a relation younger than every map is named by its row in the WAL", "[catalog]") {
  Story story = with_segments();
  story.add(1, 0,
            {.xid = 650, .created = {created(99'000)}, .rows = {row_of(99'000, "young", 99'000)}});
  story.add(3, 30, {.locked = {99'000}, .dropped = {99'000}});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(names_of(events[0]) == Names{"young"});
}

TEST_CASE("events come by time, whatever segment they are in", "[catalog]") {
  Story story = with_segments();
  story.add(2, 40, {.locked = {kTable}, .dropped = {kTable}});
  story.add(3, 30, {.xid = 701, .locked = {16400}, .dropped = {16400}});
  const auto events = story.tell();
  REQUIRE(events.size() == 2);
  CHECK(names_of(events[0]) == Names{"items"});
  CHECK(names_of(events[1]) == Names{"orders"});
}

TEST_CASE("from and to are both inclusive", "[catalog]") {
  const auto told = [](std::optional<Instant> from, std::optional<Instant> to) {
    Story story = with_segments();
    story.add(1, 10, {.xid = 701, .locked = {kTable}, .dropped = {kTable}});
    story.add(2, 20, {.xid = 702, .locked = {16400}, .dropped = {16400}});
    story.add(3, 30, {.xid = 703, .locked = {16500}, .dropped = {16500}});
    Names names;
    for (const HistoryEvent& event : story.tell({.from = from, .to = to}))
      names.push_back(names_of(event).at(0));
    return names;
  };
  CHECK(told({}, {}) == Names{"orders", "items", "totals"});
  CHECK(told(at(20), {}) == Names{"items", "totals"});
  CHECK(told({}, at(20)) == Names{"orders", "items"});
  CHECK(told(at(20), at(20)) == Names{"items"});
  CHECK(told(at(20) + std::chrono::microseconds(1), at(30) - std::chrono::microseconds(1)).empty());
}

TEST_CASE("a change before the wanted time still tells the names of later ones", "[catalog]") {
  Story story = with_segments();
  story.add(1, 10, {.xid = 701, .rows = {row_of(99'000, "young", 99'000)}});
  story.add(3, 30, {.locked = {99'000}, .dropped = {99'000}});
  const auto events = story.tell({.from = at(30), .to = {}});
  REQUIRE(events.size() == 1);
  CHECK(names_of(events[0]) == Names{"young"});
}

TEST_CASE("on two timelines what lies before the fork is the parent's alone", "[catalog]") {
  Story story;
  for (std::uint64_t number = 1; number <= 4; ++number)
    story.wal.add(1, number, {{.offset = 900, .second = 1, .xid = 600}});
  story.wal.add(2, 3, {{.offset = 900, .second = 1, .xid = 600}});
  story.wal.add_history(2, "1\t0/300600\tx\n");
  // Before the fork, in both timelines' segment 3: the parent's. Behind it each has its own.
  for (const TimelineId timeline : {1U, 2U}) {
    story.add(3, 10, {.xid = 701, .locked = {kTable}, .dropped = {kTable}}, timeline);
    SegmentRow& row = story.wal.whole(timeline, 3);
    row.index.restore_points.push_back(
        {.start = lsn_in(3, 0x5F0), .time = postgres_time(11), .name = "before"});
    row.index.restore_points.push_back({.start = lsn_in(3, 0x600),
                                        .time = postgres_time(12 + static_cast<int>(timeline)),
                                        .name = "behind on " + std::to_string(timeline)});
  }
  const auto events = story.tell();
  REQUIRE(events.size() == 4);
  CHECK(events[0].kind == Kind::kDrop);
  CHECK(events[0].timeline == 1);
  CHECK(events[1].name == "before");
  CHECK(events[1].timeline == 1);
  CHECK(events[2].name == "behind on 1");
  CHECK(events[3].name == "behind on 2");
  CHECK(events[3].timeline == 2);
  CHECK(events[3].segment == "000000020000000000000003");
}

TEST_CASE("a database's coming and going counts once it was committed", "[catalog]") {
  Story story;
  story.wal.add(1, 1, {{.offset = 900, .second = 1, .xid = 700}});
  story.wal.add(1, 2, {{.offset = 900, .second = 2, .xid = 701, .is_commit = false}});
  story.wal.add(1, 3, {{.offset = 500, .second = 3, .xid = 703}});
  story.wal.add(1, 4, {{.offset = 900, .second = 4, .xid = 702}});
  const auto change = [&](std::uint64_t segment, std::uint32_t xid, std::uint32_t oid,
                          bool is_drop) {
    story.wal.whole(1, segment)
        .index.databases.push_back(
            {.start = lsn_in(segment, 700), .xid = xid, .oid = oid, .is_drop = is_drop});
  };
  change(1, 700, 17'000, false);
  change(2, 701, 17'001, false);  // rolled back
  change(3, 702, 17'000, true);   // commits in a later segment
  story.names.add_database(17'000, "shop");
  const auto events = story.tell();
  REQUIRE(events.size() == 2);
  CHECK(events[0].kind == Kind::kCreateDatabase);
  CHECK(events[0].database == 17'000);
  CHECK(events[0].name == "shop");
  CHECK(events[0].time == postgres_time(1));
  CHECK(events[1].kind == Kind::kDropDatabase);
  CHECK(events[1].xid == 702);
  CHECK(events[1].time == postgres_time(4));
  CHECK(events[1].segment == "000000010000000000000004");
}

TEST_CASE("whatever else a transaction did, every table that it dropped is told", "[catalog]") {
  Story story = with_segments();
  // DROP orders and TRUNCATE items: what became of which cannot be said without more evidence.
  story.add(
      2, 20,
      {.locked = {kTable, 16400}, .created = {created(16600)}, .dropped = {kTable, kIndex, 16400}});
  Names told;
  for (const HistoryEvent& event : story.tell()) {
    for (const std::string& name : names_of(event))
      told.push_back(name);
  }
  std::sort(told.begin(), told.end());
  CHECK(told == Names{"items", "orders"});
}

TEST_CASE("a database whose template is large commits many segments later", "[catalog]") {
  const std::uint64_t commit = GENERATE(3U, 12U, 300U);
  const std::uint64_t begin = GENERATE(1U, 4095U);  // and over the end of a log
  Story story;
  for (std::uint64_t number = begin; number <= begin + commit; ++number)
    story.wal.add(1, number,
                  {{.offset = 900, .second = 1, .xid = number == begin + commit ? 700U : 600U}});
  story.wal.whole(1, begin).index.databases.push_back(
      {.start = lsn_in(begin, 700), .xid = 700, .oid = 17'000});
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == Kind::kCreateDatabase);
  CHECK(events[0].xid == 700);
}

// Of an unlogged table only the init fork's creation is in the WAL.
TEST_CASE("a truncated unlogged table was not dropped", "[catalog]") {
  testing::WalBuilder wal(lsn_in(2, 0));
  wal.add(testing::lock_record({{700, kDatabase, kTable}}));
  wal.add(testing::file_creation_record(file_of(16600), Fork::kInit, 700));
  wal.add(testing::file_creation_record(file_of(16601), Fork::kInit, 700));
  wal.add(testing::transaction_end_record(
      {.time = postgres_time(20), .dropped_files = {file_of(kTable), file_of(kIndex)}}, 700, 15));
  SegmentIndexer indexer(lsn_in(2, 0), k1MiB);
  indexer.feed(wal.segment(0));
  indexer.finish();
  Story story = with_segments();
  story.set(2, indexer.take_details().relations);
  for (const HistoryEvent& event : story.tell())
    CHECK(event.kind != Kind::kDrop);
}

// A prepared transaction outlives a promotion.
TEST_CASE("evidence from before a fork counts for what was prepared there", "[catalog]") {
  Story story;
  for (std::uint64_t number = 1; number <= 3; ++number)
    story.wal.add(1, number, {{.offset = 900, .second = 1, .xid = 600}});
  for (std::uint64_t number = 3; number <= 4; ++number)
    story.wal.add(2, number, {{.offset = 900, .second = 1, .xid = 600}});
  story.wal.add_history(2, "1\t0/300600\tx\n");
  story.add(2, 0, {.locked = {16400}, .created = {created(16600)}});
  story.add(4, 40, {.dropped = {16400}}, 2);
  const auto events = story.tell();
  REQUIRE(events.size() == 1);
  CHECK(events[0].timeline == 2);
  CHECK(events[0].kind == Kind::kTruncate);
}

TEST_CASE("segments are visited with their commits, the fork's clipped", "[catalog]") {
  Story story;
  story.wal.add(1, 1, {{.offset = 500, .second = 1, .xid = 600}});
  story.wal.add(
      1, 2, {{.offset = 500, .second = 5, .xid = 601}, {.offset = 900, .second = 9, .xid = 602}});
  story.wal.add(2, 2,
                {{.offset = 500, .second = 5, .xid = 601},
                 {.offset = 0x900, .second = 8, .xid = 650, .is_commit = false}});
  story.wal.add_history(2, "1\t0/200300\tx\n");
  const HistoryReader reader{
      .transactions = [&](const SegmentRow& row) { return story.wal.read(row); }};
  const auto visited = [&](const HistoryRequest& request) {
    std::vector<HistorySegment> segments;
    visit_history_segments(story.wal.all(), request, reader,
                           [&](const HistorySegment& one) { segments.push_back(one); });
    return segments;
  };
  const auto all = visited({});
  REQUIRE(all.size() == 3);
  CHECK(all[0].segment == "000000010000000000000001");
  CHECK(all[0].commits == 1);
  CHECK(all[1].commits == 2);
  CHECK(all[1].first_commit == postgres_time(5));
  CHECK(all[1].last_commit == postgres_time(9));
  CHECK(all[2].segment == "000000020000000000000002");
  CHECK(all[2].commits == 0);
  CHECK(all[2].aborts == 1);
  CHECK_FALSE(all[2].last_commit);
  CHECK(visited({.from = at(6), .to = {}}).size() == 2);
  CHECK(visited({.from = {}, .to = at(4)}).size() == 1);
  CHECK(visited({.from = at(2), .to = at(4)}).empty());
}

}  // namespace pitr
