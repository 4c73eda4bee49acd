#include "wal/record_scanner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "wal/crc32c.h"

namespace pitr {

namespace {

constexpr std::uint8_t kSwitch = 0x40;  // XLOG_SWITCH
constexpr std::uint8_t kRecordTypeMask = 0xF0;

// Offsets in XLogRecord.
constexpr std::size_t kPreviousOffset = 8;
constexpr std::size_t kInfoOffset = 16;
constexpr std::size_t kManagerOffset = 17;
constexpr std::size_t kCrcOffset = 20;

constexpr std::uint32_t kLongestRecord = 1020U * 1024 * 1024;  // XLogRecordMaxSize

Lsn align8(Lsn lsn) { return (lsn + 7) & ~Lsn{7}; }

bool is_switch(std::uint8_t manager, std::uint8_t info) {
  return manager == static_cast<std::uint8_t>(ResourceManager::kXlog) &&
         (info & kRecordTypeMask) == kSwitch;
}

// XLOG_SWITCH is a bare header of 24 bytes: one that began in the last 8 or 16 bytes of the segment
// before ends here, and the rest of this segment is no WAL. Any other record may end in such bytes:
// then there is a record behind them.
bool is_rest_of_switch(ByteSpan rest, std::uint32_t length, ByteSpan behind) {
  if ((length != 8 && length != 16) || rest.size() < length) return false;
  const bool record_follows =
      behind.size() >= sizeof(std::uint32_t) && load<std::uint32_t>(behind, 0) != 0;
  // xl_info, xl_rmid, two bytes of padding
  return load<std::uint32_t>(rest, length - 8) == kSwitch && !record_follows;
}

}  // namespace

RecordScanner::RecordScanner(Lsn segment_start, SegmentSize segment_size, RecordVisitor visitor)
    : segment_size_(segment_size),
      visitor_(std::move(visitor)),
      position_(segment_start),
      head_(kBodyKept) {}

void RecordScanner::feed(ByteSpan pages) {
  while (!pages.empty()) {
    if (first_page_) note_version(pages);
    const ByteSpan page = pages.first(std::min(page_size_, pages.size()));
    scan_page(page);
    pages = pages.subspan(page.size());
    position_ += page.size();
    first_page_ = false;
  }
}

void RecordScanner::note_version(ByteSpan first_page) {
  const auto header = parse_page_header(first_page);
  if (!header || !header->is_long()) return;
  magic_ = header->magic;
  version_ = version_of_page_magic(magic_).value_or(0);
  const bool usable = header->page_size >= 1024 && header->page_size <= 65536 &&
                      (header->page_size & (header->page_size - 1)) == 0;
  if (usable) page_size_ = header->page_size;
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
  begin_record(header.remaining_bytes, 0);
  headless_ = true;
  continuation_bytes_ = header.remaining_bytes;
  return true;
}

void RecordScanner::scan_records(ByteSpan page, std::size_t offset) {
  while (offset < page.size()) {
    const ByteSpan rest = page.subspan(offset);
    const Lsn start = position_ + offset;
    if (!record_open_) {
      // Records start at multiples of eight, so the length is never cut by the end of a page.
      const std::uint32_t length =
          rest.size() < sizeof(std::uint32_t) ? 0 : load<std::uint32_t>(rest, 0);
      const bool is_possible = length >= kRecordHeaderSize && length <= kLongestRecord;
      if (!is_possible) return break_chain_in_page(start, rest);
      if (length <= rest.size()) {
        if (!take_whole_record(rest, length, start)) return;
        offset = align8(start + length) - position_;
        continue;
      }
      begin_record(length, start);
    }
    offset += continue_record(rest);
    if (broke_) return note_records_behind(rest, start);
    if (record_taken_ < record_length_) continue;
    record_open_ = false;
    if (headless_) {
      const std::size_t next = align8(position_ + offset) - position_;
      finish_continuation(position_ + offset, page.subspan(std::min(next, page.size())));
    } else {
      const Crc32c body = Crc32c::resume(body_crc_);
      Crc32c crc = body;
      crc.update(head_bytes().first(kCrcOffset));  // the CRC covers the body first
      if (crc.value() != load<std::uint32_t>(head_bytes(), kCrcOffset)) {
        break_chain(record_start_);
        return note_records_behind(page.subspan(offset), position_ + offset);
      }
      finish_record(head_bytes(), record_start_, position_ + offset);
    }
    if (after_switch_) return;
    offset = align8(position_ + offset) - position_;
  }
}

// A record that lies in one page: nothing of it is copied. False: the chain ends with it.
bool RecordScanner::take_whole_record(ByteSpan rest, std::uint32_t length, Lsn start) {
  const ByteSpan record = rest.first(length);
  const ByteSpan header = record.first(kRecordHeaderSize);
  if (!header_is_plausible(header, start) ||
      crc32c_of_both(record.subspan(kRecordHeaderSize), header.first(kCrcOffset)) !=
          load<std::uint32_t>(header, kCrcOffset)) {
    break_chain_in_page(start, rest);
    return false;
  }
  finish_record(record, start, start + record.size());
  return !after_switch_;
}

void RecordScanner::begin_record(std::uint32_t length, Lsn start) {
  record_open_ = true;
  headless_ = false;
  record_start_ = start;
  record_length_ = length;
  record_taken_ = 0;
  head_size_ = 0;
  head_limit_ = kHeadKept;
  body_crc_ = 0;
}

// Takes what this page holds of the open record; returns how much that is.
std::size_t RecordScanner::continue_record(ByteSpan rest) {
  const std::size_t count = std::min<std::size_t>(record_length_ - record_taken_, rest.size());
  const ByteSpan bytes = rest.first(count);
  if (headless_) {
    keep_continuation(bytes);
  } else if (!keep_record(bytes)) {
    break_chain(record_start_);
  }
  record_taken_ += static_cast<std::uint32_t>(count);
  return count;
}

void RecordScanner::keep_continuation(ByteSpan bytes) {
  const std::size_t kept = std::min(bytes.size(), kContinuationKept - continuation_head_.size());
  continuation_head_.insert(continuation_head_.end(), bytes.begin(),
                            bytes.begin() + static_cast<std::ptrdiff_t>(kept));
  const std::size_t skipped =
      kContinuationSkipped - std::min<std::size_t>(kContinuationSkipped, continuation_taken_);
  if (bytes.size() > skipped) {
    Crc32c crc = Crc32c::resume(continuation_crc_);
    crc.update(bytes.subspan(skipped));
    continuation_crc_ = crc.value();
  }
  continuation_taken_ += static_cast<std::uint32_t>(bytes.size());
}

// False: the record's header, whole by now, cannot be one.
bool RecordScanner::keep_record(ByteSpan bytes) {
  const auto append = [&](std::size_t count) {
    std::memcpy(head_.data() + head_size_, bytes.data(), count);
    head_size_ += count;
  };
  if (head_size_ < kRecordHeaderSize) {
    const std::size_t count = std::min(bytes.size(), kRecordHeaderSize - head_size_);
    append(count);
    bytes = bytes.subspan(count);
    if (head_size_ < kRecordHeaderSize) return true;
    if (!header_is_plausible(head_bytes(), record_start_)) return false;
    if (is_telling(head_bytes())) head_limit_ = kBodyKept;
    if (load<std::uint8_t>(head_, kManagerOffset) ==
        static_cast<std::uint8_t>(ResourceManager::kTransaction)) {
      // The id of a prepared transaction stands behind all its subtransactions, files,
      // invalidations.
      head_limit_ = std::max<std::size_t>(kBodyKept, std::min(record_length_, kTransactionKept));
      if (head_.size() < head_limit_) head_.resize(head_limit_);
    }
  }
  if (bytes.empty()) return true;
  Crc32c crc = Crc32c::resume(body_crc_);
  crc.update(bytes);
  body_crc_ = crc.value();
  append(std::min(bytes.size(), head_limit_ - head_size_));
  return true;
}

// The checks of ValidXLogRecordHeader() that need no other record's contents.
bool RecordScanner::header_is_plausible(ByteSpan header, Lsn start) const {
  const auto previous = load<std::uint64_t>(header, kPreviousOffset);
  return last_record_ != 0 ? previous == last_record_ : previous < start;
}

void RecordScanner::finish_continuation(Lsn end, ByteSpan behind) {
  headless_ = false;
  end_of_records_ = align8(end);
  if (!is_rest_of_switch(continuation_head_, continuation_bytes_, behind)) return;
  after_switch_ = true;
  switch_segment_end_ = (end / segment_size_ + 1) * segment_size_;
  end_of_records_ = switch_segment_end_;
}

// Of a record that spans pages `head` may hold only the beginning.
void RecordScanner::finish_record(ByteSpan head, Lsn start, Lsn end) {
  if (first_record_ == 0) first_record_ = start;
  last_record_ = start;
  end_of_records_ = align8(end);
  if (visitor_.on_record || is_telling(head)) {
    view_.parse(head, version_);
    if (visitor_.on_record) visitor_.on_record(view_, start, end_of_records_);
    visit_record(view_, start, end_of_records_, version_, visitor_);
  } else if (visitor_.on_custom_manager) {
    const auto manager = load<std::uint8_t>(head, kManagerOffset);
    if (manager >= static_cast<std::uint8_t>(ResourceManager::kFirstCustom)) {
      visitor_.on_custom_manager(manager);
    }
  }
  if (!is_switch(load<std::uint8_t>(head, kManagerOffset), load<std::uint8_t>(head, kInfoOffset))) {
    return;
  }
  // After XLOG_SWITCH the rest of the segment is no WAL.
  after_switch_ = true;
  switch_segment_end_ = ((end - 1) / segment_size_ + 1) * segment_size_;
  end_of_records_ = switch_segment_end_;
}

// Behind the break the WAL goes on in the same page where a record links back to the broken one, or
// to one behind it. What an earlier use of the file left links to older WAL, and where nothing was
// written there are zeros.
void RecordScanner::note_records_behind(ByteSpan bytes, Lsn start) {
  for (std::size_t offset = align8(start) - start; offset + kRecordHeaderSize <= bytes.size();
       offset += 8) {
    const auto length = load<std::uint32_t>(bytes, offset);
    const auto previous = load<std::uint64_t>(bytes, offset + kPreviousOffset);
    if (length >= kRecordHeaderSize && length <= kLongestRecord && previous % 8 == 0 &&
        previous >= broke_at_ && previous < start + offset) {
      valid_pages_follow_ = true;
      return;
    }
  }
}

// `rest` is what the page holds from `at` on.
void RecordScanner::break_chain_in_page(Lsn at, ByteSpan rest) {
  break_chain(at);
  note_records_behind(rest, at);
}

void RecordScanner::break_chain(Lsn at) {
  broke_ = true;
  broke_at_ = at;
  record_open_ = false;
  headless_ = false;
  head_size_ = 0;
}

}  // namespace pitr
