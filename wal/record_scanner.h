// Walks the chain of WAL records through the bytes of consecutive segments, verifies each record's
// CRC-32C, and reports the records that decide where a recovery can stop.
//
// Formats: XLogRecord in xlogrecord.h, xl_xact_commit and its sisters in xact.h, xl_restore_point
// in xlog_internal.h; unchanged from version 13 to 18 in what is read here.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "wal/page_header.h"

namespace pitr {

constexpr std::size_t kRecordHeaderSize = 24;  // SizeOfXLogRecord

// A commit or an abort, plain or of a prepared transaction: the only records that a target time or
// transaction stops at.
struct TransactionEnd {
  Lsn start = 0;          // of the record
  Lsn end = 0;            // of the record; 0 while it is not known
  std::int64_t time = 0;  // TimestampTz
  std::uint32_t xid = 0;
  bool is_commit = false;
  std::vector<std::uint32_t> subtransactions = {};  // only where they were asked for

  bool operator==(const TransactionEnd&) const = default;
};

struct RestorePoint {
  Lsn start = 0;
  Lsn end = 0;
  std::int64_t time = 0;  // TimestampTz
  std::string name;

  bool operator==(const RestorePoint&) const = default;
};

// CREATE TABLESPACE: replay makes links to this absolute path, whatever was mapped.
struct TablespaceCreation {
  Lsn start = 0;
  std::uint32_t oid = 0;
  std::string path;

  bool operator==(const TablespaceCreation&) const = default;
};

// Called in LSN order; an empty function is not called.
struct RecordVisitor {
  std::function<void(const TransactionEnd&)> on_transaction_end = {};
  std::function<void(const RestorePoint&)> on_restore_point = {};
  std::function<void(const TablespaceCreation&)> on_tablespace_creation = {};
  std::function<void(std::uint64_t next_xid)> on_checkpoint = {};  // 64 bits
  // DROP DATABASE and DROP TABLESPACE remove files at a record of their own, before the commit.
  std::function<void(Lsn start)> on_removal = {};
  std::function<void(Lsn start, Lsn end)> on_record = {};  // every whole one
  bool keep_subtransactions = false;  // costs an allocation for each transaction that has some
};

// What the transaction record that begins with these bytes (header and body, perhaps cut short)
// says; nothing when it ends no transaction. Where the xid of a prepared transaction is cut off,
// the record's own is given. `version` is PostgreSQL's major one.
std::optional<TransactionEnd> decode_transaction_end(ByteSpan record, unsigned version,
                                                     bool keep_subtransactions = false);

// Visits the record that begins with these bytes, as far as they say something.
void visit_record_head(ByteSpan record, Lsn start, Lsn end, unsigned version,
                       const RecordVisitor& visitor);

// Not thread-safe. Allocates nothing per record. Memory: one record's interesting part, 64 KiB.
class RecordScanner {
 public:
  // `segment_start` is the position of the first byte that will be fed.
  RecordScanner(Lsn segment_start, SegmentSize segment_size, RecordVisitor visitor);

  // The next bytes: whole pages, in order, across any number of segments.
  void feed(ByteSpan pages);

  // Start of the first and of the last whole record; 0 when there is none.
  Lsn first_record() const { return first_record_; }
  Lsn last_record() const { return last_record_; }
  // End of the last whole record, aligned as the next one's start would be.
  Lsn end_of_records() const { return end_of_records_; }

  // The chain broke before the bytes ended. With `valid_pages_follow` the WAL goes on behind the
  // break: a record is damaged. Without it the segment was not written to its end.
  bool chain_broke() const { return broke_; }
  // Where it broke: up to here every byte belongs to a valid page and record chain.
  Lsn broke_at() const { return broke_at_; }
  bool valid_pages_follow() const { return valid_pages_follow_; }
  bool ends_in_switch() const { return after_switch_; }

  // The record that the bytes end in, if any: its start, and its first bytes (at most 64 KiB).
  bool record_is_open() const { return record_open_ && !headless_; }
  Lsn open_record_start() const { return record_start_; }
  ByteSpan open_record_head() const { return head_bytes(); }

  // What the first page holds of a record that began before it: its length still to come, and its
  // first bytes (at most kContinuationKept).
  std::uint32_t continuation_bytes() const { return continuation_bytes_; }
  const std::vector<std::byte>& continuation_head() const { return continuation_head_; }

  static constexpr std::size_t kContinuationKept = 1152;  // a tablespace's path is the longest

 private:
  static constexpr std::size_t kBodyKept = std::size_t{64} * 1024;

  void scan_page(ByteSpan page);
  bool accept_page_header(const PageHeader& header);
  void scan_records(ByteSpan page, std::size_t offset);
  bool begin_record(ByteSpan rest, Lsn position);
  std::size_t continue_record(ByteSpan rest);
  bool header_is_plausible() const;
  void finish_record(Lsn end);
  void note_switch();
  void break_chain(Lsn at);
  ByteSpan head_bytes() const { return ByteSpan(head_).first(head_size_); }

  SegmentSize segment_size_;
  RecordVisitor visitor_;
  Lsn position_;  // of the next page
  std::uint16_t magic_ = 0;
  std::size_t page_size_ = kUsualWalPageSize;
  bool first_page_ = true;

  bool broke_ = false;
  Lsn broke_at_ = 0;
  bool valid_pages_follow_ = false;
  bool after_switch_ = false;
  Lsn switch_segment_end_ = 0;

  // The record being read. `head_` keeps its header, and its body where that may be decoded.
  bool record_open_ = false;
  bool headless_ = false;  // began before the first byte that was fed
  Lsn record_start_ = 0;
  std::uint32_t record_length_ = 0;
  std::uint32_t record_taken_ = 0;
  std::uint32_t body_crc_ = 0;
  std::vector<std::byte> head_;
  std::size_t head_size_ = 0;

  Lsn first_record_ = 0;
  Lsn last_record_ = 0;
  Lsn end_of_records_ = 0;
  std::uint32_t continuation_bytes_ = 0;
  std::vector<std::byte> continuation_head_;
};

}  // namespace pitr
