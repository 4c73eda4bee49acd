// The WAL index of a segment: what a later question about a moment needs to know of it. Computed in
// the pass that archives the segment, kept in the archived file's trailer and in the catalog.
// Encoding: "WAL index" and "Transaction ids" in io/ARCHIVE_FORMAT.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "wal/record_scanner.h"

namespace pitr {

struct SegmentIndex {
  bool complete = true;         // its record chain reaches the end, or ends in a switch
  bool damaged = false;         // a record inside is invalid although the WAL goes on behind it
  bool ends_in_switch = false;  // XLOG_SWITCH
  bool xids_omitted = false;    // more transactions than kMostXids: read the segment itself

  Lsn first_record = 0;    // start of the first whole record; 0: none starts here
  Lsn last_record = 0;     // start of the last whole record
  Lsn end_of_records = 0;  // end of the last whole record
  Lsn valid_end = 0;  // up to here the bytes are WAL; less than the segment's end if incomplete

  std::uint32_t commits = 0;
  std::uint32_t aborts = 0;
  // TimestampTz. min and max count commits and aborts; they are not monotonic in LSN order.
  std::int64_t min_time = 0;
  std::int64_t max_time = 0;
  std::optional<std::int64_t> first_commit;  // least time of a commit
  std::optional<std::int64_t> last_commit;   // greatest time of a commit
  std::uint64_t next_xid = 0;                // 64 bits, from the last checkpoint; 0: none here

  std::vector<RestorePoint> restore_points;
  std::vector<TablespaceCreation> tablespaces;

  // A record that begins here and ends in a later segment, and one that began before.
  Lsn open_record = 0;                      // its start; 0: none
  std::vector<std::byte> open_record_head;  // its first bytes, at most kOpenRecordKept
  std::uint32_t continuation_bytes = 0;     // of the earlier record, still to come at the start
  std::vector<std::byte> continuation_head;

  // Sorted transaction ids that committed or aborted: a section of its own.
  std::vector<std::uint32_t> xids;

  bool has_transactions() const { return commits + aborts > 0; }

  static constexpr std::size_t kOpenRecordKept = 4096;
  static constexpr std::size_t kMostXids = 1U << 20;
};

// Takes the pages of one segment, in order, and gives its index.
class SegmentIndexer {
 public:
  SegmentIndexer(Lsn segment_start, SegmentSize segment_size);

  void feed(ByteSpan pages) { scanner_.feed(pages); }
  SegmentIndex finish();

 private:
  void add(const TransactionEnd& transaction);

  SegmentIndex index_;
  Lsn segment_end_;
  RecordScanner scanner_;
};

std::vector<std::byte> encode_index(const SegmentIndex& index);  // without the xids
std::vector<std::byte> encode_xids(std::span<const std::uint32_t> xids);

// Throw kCorrupt for bytes that were not encoded by the functions above.
SegmentIndex decode_index(ByteSpan bytes);
std::vector<std::uint32_t> decode_xids(ByteSpan bytes);

// Visits the record that begins in `index`'s segment and ends in a later one, which neither index
// tells of by itself; its end is given as 0.
void visit_joined_record(const SegmentIndex& index, const SegmentIndex& next, unsigned version,
                         const RecordVisitor& visitor);

// The transaction end in a record that begins in one segment and ends in the next one: neither
// segment's index counts it.
std::optional<TransactionEnd> joined_transaction(const SegmentIndex& index,
                                                 const SegmentIndex& next, unsigned version);

}  // namespace pitr
