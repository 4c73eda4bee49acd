// Walks the chain of WAL records through the bytes of consecutive segments, verifies each record's
// CRC-32C, and shows them to a visitor.
//
// Formats: XLogRecord in xlogrecord.h, page headers in xlog_internal.h; the checks are those of
// xlogreader.c.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/bytes.h"
#include "wal/page_header.h"
#include "wal/record_events.h"

namespace pitr {

// Not thread-safe. Allocates nothing per record. Memory: the open record's kept part, 64 KiB; of a
// commit or an abort all of it, up to 64 MiB, where PostgreSQL wrote such a long one.
class RecordScanner {
 public:
  // `segment_start` is the position of the first byte that will be fed.
  RecordScanner(Lsn segment_start, SegmentSize segment_size, RecordVisitor visitor);

  // The next bytes: whole pages, in order, across any number of segments.
  void feed(ByteSpan pages);

  // PostgreSQL's major version by the first page; 0: not known.
  unsigned version() const { return version_; }

  // Start of the first and of the last whole record; 0 when there is none.
  Lsn first_record() const { return first_record_; }
  Lsn last_record() const { return last_record_; }
  // End of the last whole record, aligned as the next one's start would be.
  Lsn end_of_records() const { return end_of_records_; }

  // The chain broke before the bytes ended. With `valid_pages_follow` the WAL goes on behind the
  // break, in later pages or in the same one: a record is damaged. Without it the segment was not
  // written to its end.
  bool chain_broke() const { return broke_; }
  // Where it broke: up to here every byte belongs to a valid page and record chain.
  Lsn broke_at() const { return broke_at_; }
  bool valid_pages_follow() const { return valid_pages_follow_; }
  bool ends_in_switch() const { return after_switch_; }

  // The record that the bytes end in, if any: its start, its first bytes (at most kBodyKept; less
  // than that for one that says nothing), and the CRC-32C of what there is of its body.
  bool record_is_open() const { return record_open_ && !headless_; }
  Lsn open_record_start() const { return record_start_; }
  ByteSpan open_record_head() const { return head_bytes(); }
  std::uint32_t open_record_taken() const { return record_taken_; }
  std::uint32_t open_record_body_crc() const { return body_crc_; }

  // What the first pages hold of a record that began before them: its length still to come, how
  // much of that is here, its first bytes (at most kContinuationKept), and the CRC-32C of what
  // follows the first kContinuationSkipped of them.
  std::uint32_t continuation_bytes() const { return continuation_bytes_; }
  std::uint32_t continuation_taken() const { return continuation_taken_; }
  const std::vector<std::byte>& continuation_head() const { return continuation_head_; }
  std::uint32_t continuation_crc() const { return continuation_crc_; }

  static constexpr std::size_t kContinuationKept = 1152;  // a tablespace's path is the longest
  // A record's header ends at most so far behind the start of a page: records are aligned to 8.
  static constexpr std::size_t kContinuationSkipped = 16;
  static constexpr std::size_t kBodyKept = std::size_t{64} * 1024;
  static constexpr std::uint32_t kTransactionKept = 64U << 20;  // of a commit or an abort

 private:
  // Enough for the headers of a record's pieces, if it says nothing else.
  static constexpr std::size_t kHeadKept = 2048;

  void note_version(ByteSpan first_page);
  void scan_page(ByteSpan page);
  bool accept_page_header(const PageHeader& header);
  void scan_records(ByteSpan page, std::size_t offset);
  bool take_whole_record(ByteSpan rest, std::uint32_t length, Lsn start);
  void begin_record(std::uint32_t length, Lsn start);
  std::size_t continue_record(ByteSpan rest);
  void keep_continuation(ByteSpan bytes);
  bool keep_record(ByteSpan bytes);
  bool header_is_plausible(ByteSpan header, Lsn start) const;
  void finish_continuation(Lsn end, ByteSpan behind);
  void finish_record(ByteSpan head, Lsn start, Lsn end);
  void break_chain(Lsn at);
  void break_chain_in_page(Lsn at, ByteSpan rest);
  void note_records_behind(ByteSpan bytes, Lsn start);
  ByteSpan head_bytes() const { return ByteSpan(head_).first(head_size_); }

  SegmentSize segment_size_;
  RecordVisitor visitor_;
  RecordView view_;
  Lsn position_;  // of the next page
  std::uint16_t magic_ = 0;
  unsigned version_ = 0;
  std::size_t page_size_ = kUsualWalPageSize;
  bool first_page_ = true;

  bool broke_ = false;
  Lsn broke_at_ = 0;
  bool valid_pages_follow_ = false;
  bool after_switch_ = false;
  Lsn switch_segment_end_ = 0;

  // The record that goes on on the next page. `head_` keeps its beginning.
  bool record_open_ = false;
  bool headless_ = false;  // began before the first byte that was fed
  Lsn record_start_ = 0;
  std::uint32_t record_length_ = 0;
  std::uint32_t record_taken_ = 0;
  std::uint32_t body_crc_ = 0;
  std::vector<std::byte> head_;
  std::size_t head_size_ = 0;
  std::size_t head_limit_ = 0;

  Lsn first_record_ = 0;
  Lsn last_record_ = 0;
  Lsn end_of_records_ = 0;
  std::uint32_t continuation_bytes_ = 0;
  std::uint32_t continuation_taken_ = 0;
  std::vector<std::byte> continuation_head_;
  std::uint32_t continuation_crc_ = 0;
};

}  // namespace pitr
