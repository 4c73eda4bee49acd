// Makes valid WAL from nothing: page headers, records with their CRC-32C, spread over pages and
// segments as PostgreSQL's CopyXLogRecordToWAL() does. Formats: xlogrecord.h, xlog_internal.h,
// xact.h, pg_control.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "wal/page_header.h"
#include "wal/record_events.h"

namespace pitr::testing {

constexpr std::uint64_t kSystemIdentifier = 7301122034409873321;
constexpr SegmentSize k1MiB = SegmentSize{1} << 20;

// The cluster whose WAL a builder makes by default.
constexpr ClusterIdentity kCluster{
    .system_identifier = kSystemIdentifier, .segment_size = k1MiB, .postgres_version = 15};

struct WalRecord {
  std::uint8_t manager = 10;  // heap: nothing the scanner looks into
  std::uint8_t info = 0;
  std::uint32_t xid = 0;
  std::vector<std::byte> body;
};

// A record's bytes as they stand in the WAL, its CRC included.
std::vector<std::byte> encode_record(const WalRecord& record, Lsn previous);

// The body of a record that has only main data.
std::vector<std::byte> main_data_body(ByteSpan data);

// A page as it stands in a record: without its hole, or compressed.
struct WalImage {
  std::vector<std::byte> bytes;
  std::uint16_t hole_offset = 0;
  std::uint16_t hole_length = 0;
  bool is_compressed = false;
};

struct WalBlock {
  RelationFile file = {};
  std::uint32_t block = 0;
  Fork fork = Fork::kMain;
  std::uint8_t id = 0;
  bool same_relation = false;  // as the block before: its file is left out
  std::vector<std::byte> data = {};
  std::optional<WalImage> image = {};
};

struct WalPieces {
  std::vector<WalBlock> blocks = {};
  std::vector<std::byte> main_data = {};
  std::optional<std::uint16_t> origin = {};
  std::optional<std::uint32_t> toplevel_xid = {};
};

// A record's body: the headers of its pieces, then the pieces.
std::vector<std::byte> pieces_body(const WalPieces& pieces, unsigned version);

// Everything that a commit or an abort may say; what is empty is left out.
struct WalTransactionEnd {
  std::int64_t time = 0;
  bool is_commit = true;
  std::optional<std::uint32_t> database = {};
  std::vector<std::uint32_t> subtransactions = {};
  std::vector<RelationFile> dropped_files = {};
  std::uint32_t dropped_statistics = 0;  // from version 15 on
  std::uint32_t invalidations = 0;       // of a commit
  std::optional<std::uint32_t> prepared_xid = {};
  std::string prepared_name = {};
  bool has_origin = false;
};

WalRecord transaction_end_record(const WalTransactionEnd& end, std::uint32_t xid, unsigned version);

// A row of pg_class.
struct WalClassRow {
  std::uint32_t oid = 0;
  std::string name = {};
  std::uint32_t schema_oid = 2200;
  std::uint32_t file_number = 0;
  char persistence = 'p';
  char kind = 'r';
};

constexpr std::uint32_t kClassFile = 1259;  // of pg_class, where it was never rewritten

// A row of pg_class from its null bitmap on, and as a whole tuple.
std::vector<std::byte> class_row_data(const WalClassRow& row, unsigned version);
std::vector<std::byte> class_row_tuple(const WalClassRow& row, unsigned version);
// The heap's INSERT of a row, in block 0 of pg_class.
WalRecord class_insert_record(std::uint32_t database, const WalClassRow& row, std::uint32_t xid,
                              unsigned version);
// The same with a whole page instead of the row; it has a hole, and the rows before it.
WalRecord class_image_record(std::uint32_t database, const std::vector<WalClassRow>& rows,
                             std::uint32_t xid, unsigned version);

// XLOG_STANDBY_LOCK, XLOG_SMGR_CREATE, XLOG_SMGR_TRUNCATE.
WalRecord lock_record(const std::vector<RelationLock>& locks, std::uint32_t xid = 0);
WalRecord file_creation_record(const RelationFile& file, Fork fork, std::uint32_t xid);
WalRecord file_truncation_record(const RelationFile& file, std::uint32_t block,
                                 std::uint32_t flags);
// A heap record that changes blocks and says nothing.
WalRecord blocks_record(const std::vector<WalBlock>& blocks, std::uint32_t xid, unsigned version);

class WalBuilder {
 public:
  // `start` begins a segment. Every page is written on `timeline`.
  explicit WalBuilder(Lsn start, ClusterIdentity cluster = kCluster, TimelineId timeline = 1);

  // Each returns where its record starts.
  Lsn add(const WalRecord& record);
  Lsn add_filler(std::size_t total_length, std::uint32_t xid = 0);
  Lsn add_commit(std::uint32_t xid, std::int64_t time);
  Lsn add_abort(std::uint32_t xid, std::int64_t time);
  // COMMIT PREPARED is written by a session without a transaction of its own: xl_xid is 0.
  Lsn add_commit_prepared(std::uint32_t prepared_xid, std::int64_t time);
  Lsn add_abort_prepared(std::uint32_t prepared_xid, std::int64_t time);
  Lsn add_restore_point(std::string_view name, std::int64_t time);
  Lsn add_checkpoint(std::uint64_t next_xid);
  Lsn add_switch();  // the rest of the segment is zeros

  // Fillers up to exactly `bytes_left` bytes before the end of the page or segment.
  void fill_page(std::size_t bytes_left = 0);
  void fill_segment(std::size_t bytes_left = 0);

  // The beginning of a record that a crash cut off at the end of this page; the next page begins
  // with XLP_FIRST_IS_OVERWRITE_CONTRECORD and the record that says so.
  Lsn add_overwritten(std::size_t total_length);

  // Where the next record starts.
  Lsn position() const;
  // Bytes for records up to the end of the page or segment: page headers do not count.
  std::size_t room_in_page() const;
  std::size_t room_in_segment() const;

  // All segments begun so far, the last one filled up with zeros.
  std::vector<std::byte> bytes() const;
  std::vector<std::byte> segment(std::size_t index) const;

 private:
  Lsn place(ByteSpan record);
  void put_page_header(std::uint32_t remaining_bytes);
  void put(ByteSpan bytes);
  Lsn cursor() const { return start_ + bytes_.size(); }
  bool at_page_start() const { return cursor() % kUsualWalPageSize == 0; }
  std::size_t header_size() const;

  Lsn start_;
  ClusterIdentity cluster_;
  TimelineId timeline_;
  Lsn previous_;
  std::uint16_t flags_of_next_page_ = 0;
  std::vector<std::byte> bytes_;
};

// A segment that holds two commits and an abort, and is full to its last byte.
std::vector<std::byte> complete_segment(Lsn start, const ClusterIdentity& cluster = kCluster,
                                        std::uint32_t first_xid = 700);

// The same, but written only up to some place in its middle; the rest is zeros.
std::vector<std::byte> incomplete_segment(Lsn start, std::size_t fillers = 3);

}  // namespace pitr::testing
