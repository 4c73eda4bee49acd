#include "catalog/wal_rows.h"

#include <random>
#include <set>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::at;
using testing::error_kind_of;
using testing::HandMadeWal;
using testing::k1MiB;
using testing::lsn_in;
using testing::postgres_time;
using testing::WalBuilder;

namespace {

constexpr unsigned kVersion = 15;
constexpr std::uint64_t kPerLog = 4096;  // segments of 1 MiB

SegmentName name_of(std::uint64_t number, TimelineId timeline = 1) {
  return SegmentName::containing(timeline, lsn_in(number, 0), k1MiB);
}

SegmentRow row_of(std::uint64_t number, TimelineId timeline = 1) {
  SegmentRow row{.name = name_of(number, timeline), .key = name_of(number, timeline).to_string()};
  row.stored_bytes = 1000 + number;
  row.archived_at = at(static_cast<int>(number % 1000));
  row.index.first_record = lsn_in(number, 40);
  row.index.last_record = lsn_in(number, 500);
  row.index.end_of_records = lsn_in(number + 1, 0);
  row.index.valid_end = lsn_in(number + 1, 0);
  return row;
}

SegmentRow tail_of(std::uint64_t number, std::uint64_t length, TimelineId timeline = 1) {
  SegmentRow row = row_of(number, timeline);
  row.kind = StoredWalName::Kind::kTail;
  row.key += "." + std::to_string(length);
  row.index.complete = false;
  row.index.valid_end = lsn_in(number, length);
  return row;
}

// Rows of real WAL, as many segments as it has, beginning at `number`.
std::vector<SegmentRow> rows_of(const WalBuilder& wal, std::uint64_t number, std::size_t count) {
  std::vector<SegmentRow> rows;
  for (std::size_t i = 0; i < count; ++i) {
    SegmentRow row = row_of(number + i);
    SegmentIndexer indexer(lsn_in(number + i, 0), k1MiB);
    indexer.feed(wal.segment(i));
    row.index = indexer.finish();
    rows.push_back(std::move(row));
  }
  return rows;
}

// A commit of so many bytes, with 24 of them in the first segment.
WalBuilder open_commit(std::uint64_t number, std::size_t subtransactions = 0,
                       std::vector<RelationFile> dropped = {}) {
  WalBuilder wal(lsn_in(number, 0));
  wal.fill_segment(24);
  std::vector<std::uint32_t> xids(subtransactions);
  for (std::size_t i = 0; i < xids.size(); ++i)
    xids[i] = static_cast<std::uint32_t>(1000 + i);
  wal.add(testing::transaction_end_record(
      {.time = 55, .subtransactions = xids, .dropped_files = std::move(dropped)}, 700, kVersion));
  wal.fill_segment();
  return wal;
}

SegmentIndex random_index(std::mt19937& random) {
  SegmentIndex index;
  for (std::size_t i = random() % 4; i > 0; --i)
    index.add({.time = static_cast<std::int64_t>(random() % 2000) - 1000,
               .xid = static_cast<std::uint32_t>(1 + random() % 1000),
               .is_commit = random() % 2 == 0});
  if (random() % 3 == 0) index.checkpoints.push_back({.next_xid = 1 + random()});
  if (random() % 3 == 0) index.restore_points.push_back({.name = "p"});
  if (random() % 3 == 0) index.tablespaces.push_back({.oid = 1});
  if (random() % 3 == 0) index.databases.push_back({.oid = 1});
  if (random() % 3 == 0) index.parameters.push_back({.max_connections = 1});
  if (random() % 3 == 0) index.running.push_back({.count = 1});
  if (random() % 3 == 0) index.custom_managers.push_back(130);
  index.has_relation_changes = random() % 3 == 0;
  return index;
}

// Many logs with a few segments each, and how often each was loaded.
struct Archive {
  std::map<std::pair<TimelineId, std::uint32_t>, LogRows> logs;
  std::map<std::pair<TimelineId, std::uint32_t>, int> loads;

  void add(SegmentRow row) {
    LogRows& log = logs[{row.name.timeline, row.name.log}];
    const bool is_whole = row.kind == StoredWalName::Kind::kSegment;
    auto& list = is_whole ? log.segments : log.beginnings;
    list.push_back(std::move(row));
    std::sort(list.begin(), list.end(), [](const SegmentRow& a, const SegmentRow& b) {
      return std::tie(a.name, a.key) < std::tie(b.name, b.key);
    });
  }

  WalRows rows() {
    std::vector<LogSummary> summaries;
    for (const auto& [key, log] : logs)
      summaries.push_back(summarize(key.first, key.second, log));
    return {std::move(summaries), [this](TimelineId timeline, std::uint32_t log) {
              ++loads[{timeline, log}];
              return logs.at({timeline, log});
            }};
  }

  int loaded() const {
    int sum = 0;
    for (const auto& [key, count] : loads)
      sum += count;
    return sum;
  }
};

LogSummary usual_summary() {
  LogSummary summary{.timeline = 3, .log = 0xABCD, .segments = 2, .first = 5, .last = 6};
  summary.beginnings = 1;
  summary.unbroken = true;
  summary.damaged = true;
  summary.stored_bytes = 0x123456789;
  summary.last_archived_at = at(77);
  summary.last_archived = 6;
  summary.last_record = 0x7700;
  summary.end_of_records = 0x7800;
  summary.totals.commits = 0x1'0000'0001;
  summary.totals.min_time = -5;
  summary.totals.first_commit = -4;
  summary.totals.running = true;
  return summary;
}

}  // namespace

TEST_CASE("totals of segments added one after the other are those of all", "[catalog]") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    WalTotals sum;
    SegmentIndex all;
    for (std::size_t i = 0; i < 1 + random() % 6; ++i) {
      const SegmentIndex index = random_index(random);
      sum.add(totals_of(index));
      const bool had = all.has_transactions();
      if (index.has_transactions()) {
        all.min_time = had ? std::min(all.min_time, index.min_time) : index.min_time;
        all.max_time = had ? std::max(all.max_time, index.max_time) : index.max_time;
      }
      all.commits += index.commits;
      all.aborts += index.aborts;
      if (index.first_commit)
        all.first_commit = std::min(all.first_commit.value_or(INT64_MAX), *index.first_commit);
      if (index.last_commit)
        all.last_commit = std::max(all.last_commit.value_or(INT64_MIN), *index.last_commit);
      if (index.min_xid != 0)
        all.min_xid = all.min_xid == 0 ? index.min_xid : std::min(all.min_xid, index.min_xid);
      all.max_xid = std::max(all.max_xid, index.max_xid);
      const auto append = [](auto& list, const auto& more) {
        list.insert(list.end(), more.begin(), more.end());
      };
      append(all.checkpoints, index.checkpoints);
      append(all.restore_points, index.restore_points);
      append(all.tablespaces, index.tablespaces);
      append(all.databases, index.databases);
      append(all.parameters, index.parameters);
      append(all.running, index.running);
      append(all.custom_managers, index.custom_managers);
      all.has_relation_changes |= index.has_relation_changes;
    }
    if (!(sum == totals_of(all))) FAIL("round " << round);
  }
}

TEST_CASE("adding nothing to totals changes nothing, whichever comes first", "[catalog]") {
  SegmentIndex index;
  index.add({.time = -100, .xid = 9, .is_commit = true});
  WalTotals first = totals_of(index);
  first.add({});
  CHECK(first == totals_of(index));
  WalTotals second;
  second.add(totals_of(index));
  CHECK(second == totals_of(index));
}

TEST_CASE("a summary is what the rows of a log are in sum", "[catalog]") {
  LogRows rows;
  for (const std::uint64_t number : {5U, 6U, 7U})
    rows.segments.push_back(row_of(number));
  rows.segments[0].index.add({.time = 10, .xid = 700, .is_commit = true});
  rows.segments[2].index.add({.time = 5, .xid = 701, .is_commit = true});
  rows.segments[1].archived_at = at(5000);  // archived again, or late
  rows.segments[2].index.last_record = 0;   // all of it is one record's middle
  rows.segments[2].index.end_of_records = 0;
  const LogSummary summary = summarize(1, 0, rows);
  CHECK(summary.timeline == 1);
  CHECK(summary.log == 0);
  CHECK(summary.segments == 3);
  CHECK(summary.first == 5);
  CHECK(summary.last == 7);
  CHECK(summary.beginnings == 0);
  CHECK(summary.unbroken);
  CHECK_FALSE(summary.damaged);
  CHECK(summary.stored_bytes == 3018);
  CHECK(summary.last_archived_at == at(5000));
  CHECK(summary.last_archived == 6);
  CHECK(summary.last_record == lsn_in(6, 500));
  CHECK(summary.end_of_records == lsn_in(7, 0));
  CHECK(summary.totals.commits == 2);
  CHECK(summary.totals.first_commit == 5);
  CHECK(summary.is_contiguous());
}

TEST_CASE("a log is unbroken only where recovery may pass through all of it", "[catalog]") {
  LogRows rows;
  for (const std::uint64_t number : {5U, 6U, 7U})
    rows.segments.push_back(row_of(number));
  REQUIRE(summarize(1, 0, rows).unbroken);
  bool damaged = false;
  bool contiguous = true;
  SECTION("a gap") {
    rows.segments.erase(rows.segments.begin() + 1);
    contiguous = false;
  }
  SECTION("a segment that is not complete") { rows.segments[1].index.complete = false; }
  SECTION("a damaged segment") {
    rows.segments[1].index.damaged = true;
    damaged = true;
  }
  SECTION("a damaged record over two segments") {
    rows.segments[1].open_record_is_damaged = true;
    damaged = true;
  }
  SECTION("a beginning") { rows.beginnings.push_back(tail_of(8, 8192)); }
  const LogSummary summary = summarize(1, 0, rows);
  CHECK_FALSE(summary.unbroken);
  CHECK(summary.damaged == damaged);
  CHECK(summary.is_contiguous() == contiguous);
}

TEST_CASE("a log of beginnings only has no segments and is not contiguous", "[catalog]") {
  LogRows rows;
  rows.beginnings.push_back(tail_of(8, 8192));
  const LogSummary summary = summarize(1, 0, rows);
  CHECK(summary.segments == 0);
  CHECK(summary.beginnings == 1);
  CHECK_FALSE(summary.unbroken);
  CHECK_FALSE(summary.is_contiguous());
  CHECK(summary.totals == WalTotals{});
}

TEST_CASE("a log's summary is read back as it was written", "[catalog]") {
  CHECK(decode_log_summary(encode_log_summary({})) == LogSummary{});
  CHECK(decode_log_summary(encode_log_summary(usual_summary())) == usual_summary());
  std::mt19937 random(9);
  for (int round = 0; round < 200; ++round) {
    LogRows rows;
    for (std::uint64_t number = 0; number < random() % 5; ++number) {
      rows.segments.push_back(row_of(number * (1 + random() % 2)));
      rows.segments.back().index = random_index(random);
    }
    const LogSummary summary = summarize(2, 7, rows);
    if (!(decode_log_summary(encode_log_summary(summary)) == summary)) FAIL("round " << round);
  }
}

TEST_CASE("a log's summary cut short, longer or of another version is damaged", "[catalog]") {
  const auto bytes = encode_log_summary(usual_summary());
  for (std::size_t length = 0; length < bytes.size(); ++length)
    CHECK(error_kind_of([&] { decode_log_summary(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_log_summary(longer); }) == ErrorKind::kCorrupt);
  auto other = bytes;
  other[0] ^= std::byte{0x40};
  CHECK(error_kind_of([&] { decode_log_summary(other); }) == ErrorKind::kCorrupt);
}

TEST_CASE("no row is loaded before it is asked for, and a log only once", "[catalog]") {
  Archive archive;
  for (std::uint64_t log = 0; log < 10; ++log)
    archive.add(row_of(log * kPerLog + 7));
  const WalRows rows = archive.rows();
  CHECK(rows.logs().size() == 10);
  CHECK(archive.loaded() == 0);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(rows.find_whole(name_of(3 * kPerLog + 7)));
    CHECK_FALSE(rows.find_whole(name_of(3 * kPerLog + 8)));
    CHECK_FALSE(rows.find_whole(name_of(20 * kPerLog)));
    CHECK_FALSE(rows.find_whole(name_of(3 * kPerLog + 7, 2)));
    CHECK_FALSE(rows.find_longest_beginning(name_of(3 * kPerLog + 7)));
  }
  CHECK(archive.loaded() == 1);
  CHECK(archive.loads.at({1, 3}) == 1);
}

TEST_CASE("at most 32 logs stay in memory, and rows in use outlive them", "[catalog]") {
  Archive archive;
  for (std::uint64_t log = 0; log < 200; ++log)
    archive.add(row_of(log * kPerLog + 1));
  const WalRows rows = archive.rows();
  const RowPointer kept = rows.find_whole(name_of(1));
  REQUIRE(kept);
  std::vector<std::weak_ptr<const LogRows>> all;
  for (std::uint32_t log = 1; log < 200; ++log) {
    all.push_back(rows.load(1, log));
    const auto alive =
        std::count_if(all.begin(), all.end(), [](const auto& one) { return !one.expired(); });
    if (alive > 32) FAIL(alive << " logs are in memory after " << log);
  }
  CHECK(kept->name == name_of(1));
  CHECK(kept->stored_bytes == 1001);
  REQUIRE(rows.find_whole(name_of(kPerLog + 1)));  // loaded again
  CHECK(archive.loads.at({1, 1}) == 2);
}

TEST_CASE("the rows of a log that is not stored are none", "[catalog]") {
  const WalRows none;
  CHECK(none.logs().empty());
  CHECK(none.find_log(1, 0) == nullptr);
  CHECK(none.load(1, 0)->segments.empty());
  CHECK_FALSE(none.find_whole(name_of(1)));
  CHECK_FALSE(none.find_longest_beginning(name_of(1)));
  CHECK_FALSE(none.next_stored(name_of(1)));
}

TEST_CASE("logs are found by timeline and number", "[catalog]") {
  Archive archive;
  for (const TimelineId timeline : {1U, 3U, 9U}) {
    for (const std::uint64_t log : {0U, 2U, 5U})
      archive.add(row_of(log * kPerLog, timeline));
  }
  const WalRows rows = archive.rows();
  for (TimelineId timeline = 0; timeline < 11; ++timeline) {
    for (std::uint32_t log = 0; log < 7; ++log) {
      const LogSummary* found = rows.find_log(timeline, log);
      const bool expected = archive.logs.contains({timeline, log});
      REQUIRE((found != nullptr) == expected);
      if (found != nullptr) CHECK(found->log == log);
    }
  }
}

TEST_CASE("the longest beginning of a segment is the one with the most WAL", "[catalog]") {
  Archive archive;
  archive.add(tail_of(7, 8192));
  archive.add(tail_of(7, 90'000));
  SegmentRow partial = tail_of(7, 100'000);
  partial.kind = StoredWalName::Kind::kPartialSegment;
  partial.key = "0.partial";
  archive.add(partial);
  archive.add(tail_of(7, 24'576));
  archive.add(tail_of(8, 500'000));
  archive.add(row_of(9));
  const WalRows rows = archive.rows();
  const RowPointer longest = rows.find_longest_beginning(name_of(7));
  REQUIRE(longest);
  CHECK(longest->key == "0.partial");
  CHECK(rows.find_longest_beginning(name_of(8))->index.valid_end == lsn_in(8, 500'000));
  CHECK_FALSE(rows.find_longest_beginning(name_of(9)));  // whole
  CHECK_FALSE(rows.find_longest_beginning(name_of(6)));
  CHECK_FALSE(rows.find_whole(name_of(7)));
}

TEST_CASE("the next stored segment is found across logs, whole or not", "[catalog]") {
  std::mt19937 random(31);
  for (int round = 0; round < 60; ++round) {
    Archive archive;
    std::set<std::pair<TimelineId, std::uint64_t>> stored;
    for (std::size_t i = 0; i < 1 + random() % 12; ++i) {
      const auto timeline = static_cast<TimelineId>(1 + random() % 2);
      const std::uint64_t number =
          random() % 5 * kPerLog + (random() % 2 == 0 ? 0 : kPerLog - 2) + random() % 2;
      if (!stored.emplace(timeline, number).second) continue;
      archive.add(random() % 3 == 0 ? tail_of(number, 8192, timeline) : row_of(number, timeline));
    }
    const WalRows rows = archive.rows();
    for (int i = 0; i < 40; ++i) {
      const auto timeline = static_cast<TimelineId>(1 + random() % 3);
      const std::uint64_t from = random() % 6 * kPerLog + random() % 3 * (kPerLog / 2 - 1);
      const auto expected = stored.lower_bound({timeline, from});
      const auto found = rows.next_stored(name_of(from, timeline));
      const bool is_there = expected != stored.end() && expected->first == timeline;
      if (found.has_value() != is_there) FAIL("round " << round);
      if (is_there && found->number(k1MiB) != expected->second) FAIL("round " << round);
    }
  }
}

TEST_CASE("an added row is found, in its log's summary, and stays", "[catalog]") {
  Archive archive;
  for (std::uint64_t log = 0; log < 50; ++log)
    archive.add(row_of(log * kPerLog + 1));
  WalRows rows = archive.rows();
  CHECK(rows.added_logs().empty());
  const RowPointer before = rows.find_whole(name_of(1));
  rows.add(row_of(2), k1MiB, kVersion);
  rows.add(row_of(0), k1MiB, kVersion);
  rows.add(row_of(77 * kPerLog, 4), k1MiB, kVersion);  // of a log that is not stored
  rows.add(tail_of(3, 8192), k1MiB, kVersion);
  for (std::uint32_t log = 1; log < 50; ++log)
    rows.load(1, log);
  CHECK(rows.find_whole(name_of(0)));
  CHECK(rows.find_whole(name_of(1)));
  CHECK(rows.find_whole(name_of(2)));
  CHECK(rows.find_longest_beginning(name_of(3)));
  CHECK(rows.find_whole(name_of(77 * kPerLog, 4)));
  CHECK(before->name == name_of(1));
  const LogSummary* log = rows.find_log(1, 0);
  REQUIRE(log != nullptr);
  CHECK(log->segments == 3);
  CHECK(log->first == 0);
  CHECK(log->last == 2);
  CHECK(log->beginnings == 1);
  CHECK(rows.logs().size() == 51);
  CHECK(rows.logs().back().timeline == 4);
  CHECK(rows.added_logs().size() == 2);
  CHECK(rows.next_stored(name_of(3)) == name_of(3));
}

TEST_CASE("an added row completes the record that its predecessor leaves open", "[catalog]") {
  const auto real = rows_of(open_commit(7), 7, 2);
  Archive archive;
  archive.add(real[0]);
  WalRows rows = archive.rows();
  CHECK(rows.find_log(1, 0)->totals.commits == 0);
  rows.add(real[1], k1MiB, kVersion);
  CHECK(rows.find_log(1, 0)->totals.commits == 1);
  REQUIRE(rows.find_whole(name_of(7))->open_transaction);
  CHECK(rows.find_whole(name_of(7))->open_transaction->xid == 700);
}

TEST_CASE("an added row completes the record that the log before leaves open", "[catalog]") {
  const auto real = rows_of(open_commit(kPerLog - 1), kPerLog - 1, 2);
  Archive archive;
  archive.add(real[0]);
  WalRows rows = archive.rows();
  rows.add(real[1], k1MiB, kVersion);
  CHECK(rows.find_log(1, 0)->totals.commits == 1);
  CHECK(rows.find_whole(name_of(kPerLog - 1))->open_transaction);
}

TEST_CASE("a record over two segments is completed, and counted once", "[catalog]") {
  const RelationFile file{1663, 5, 16384};
  auto rows = rows_of(open_commit(7, 0, {file}), 7, 2);
  REQUIRE_FALSE(rows[0].open_record_completed);
  for (int i = 0; i < 2; ++i) {
    complete_open_records(rows, {}, k1MiB, kVersion);
    CHECK(rows[0].open_record_completed);
    CHECK_FALSE(rows[0].open_record_is_damaged);
    CHECK(rows[0].open_record_in.empty());
    REQUIRE(rows[0].open_transaction);
    CHECK(rows[0].open_transaction->start == rows[0].index.open_record);
    CHECK(rows[0].open_transaction->time == 55);
    REQUIRE(rows[0].open_changes);
    REQUIRE(rows[0].open_changes->drops.size() == 1);
    CHECK(rows[0].open_changes->drops[0].dropped_files == std::vector<RelationFile>{file});
    CHECK(rows[0].index.has_relation_changes);
    CHECK(rows[0].index.commits == 1);
    CHECK(rows[0].index.last_commit == 55);
    CHECK(rows[1].index.commits == 0);
    CHECK_FALSE(rows[1].open_transaction);
  }
}

TEST_CASE("a record over the end of a log is completed by the next log's segments", "[catalog]") {
  // 300'000 subtransactions take 1.2 MB: the record fills one segment and ends in the third.
  const std::size_t subtransactions = GENERATE(0U, 300'000U);
  const std::size_t count = subtransactions == 0 ? 2 : 3;
  auto all = rows_of(open_commit(kPerLog - 1, subtransactions), kPerLog - 1, count);
  std::vector<SegmentRow> log = {all[0]};
  complete_open_records(log, {}, k1MiB, kVersion);
  CHECK_FALSE(log[0].open_record_completed);
  std::vector<SegmentRow> following(all.begin() + 1, all.end());
  REQUIRE(following[0].name.log == 1);
  complete_open_records(log, {following[0]}, k1MiB, kVersion);
  CHECK(log[0].open_record_completed == (count == 2));
  complete_open_records(log, following, k1MiB, kVersion);
  CHECK(log[0].open_record_completed);
  REQUIRE(log[0].open_transaction);
  CHECK(log[0].open_transaction->xid == 700);
  CHECK(log[0].index.commits == 1);
  CHECK(following[0].index.commits == 0);
}

TEST_CASE("of a record that is too long to be kept the row tells where the rest is", "[catalog]") {
  auto rows = rows_of(open_commit(7, 300'000), 7, 3);
  complete_open_records(rows, {}, k1MiB, kVersion);
  CHECK(rows[0].open_record_completed);
  CHECK(rows[0].open_record_in == std::vector<std::string>{rows[1].key, rows[2].key});
  // Whatever its subtransactions are, a question for one of them must not pass it over.
  CHECK(rows[0].index.min_xid <= 1000);
  CHECK(rows[0].index.max_xid >= 300'999);
  CHECK(rows[0].index.has_relation_changes);  // files may stand behind what was kept
}

TEST_CASE("a record whose rest is damaged is marked, and says nothing", "[catalog]") {
  auto rows = rows_of(open_commit(7), 7, 2);
  rows[1].index.continuation_crc ^= 1;
  complete_open_records(rows, {}, k1MiB, kVersion);
  CHECK(rows[0].open_record_is_damaged);
  CHECK_FALSE(rows[0].open_transaction);
  CHECK(rows[0].index.commits == 0);
  CHECK_FALSE(summarize(1, 0, {.segments = rows, .beginnings = {}}).unbroken);
}

TEST_CASE("a record is not completed over a gap, nor by a segment of another timeline",
          "[catalog]") {
  auto rows = rows_of(open_commit(7), 7, 2);
  SECTION("a gap") { rows[1].name = name_of(9); }
  SECTION("another timeline") { rows[1].name = name_of(8, 2); }
  SECTION("nothing follows") { rows.pop_back(); }
  complete_open_records(rows, {}, k1MiB, kVersion);
  CHECK_FALSE(rows[0].open_record_completed);
  CHECK_FALSE(rows[0].open_record_is_damaged);
  CHECK_FALSE(rows[0].open_transaction);
}

TEST_CASE("locks, names and files of a record over two segments are its row's", "[catalog]") {
  WalBuilder wal(lsn_in(7, 0));
  wal.fill_segment(32);
  const std::size_t kind = GENERATE(0U, 1U, 2U);
  if (kind == 0) wal.add(testing::lock_record({{7, 5, 1}, {8, 5, 2}, {9, 5, 3}}));
  if (kind == 1) wal.add(testing::class_insert_record(5, {.oid = 16384, .name = "t"}, 7, kVersion));
  if (kind == 2) wal.add(testing::file_creation_record({1, 2, 3}, Fork::kMain, 7));
  wal.fill_segment();
  auto rows = rows_of(wal, 7, 2);
  complete_open_records(rows, {}, k1MiB, kVersion);
  CHECK(rows[0].index.has_relation_changes);
  CHECK_FALSE(rows[0].open_transaction);
  REQUIRE(rows[0].open_changes);
  CHECK(rows[0].open_changes->locks.size() == (kind == 0 ? 3U : 0U));
  CHECK(rows[0].open_changes->names.size() == (kind == 1 ? 1U : 0U));
  CHECK(rows[0].open_changes->created.size() == (kind == 2 ? 1U : 0U));
}

}  // namespace pitr
