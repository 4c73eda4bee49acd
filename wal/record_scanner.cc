#include "wal/record_scanner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wal/crc32c.h"

namespace pitr {

namespace {

// Resource managers and record types: rmgrlist.h, pg_control.h, xact.h.
constexpr std::uint8_t kXlogManager = 0;
constexpr std::uint8_t kTransactionManager = 1;
constexpr std::uint8_t kDatabaseManager = 4;
constexpr std::uint8_t kTablespaceManager = 5;
constexpr std::uint8_t kDatabaseDrop = 0x20;  // from 15 on: dbcommands_xlog.h
constexpr std::uint8_t kDatabaseDropBefore15 = 0x10;
constexpr std::uint8_t kTablespaceCreate = 0x00;  // tablespace.h
constexpr std::uint8_t kTablespaceDrop = 0x10;
constexpr std::uint8_t kRecordTypeMask = 0xF0;
constexpr std::uint8_t kCheckpointShutdown = 0x00;
constexpr std::uint8_t kCheckpointOnline = 0x10;
constexpr std::uint8_t kSwitch = 0x40;
constexpr std::uint8_t kRestorePoint = 0x70;

constexpr std::uint8_t kTransactionTypeMask = 0x70;
constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kAbort = 0x20;
constexpr std::uint8_t kCommitPrepared = 0x30;
constexpr std::uint8_t kAbortPrepared = 0x40;
constexpr std::uint8_t kHasInfo = 0x80;

// xl_xact_xinfo.xinfo
constexpr std::uint32_t kHasDatabase = 1U << 0;
constexpr std::uint32_t kHasSubtransactions = 1U << 1;
constexpr std::uint32_t kHasRelations = 1U << 2;
constexpr std::uint32_t kHasInvalidations = 1U << 3;
constexpr std::uint32_t kHasTwoPhase = 1U << 4;
constexpr std::uint32_t kHasDroppedStatistics = 1U << 8;

// Offsets in XLogRecord.
constexpr std::size_t kXidOffset = 4;
constexpr std::size_t kPreviousOffset = 8;
constexpr std::size_t kInfoOffset = 16;
constexpr std::size_t kManagerOffset = 17;
constexpr std::size_t kCrcOffset = 20;

constexpr std::uint32_t kLongestRecord = 1020U * 1024 * 1024;  // XLogRecordMaxSize

constexpr std::size_t kRestorePointNameSize = 64;  // MAXFNAMELEN

Lsn align8(Lsn lsn) { return (lsn + 7) & ~Lsn{7}; }

// The main data of a record without block references: behind the optional origin and top-level xid.
ByteSpan main_data(ByteSpan body) {
  constexpr std::uint8_t kDataShort = 255;
  constexpr std::uint8_t kDataLong = 254;
  constexpr std::uint8_t kOrigin = 253;
  constexpr std::uint8_t kToplevelXid = 252;
  ByteReader reader(body);
  while (reader.remaining() > 0) {
    const auto id = reader.get<std::uint8_t>();
    if (id == kOrigin) {
      reader.get_bytes(sizeof(std::uint16_t));
    } else if (id == kToplevelXid) {
      reader.get_bytes(sizeof(std::uint32_t));
    } else if (id == kDataShort || id == kDataLong) {
      const std::uint32_t length =
          id == kDataShort ? reader.get<std::uint8_t>() : reader.get<std::uint32_t>();
      if (!reader.ok()) return {};
      return reader.get_bytes(std::min<std::size_t>(length, reader.remaining()));
    } else {
      return {};
    }
  }
  return {};
}

// The xid that a COMMIT PREPARED or ABORT PREPARED record is about: ParseCommitRecord() in
// xactdesc.c. The arrays before it have their count in front.
std::optional<std::uint32_t> two_phase_xid(ByteReader& reader, std::uint32_t info,
                                           unsigned version) {
  if ((info & kHasTwoPhase) == 0) return std::nullopt;
  if ((info & kHasDatabase) != 0) reader.get_bytes(8);
  const auto skip_array = [&reader](std::size_t element_size) {
    const auto count = reader.get<std::int32_t>();
    reader.get_bytes(static_cast<std::size_t>(std::max(count, 0)) * element_size);
  };
  if ((info & kHasSubtransactions) != 0) skip_array(4);
  if ((info & kHasRelations) != 0) skip_array(12);
  if ((info & kHasDroppedStatistics) != 0)
    skip_array(version >= 18 ? 16 : 12);  // xl_xact_stats_item
  if ((info & kHasInvalidations) != 0) skip_array(16);
  const auto xid = reader.get<std::uint32_t>();
  return reader.ok() ? std::optional(xid) : std::nullopt;
}

// The xids of the subtransactions that ended with it; the reader stands behind xinfo.
std::vector<std::uint32_t> read_subtransactions(ByteReader reader, std::uint32_t info) {
  std::vector<std::uint32_t> xids;
  if ((info & kHasSubtransactions) == 0) return xids;
  if ((info & kHasDatabase) != 0) reader.get_bytes(8);
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.remaining() >= sizeof(std::uint32_t); ++i) {
    xids.push_back(reader.get<std::uint32_t>());
  }
  return xids;
}

// XLOG_SWITCH is a bare header of 24 bytes: one that began in the last 8 or 16 bytes of the segment
// before ends here, and the rest of this segment is no WAL.
bool is_rest_of_switch(ByteSpan rest, std::uint32_t length) {
  if ((length != 8 && length != 16) || rest.size() < length) return false;
  const std::size_t info = length - 8;  // xl_info, then xl_rmid
  return load<std::uint8_t>(rest, info + 1) == kXlogManager &&
         (load<std::uint8_t>(rest, info) & kRecordTypeMask) == kSwitch;
}

std::string text_before_nul(ByteSpan bytes) {
  const std::string_view text = as_text(bytes);
  return std::string(text.substr(0, text.find('\0')));
}

void visit_xlog_record(std::uint8_t type, ByteReader reader, Lsn start, Lsn end,
                       const RecordVisitor& visitor) {
  if (type == kRestorePoint) {
    RestorePoint point{.start = start, .end = end, .time = reader.get<std::int64_t>()};
    point.name = text_before_nul(reader.get_bytes(kRestorePointNameSize));
    if (reader.ok() && visitor.on_restore_point) visitor.on_restore_point(point);
  } else if (type == kCheckpointShutdown || type == kCheckpointOnline) {
    reader.get_bytes(24);  // redo, two timelines, full_page_writes, wal_level or padding
    const auto next_xid = reader.get<std::uint64_t>();
    if (reader.ok() && visitor.on_checkpoint) visitor.on_checkpoint(next_xid);
  }
}

void visit_tablespace_record(std::uint8_t type, ByteReader reader, Lsn start,
                             const RecordVisitor& visitor) {
  if (type == kTablespaceDrop && visitor.on_removal) visitor.on_removal(start);
  if (type != kTablespaceCreate || !visitor.on_tablespace_creation) return;
  TablespaceCreation creation{.start = start, .oid = reader.get<std::uint32_t>()};
  creation.path = text_before_nul(reader.get_bytes(reader.remaining()));
  if (reader.ok()) visitor.on_tablespace_creation(creation);
}

}  // namespace

std::optional<TransactionEnd> decode_transaction_end(ByteSpan record, unsigned version,
                                                     bool keep_subtransactions) {
  if (record.size() < kRecordHeaderSize ||
      load<std::uint8_t>(record, kManagerOffset) != kTransactionManager) {
    return std::nullopt;
  }
  const auto info = load<std::uint8_t>(record, kInfoOffset);
  const std::uint8_t type = info & kTransactionTypeMask;
  const bool is_commit = type == kCommit || type == kCommitPrepared;
  if (!is_commit && type != kAbort && type != kAbortPrepared) return std::nullopt;
  ByteReader reader(main_data(record.subspan(kRecordHeaderSize)));
  TransactionEnd transaction{.time = reader.get<std::int64_t>(),
                             .xid = load<std::uint32_t>(record, kXidOffset),
                             .is_commit = is_commit};
  if (!reader.ok()) return std::nullopt;
  const std::uint32_t more = (info & kHasInfo) != 0 ? reader.get<std::uint32_t>() : 0;
  if (keep_subtransactions) transaction.subtransactions = read_subtransactions(reader, more);
  if (type == kCommitPrepared || type == kAbortPrepared) {
    transaction.xid = two_phase_xid(reader, more, version).value_or(transaction.xid);
  }
  return transaction;
}

void visit_record_head(ByteSpan record, Lsn start, Lsn end, unsigned version,
                       const RecordVisitor& visitor) {
  if (record.size() < kRecordHeaderSize) return;
  const auto manager = load<std::uint8_t>(record, kManagerOffset);
  const std::uint8_t type = load<std::uint8_t>(record, kInfoOffset) & kRecordTypeMask;
  if (manager == kTransactionManager) {
    auto transaction = decode_transaction_end(record, version, visitor.keep_subtransactions);
    if (!transaction || !visitor.on_transaction_end) return;
    transaction->start = start;
    transaction->end = end;
    visitor.on_transaction_end(*transaction);
  } else if (manager == kDatabaseManager) {
    const bool is_drop = type == (version >= 15 ? kDatabaseDrop : kDatabaseDropBefore15);
    if (is_drop && visitor.on_removal) visitor.on_removal(start);
  } else if (manager == kXlogManager) {
    visit_xlog_record(type, ByteReader(main_data(record.subspan(kRecordHeaderSize))), start, end,
                      visitor);
  } else if (manager == kTablespaceManager) {
    visit_tablespace_record(type, ByteReader(main_data(record.subspan(kRecordHeaderSize))), start,
                            visitor);
  }
}

RecordScanner::RecordScanner(Lsn segment_start, SegmentSize segment_size, RecordVisitor visitor)
    : segment_size_(segment_size),
      visitor_(std::move(visitor)),
      position_(segment_start),
      head_(kBodyKept) {}

void RecordScanner::feed(ByteSpan pages) {
  while (!pages.empty()) {
    if (first_page_) {
      const auto header = parse_page_header(pages);
      if (header && header->is_long()) {
        magic_ = header->magic;
        const bool usable = header->page_size >= 1024 && header->page_size <= 65536 &&
                            (header->page_size & (header->page_size - 1)) == 0;
        if (usable) page_size_ = header->page_size;
      }
    }
    const ByteSpan page = pages.first(std::min(page_size_, pages.size()));
    scan_page(page);
    pages = pages.subspan(page.size());
    position_ += page.size();
    first_page_ = false;
  }
}

void RecordScanner::scan_page(ByteSpan page) {
  if (after_switch_ && position_ < switch_segment_end_) return;  // zeros up to the segment's end
  if (after_switch_) after_switch_ = false;

  const auto header = parse_page_header(page);
  const bool valid = header && header->magic == magic_ && header->address == position_ &&
                     (header->flags & ~kAllPageFlags) == 0 &&
                     header->is_long() == (position_ % segment_size_ == 0);
  if (broke_) {
    valid_pages_follow_ = valid_pages_follow_ || valid;
    return;
  }
  if (!valid || !accept_page_header(*header)) {
    break_chain(position_);
    return;
  }
  scan_records(page, header->size());
}

// Joins the page to the record that is open, as XLogReadRecord() does; false when it cannot be.
bool RecordScanner::accept_page_header(const PageHeader& header) {
  const bool continues = (header.flags & kPageStartsInsideRecord) != 0;
  if (record_open_ && (header.flags & kPageOverwritesRecord) != 0) {
    // A crash cut the open record short, and PostgreSQL went on here without it: no damage.
    record_open_ = false;
    head_size_ = 0;
    return !continues;
  }
  if (record_open_) return continues && header.remaining_bytes == record_length_ - record_taken_;
  if (!continues) return true;
  if (!first_page_) return false;
  record_open_ = true;
  headless_ = true;
  record_length_ = header.remaining_bytes;
  record_taken_ = 0;
  continuation_bytes_ = header.remaining_bytes;
  return true;
}

void RecordScanner::scan_records(ByteSpan page, std::size_t offset) {
  while (offset < page.size()) {
    if (!record_open_ && !begin_record(page.subspan(offset), position_ + offset)) {
      break_chain(position_ + offset);
      return;
    }
    offset += continue_record(page.subspan(offset));
    if (broke_) return;
    if (record_taken_ < record_length_) continue;
    finish_record(position_ + offset);
    if (broke_ || after_switch_) return;
    offset = align8(position_ + offset) - position_;
  }
}

bool RecordScanner::begin_record(ByteSpan rest, Lsn position) {
  // Records start at multiples of eight, so the length is never cut by the end of a page.
  if (rest.size() < sizeof(std::uint32_t)) return false;
  const auto length = load<std::uint32_t>(rest, 0);
  if (length < kRecordHeaderSize || length > kLongestRecord) return false;
  record_open_ = true;
  headless_ = false;
  record_start_ = position;
  record_length_ = length;
  record_taken_ = 0;
  head_size_ = 0;
  body_crc_ = 0;
  return true;
}

// Takes what this page holds of the open record; returns how much that is.
std::size_t RecordScanner::continue_record(ByteSpan rest) {
  const std::size_t count = std::min<std::size_t>(record_length_ - record_taken_, rest.size());
  ByteSpan bytes = rest.first(count);
  if (headless_) {
    const std::size_t kept = std::min(bytes.size(), kContinuationKept - continuation_head_.size());
    continuation_head_.insert(continuation_head_.end(), bytes.begin(),
                              bytes.begin() + static_cast<std::ptrdiff_t>(kept));
  } else {
    const bool header_was_cut = head_size_ < kRecordHeaderSize;
    if (header_was_cut) {
      const std::size_t kept = std::min(bytes.size(), kRecordHeaderSize - head_size_);
      std::memcpy(head_.data() + head_size_, bytes.data(), kept);
      head_size_ += kept;
      bytes = bytes.subspan(kept);
      if (head_size_ == kRecordHeaderSize && !header_is_plausible()) {
        break_chain(record_start_);
        return count;
      }
    }
    if (!bytes.empty()) {
      Crc32c crc = Crc32c::resume(body_crc_);
      crc.update(bytes);
      body_crc_ = crc.value();
      const auto manager = std::to_integer<std::uint8_t>(head_[kManagerOffset]);
      if (manager <= kTransactionManager || manager == kTablespaceManager) {
        const std::size_t kept = std::min(bytes.size(), head_.size() - head_size_);
        std::memcpy(head_.data() + head_size_, bytes.data(), kept);
        head_size_ += kept;
      }
    }
  }
  record_taken_ += static_cast<std::uint32_t>(count);
  return count;
}

// The checks of ValidXLogRecordHeader() that need no other record's contents.
bool RecordScanner::header_is_plausible() const {
  const auto previous = load<std::uint64_t>(head_bytes(), kPreviousOffset);
  return last_record_ != 0 ? previous == last_record_ : previous < record_start_;
}

void RecordScanner::finish_record(Lsn end) {
  record_open_ = false;
  if (headless_) {
    end_of_records_ = align8(end);
    headless_ = false;
    if (is_rest_of_switch(continuation_head_, continuation_bytes_)) {
      after_switch_ = true;
      switch_segment_end_ = (end / segment_size_ + 1) * segment_size_;
      end_of_records_ = switch_segment_end_;
    }
    return;
  }
  // The CRC covers the body first, then the header up to the CRC itself.
  Crc32c crc = Crc32c::resume(body_crc_);
  crc.update(head_bytes().first(kCrcOffset));
  if (crc.value() != load<std::uint32_t>(head_bytes(), kCrcOffset)) {
    break_chain(record_start_);
    return;
  }
  if (first_record_ == 0) first_record_ = record_start_;
  last_record_ = record_start_;
  end_of_records_ = align8(end);
  if (visitor_.on_record) visitor_.on_record(record_start_, end_of_records_);
  visit_record_head(head_bytes(), record_start_, end_of_records_,
                    version_of_page_magic(magic_).value_or(0), visitor_);
  note_switch();
}

// After XLOG_SWITCH the rest of the segment is no WAL.
void RecordScanner::note_switch() {
  if (load<std::uint8_t>(head_bytes(), kManagerOffset) != kXlogManager) return;
  const std::uint8_t type = load<std::uint8_t>(head_bytes(), kInfoOffset) & kRecordTypeMask;
  if (type != kSwitch) return;
  after_switch_ = true;
  switch_segment_end_ = (record_start_ / segment_size_ + 1) * segment_size_;
  end_of_records_ = switch_segment_end_;
}

void RecordScanner::break_chain(Lsn at) {
  broke_ = true;
  broke_at_ = at;
  record_open_ = false;
  headless_ = false;
  head_size_ = 0;
}

}  // namespace pitr
