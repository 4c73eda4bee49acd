// The WAL index of a segment: what a later question about a moment needs to know of it. Computed in
// the pass that archives the segment, kept in the archived file's trailer and in the catalog.
// Encoding: "WAL index" and the sections behind it in io/ARCHIVE_FORMAT.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "wal/changed_blocks.h"
#include "wal/record_scanner.h"
#include "wal/relation_changes.h"

namespace pitr {

struct SegmentIndex {
  bool complete = true;         // its record chain reaches the end, or ends in a switch
  bool damaged = false;         // a record inside is invalid although the WAL goes on behind it
  bool ends_in_switch = false;  // XLOG_SWITCH
  bool xids_omitted = false;    // more than SegmentDetails::kMostXids: read the segment itself
  bool has_relation_changes = false;  // their section is not empty

  Lsn first_record = 0;    // start of the first whole record; 0: none starts here
  Lsn last_record = 0;     // start of the last whole record
  Lsn end_of_records = 0;  // end of the last whole record
  Lsn valid_end = 0;  // up to here the bytes are WAL; less than the segment's end if incomplete

  std::uint32_t commits = 0;  // those of prepared transactions among them
  std::uint32_t aborts = 0;
  std::uint32_t commits_prepared = 0;
  std::uint32_t aborts_prepared = 0;
  // TimestampTz. min and max count commits and aborts; they are not monotonic in LSN order.
  std::int64_t min_time = 0;
  std::int64_t max_time = 0;
  std::optional<std::int64_t> first_commit;  // least time of a commit
  std::optional<std::int64_t> last_commit;   // greatest time of a commit
  // Least and greatest id of a transaction or subtransaction that ended here, as numbers; 0: none.
  std::uint32_t min_xid = 0;
  std::uint32_t max_xid = 0;

  std::vector<RestorePoint> restore_points;
  std::vector<TablespaceChange> tablespaces;
  std::vector<DatabaseChange> databases;
  std::vector<Checkpoint> checkpoints;
  std::vector<EndOfRecovery> recoveries;
  std::vector<ParameterChange> parameters;
  std::vector<RunningTransactions> running;
  std::vector<std::uint8_t> custom_managers;  // resource managers of extensions, sorted

  // A record that begins here and ends in a later segment, and one that began before.
  Lsn open_record = 0;                      // its start; 0: none
  std::uint32_t open_record_taken = 0;      // how much of it is here
  std::uint32_t open_record_body_crc = 0;   // CRC-32C of what is here of its body
  std::vector<std::byte> open_record_head;  // its first bytes, at most 64 KiB
  std::uint32_t continuation_bytes = 0;     // of the earlier record, still to come at the start
  std::uint32_t continuation_taken = 0;     // how much of that is here
  std::uint32_t continuation_crc = 0;       // see RecordScanner
  std::vector<std::byte> continuation_head;

  bool has_transactions() const { return commits + aborts > 0; }
  // 64 bits, of the last checkpoint; 0: none here.
  std::uint64_t next_xid() const { return checkpoints.empty() ? 0 : checkpoints.back().next_xid; }

  // Counts what a record says that is whole here, or begins here and was completed from later
  // segments. Of the latter the end may be 0.
  void add(const TransactionEnd& transaction);
  // A visitor that adds everything that an index lists.
  RecordVisitor collector();
};

// What is asked for rarely, and kept in sections of its own.
struct SegmentDetails {
  std::vector<std::uint32_t> xids;  // sorted: of transactions and subtransactions that ended here
  ChangedBlocks changed_blocks;
  RelationChanges relations;

  static constexpr std::size_t kMostXids = 1U << 20;
};

// Takes the pages of one segment, in order, and gives its index. Not thread-safe.
class SegmentIndexer {
 public:
  SegmentIndexer(Lsn segment_start, SegmentSize segment_size);

  void feed(ByteSpan pages) { scanner_.feed(pages); }

  // Once, at the end. The details are to be taken after the index.
  SegmentIndex finish();
  SegmentDetails take_details() { return std::move(details_); }

 private:
  RecordVisitor visitor();
  void add(const TransactionEnd& transaction);
  void measure_created(const TransactionEnd& transaction);
  void add_open_record();
  void finish_details();

  SegmentIndex index_;
  SegmentDetails details_;
  ChangedBlockCollector changed_;
  std::vector<std::size_t> unfinished_;  // created files whose transaction goes on, by position
  Lsn segment_end_;
  RecordScanner scanner_;
};

std::vector<std::byte> encode_index(const SegmentIndex& index);
std::vector<std::byte> encode_xids(std::span<const std::uint32_t> xids);

// Throw kCorrupt for bytes that were not encoded by the functions above.
SegmentIndex decode_index(ByteSpan bytes);
std::vector<std::uint32_t> decode_xids(ByteSpan bytes);

// A record that begins in one segment and ends in a later one, put together from what their indexes
// keep, whatever order they came in.
class JoinedRecord {
 public:
  // Nothing is open at the end of `index`'s segment: is_open() is false.
  explicit JoinedRecord(const SegmentIndex& index);

  // It goes on in the segment after; false: it does not, a crash cut it short.
  bool join(const SegmentIndex& next);

  bool is_open() const { return start_ != 0; }
  bool is_whole() const { return is_open() && length_ != 0 && taken_ == length_; }
  // Its CRC-32C, once it is whole.
  bool is_valid() const;
  // Less than all of it was kept: what stands at its end must be read from the segments.
  bool is_cut() const { return head_.size() < length_; }
  Lsn start() const { return start_; }

  // What it says. Its end is given as 0.
  void visit(unsigned version, const RecordVisitor& visitor) const;

 private:
  Lsn start_ = 0;
  std::uint32_t length_ = 0;  // 0: its first four bytes are not there
  std::uint32_t taken_ = 0;
  std::uint32_t body_crc_ = 0;
  std::vector<std::byte> head_;
};

}  // namespace pitr
