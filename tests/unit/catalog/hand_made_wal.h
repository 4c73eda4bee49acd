// Rows of a cluster made by hand, for questions about a moment: segments of 1 MiB with the
// transactions that a test names, backups, history files, and the reader that knows them.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "catalog/recovery_plan.h"
#include "harness/wal_builder.h"
#include "wal/crc32c.h"

namespace pitr::testing {

// The byte `offset` of a segment.
constexpr Lsn lsn_in(std::uint64_t segment, std::uint64_t offset) {
  return segment * k1MiB + offset;
}

inline Instant at(int second) { return Instant(std::chrono::seconds(1'795'000'000 + second)); }
inline std::int64_t postgres_time(int second) { return to_postgres_time(at(second)); }

// A transaction's end at `offset` of its segment.
struct Ended {
  std::uint64_t offset = 0;
  int second = 0;
  std::uint32_t xid = 0;
  bool is_commit = true;
};

class HandMadeWal {
 public:
  static constexpr std::uint64_t kLastRecord = k1MiB - 100;  // of a whole segment
  static constexpr std::uint64_t kRecordLength = 40;

  HandMadeWal() {
    rows.cluster = {.key = {.name = "main", .system_identifier = kSystemIdentifier},
                    .identity = kCluster,
                    .created_at = at(-1000)};
  }

  // The reference is good until the next row is added.
  SegmentRow& add(TimelineId timeline, std::uint64_t number, const std::vector<Ended>& ended = {}) {
    SegmentRow row = make_row(timeline, number, ended);
    row.key = wal_key(rows.cluster.key, *WalFileName::parse(row.name.to_string()));
    return insert(segments, std::move(row), ended);
  }

  // The first `length` bytes of a segment that was not written to its end.
  SegmentRow& add_tail(TimelineId timeline, std::uint64_t number, std::uint64_t length,
                       const std::vector<Ended>& ended = {}) {
    SegmentRow row = make_row(timeline, number, ended);
    row.kind = StoredWalName::Kind::kTail;
    row.key = tail_key(rows.cluster.key, row.name, length, 7);
    cut(row, length);
    return insert(beginnings, std::move(row), ended);
  }

  // Behind `length` bytes the segment is not valid although the WAL goes on.
  static void damage(SegmentRow& row, std::uint64_t length) {
    cut(row, length);
    row.index.damaged = true;
  }

  BackupSummary& add_backup(const std::string& id, TimelineId timeline, Lsn start, Lsn stop,
                            int finished_at = 0) {
    BackupSummary backup{.id = id, .timeline = timeline, .start_lsn = start, .stop_lsn = stop};
    backup.started_at = at(finished_at - 5);
    backup.finished_at = at(finished_at);
    backup.stored_bytes = 1'000'000;
    rows.backups.push_back(std::move(backup));
    std::sort(rows.backups.begin(), rows.backups.end(),
              [](const BackupSummary& a, const BackupSummary& b) {
                return std::tie(a.stop_lsn, a.id) < std::tie(b.stop_lsn, b.id);
              });
    return *std::find_if(rows.backups.begin(), rows.backups.end(),
                         [&](const BackupSummary& b) { return b.id == id; });
  }

  void add_history(TimelineId timeline, std::string contents) {
    rows.histories.push_back({.timeline = timeline, .contents = std::move(contents)});
  }

  // A commit that begins 16 bytes before the end of `number` and ends in the next segment.
  void straddle(TimelineId timeline, std::uint64_t number, std::uint32_t xid, int second) {
    constexpr std::size_t kHead = 16;
    ByteWriter time;
    time.put(postgres_time(second));
    const auto record =
        encode_record({.manager = 1, .xid = xid, .body = main_data_body(time.bytes())}, 1);
    SegmentIndex& first = whole(timeline, number).index;
    first.open_record = lsn_in(number + 1, 0) - kHead;
    first.open_record_taken = kHead;
    first.open_record_head.assign(record.begin(), record.begin() + kHead);
    SegmentIndex& second_index = whole(timeline, number + 1).index;
    const ByteSpan rest = ByteSpan(record).subspan(kHead);
    second_index.continuation_bytes = static_cast<std::uint32_t>(rest.size());
    second_index.continuation_taken = second_index.continuation_bytes;
    second_index.continuation_head.assign(rest.begin(), rest.end());
    second_index.continuation_crc = crc32c(rest.subspan(RecordScanner::kContinuationSkipped));
  }

  SegmentRow& whole(TimelineId timeline, std::uint64_t number) {
    const SegmentName name = SegmentName::containing(timeline, lsn_in(number, 0), k1MiB);
    const auto found = std::find_if(segments.begin(), segments.end(),
                                    [&](const SegmentRow& row) { return row.name == name; });
    REQUIRE(found != segments.end());
    return *found;
  }

  // What read_transactions() would say.
  std::vector<TransactionEnd> read(const SegmentRow& row) {
    ++segments_read;
    std::vector<TransactionEnd> transactions = ended_.at(row.key);
    if (row.open_transaction) transactions.push_back(*row.open_transaction);
    return transactions;
  }

  // What find_record() would say: of a segment's records the transactions' ends and the last one.
  std::optional<RecordPlace> find(const SegmentRow& row, Lsn lsn) {
    for (const TransactionEnd& transaction : ended_.at(row.key)) {
      if (transaction.start >= lsn) {
        return RecordPlace{.start = transaction.start, .end = transaction.end};
      }
    }
    if (row.index.last_record < lsn) return std::nullopt;
    return RecordPlace{.start = row.index.last_record, .end = row.index.end_of_records};
  }

  WalReader reader() {
    return {.transactions = [this](const SegmentRow& row) { return read(row); },
            .find_record = [this](const SegmentRow& row, Lsn lsn) { return find(row, lsn); }};
  }

  // The rows as they would be read from a repository.
  const ClusterRows& all() {
    std::map<std::pair<TimelineId, std::uint32_t>, LogRows> logs;
    for (const SegmentRow& row : segments)
      logs[{row.name.timeline, row.name.log}].segments.push_back(row);
    for (const SegmentRow& row : beginnings)
      logs[{row.name.timeline, row.name.log}].beginnings.push_back(row);
    std::vector<LogSummary> summaries;
    for (auto& [key, log] : logs) {
      complete_open_records(log.segments, {}, k1MiB, kCluster.postgres_version);
      summaries.push_back(summarize(key.first, key.second, log));
    }
    rows.wal = {std::move(summaries), [logs](TimelineId timeline, std::uint32_t log) {
                  return logs.at({timeline, log});
                }};
    return rows;
  }

  RecoveryPlan plan(const PlanRequest& request) { return plan_recovery(all(), request, reader()); }

  std::vector<SegmentRow> segments;    // by name, then key
  std::vector<SegmentRow> beginnings;  // the same
  ClusterRows rows;                    // all but the WAL: see all()
  int segments_read = 0;

 private:
  static void cut(SegmentRow& row, std::uint64_t length) {
    const Lsn start = row.name.start(k1MiB);
    row.index.complete = false;
    row.index.valid_end = start + length;
    row.index.last_record = start + length - 100;
    row.index.end_of_records = start + length;
  }

  SegmentRow make_row(TimelineId timeline, std::uint64_t number, const std::vector<Ended>& ended) {
    const Lsn start = lsn_in(number, 0);
    SegmentRow row{.name = SegmentName::containing(timeline, start, k1MiB)};
    row.stored_bytes = 1000;
    row.archived_at = at(1000);
    row.index.first_record = start + kLongPageHeaderSize;
    row.index.last_record = start + kLastRecord;
    row.index.end_of_records = start + k1MiB;
    row.index.valid_end = start + k1MiB;
    for (const Ended& one : ended)
      count(row.index, one);
    return row;
  }

  static void count(SegmentIndex& index, const Ended& ended) {
    index.add(
        {.time = postgres_time(ended.second), .xid = ended.xid, .is_commit = ended.is_commit});
  }

  SegmentRow& insert(std::vector<SegmentRow>& into, SegmentRow row,
                     const std::vector<Ended>& ended) {
    const std::string key = row.key;
    std::vector<TransactionEnd>& known = ended_[key];
    for (const Ended& one : ended) {
      const Lsn start = row.name.start(k1MiB) + one.offset;
      known.push_back({.start = start,
                       .end = start + kRecordLength,
                       .time = postgres_time(one.second),
                       .xid = one.xid,
                       .is_commit = one.is_commit});
    }
    into.push_back(std::move(row));
    std::sort(into.begin(), into.end(), [](const SegmentRow& a, const SegmentRow& b) {
      return std::tie(a.name, a.key) < std::tie(b.name, b.key);
    });
    return *std::find_if(into.begin(), into.end(),
                         [&](const SegmentRow& candidate) { return candidate.key == key; });
  }

  std::map<std::string, std::vector<TransactionEnd>> ended_;  // by key
};

}  // namespace pitr::testing
