// Makes valid WAL from nothing: page headers, records with their CRC-32C, spread over pages and
// segments as PostgreSQL's CopyXLogRecordToWAL() does. Formats: xlogrecord.h, xlog_internal.h,
// xact.h, pg_control.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "wal/page_header.h"

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
