// The stored segments of a cluster, log by log: one log is the WAL of one folder of the repository,
// 4 GiB of one timeline. Of every log there is a summary; the rows of its segments are loaded when
// a question touches them, so that a million segments neither fill the memory nor are read for one
// answer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/time.h"
#include "storage/repository_layout.h"
#include "wal/segment_index.h"

namespace pitr {

struct SegmentRow {
  SegmentName name;
  StoredWalName::Kind kind = StoredWalName::Kind::kSegment;
  std::string key;  // of the storage; the absolute path of a rescued file: see rescued_wal.h
  std::uint64_t stored_bytes = 0;
  Instant archived_at;
  SegmentIndex index;  // with the record that begins here and ends in a later segment
  bool open_record_completed = false;
  bool open_record_is_damaged = false;  // its CRC-32C is wrong: recovery ends before it
  // Not all of it was kept: it ends in these stored segments, which must be read for the rest.
  std::vector<std::string> open_record_in;
  // What that record says, where it is one of these; else null. Of a cut one not everything.
  std::shared_ptr<const TransactionEnd> open_transaction;
  std::shared_ptr<const RelationChanges> open_changes;
};

using RowPointer = std::shared_ptr<const SegmentRow>;

// What some WAL holds, in sum: enough to pass over it.
struct WalTotals {
  std::uint64_t commits = 0;
  std::uint64_t aborts = 0;
  std::int64_t min_time = 0;  // of commits and aborts; TimestampTz
  std::int64_t max_time = 0;
  std::optional<std::int64_t> first_commit;  // least time of a commit
  std::optional<std::int64_t> last_commit;   // greatest
  std::uint32_t min_xid = 0;                 // 0: none
  std::uint32_t max_xid = 0;
  std::uint64_t next_xid = 0;  // of the last checkpoint; 0: none
  // Whether there is any of them.
  bool restore_points = false;
  bool tablespaces = false;
  bool databases = false;
  bool parameters = false;
  bool running = false;
  bool custom_managers = false;
  bool relation_changes = false;

  bool has_transactions() const { return commits + aborts > 0; }
  void add(const WalTotals& later);
  bool operator==(const WalTotals&) const = default;
};

WalTotals totals_of(const SegmentIndex& index);

struct LogSummary {
  TimelineId timeline = 0;
  std::uint32_t log = 0;
  // Whole segments: how many, and the numbers in the log of the first and the last.
  std::uint32_t segments = 0;
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint32_t beginnings = 0;  // tails and partial segments
  bool unbroken = false;  // all from first to last are there, complete and undamaged; no beginnings
  bool damaged = false;   // one of them
  std::uint64_t stored_bytes = 0;  // of the whole segments
  Instant last_archived_at;
  std::uint32_t last_archived = 0;  // its number in the log
  Lsn last_record = 0;              // of the whole segments; 0: none
  Lsn end_of_records = 0;
  WalTotals totals;

  bool is_contiguous() const { return segments > 0 && last - first + 1 == segments; }
  bool operator==(const LogSummary&) const = default;
};

// Throws kCorrupt.
std::vector<std::byte> encode_log_summary(const LogSummary& summary);
LogSummary decode_log_summary(ByteSpan bytes);

struct LogRows {
  std::vector<SegmentRow> segments;    // whole ones, by name
  std::vector<SegmentRow> beginnings;  // tails and partial segments, by name, then key
};

LogSummary summarize(TimelineId timeline, std::uint32_t log, const LogRows& rows);

// The record that begins in the row's segment, whole by now, and where the rest of it lies.
void complete_open_record(SegmentRow& row, const JoinedRecord& record,
                          std::vector<std::string> keys, unsigned version);

// Completes the records that begin in one segment and end in a later one; `following` are the first
// segments of the next log, for the last row's.
void complete_open_records(std::vector<SegmentRow>& segments,
                           const std::vector<SegmentRow>& following, SegmentSize size,
                           unsigned version);

// Not thread-safe.
class WalRows {
 public:
  using Loader = std::function<LogRows(TimelineId timeline, std::uint32_t log)>;

  WalRows() = default;
  // `logs` by timeline, then log.
  WalRows(std::vector<LogSummary> logs, Loader loader);

  const std::vector<LogSummary>& logs() const { return logs_; }
  // Null: nothing is stored of it.
  const LogSummary* find_log(TimelineId timeline, std::uint32_t log) const;
  std::shared_ptr<const LogRows> load(TimelineId timeline, std::uint32_t log) const;

  // Null where it is not stored.
  RowPointer find_whole(const SegmentName& name) const;
  // What pitr-restore serves where the whole segment is missing: the beginning with the most WAL.
  RowPointer find_longest_beginning(const SegmentName& name) const;
  // The first segment of the timeline from `name` on of which anything is stored: what pitr-restore
  // takes for a gap.
  std::optional<SegmentName> next_stored(const SegmentName& name) const;

  using LogKey = std::pair<TimelineId, std::uint32_t>;
  // The logs that add() was called for, or that it completed a record of.
  const std::map<LogKey, std::shared_ptr<const LogRows>>& added_logs() const { return added_; }

  // Adds a row that the repository does not hold; it stays in memory with its log.
  void add(SegmentRow row, SegmentSize size, unsigned version);

 private:
  static constexpr std::size_t kMostLoaded = 32;

  void note_keys();
  // Completes what is open in the rows and keeps them in memory.
  void keep(const LogKey& key, LogRows rows, SegmentSize size, unsigned version);

  std::vector<LogSummary> logs_;
  std::vector<std::uint64_t> keys_;  // timeline and log of each: what is searched is small
  Loader loader_;
  std::map<LogKey, std::shared_ptr<const LogRows>> added_;
  mutable std::map<LogKey, std::shared_ptr<const LogRows>> loaded_;
};

}  // namespace pitr
