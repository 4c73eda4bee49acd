#include "fuzz/wal_repair.h"

#include <algorithm>

#include "wal/crc32c.h"

namespace pitr::fuzzing {

namespace {

constexpr std::uint16_t kMagicOf15 = 0xD110;
constexpr std::size_t kPreviousOffset = 8;
constexpr std::size_t kInfoOffset = 16;
constexpr std::size_t kManagerOffset = 17;
constexpr std::size_t kCrcOffset = 20;
constexpr std::uint32_t kLongestRecord = 1020U * 1024 * 1024;  // XLogRecordMaxSize

std::size_t header_size_at(std::size_t offset, SegmentSize segment_size) {
  return offset % segment_size == 0 ? kLongPageHeaderSize : kShortPageHeaderSize;
}

template <std::integral Number>
void store(std::span<std::byte> bytes, std::size_t offset, Number number) {
  std::memcpy(bytes.subspan(offset, sizeof number).data(), &number, sizeof number);
}

class Repairer {
 public:
  Repairer(std::span<std::byte> wal, const ReaderOptions& options)
      : wal_(wal), segment_size_(options.segment_size()), start_(options.start()) {
    magic_ = load<std::uint16_t>(wal_, 0);
    if (!version_of_page_magic(magic_)) magic_ = kMagicOf15;
  }

  std::vector<WalkedRecord> run() {
    std::size_t offset = 0;
    while (offset < wal_.size()) {
      if (offset % kUsualWalPageSize == 0) {
        if (wal_.size() - offset < kLongPageHeaderSize) break;
        repair_page_header(offset);
        offset += header_size_at(offset, segment_size_);
        continue;
      }
      const std::size_t page_end =
          std::min(wal_.size(), (offset / kUsualWalPageSize + 1) * kUsualWalPageSize);
      if (remaining_ == 0 && !begin_record(offset, page_end - offset)) break;
      offset = take(offset, std::min<std::size_t>(remaining_, page_end - offset));
    }
    return std::move(records_);
  }

 private:
  // The record that goes on behind the page's header decides what the header says.
  void repair_page_header(std::size_t offset) {
    const bool is_long = header_size_at(offset, segment_size_) == kLongPageHeaderSize;
    auto flags = load<std::uint16_t>(wal_, offset + 2);
    constexpr unsigned kFree = kAllPageFlags & ~(kPageHasLongHeader | kPageStartsInsideRecord);
    const bool is_overwritten = remaining_ > 0 && (flags & kPageOverwritesRecord) != 0;
    if (is_overwritten) forget_record();
    if (offset == 0 && (flags & kPageStartsInsideRecord) != 0) {
      remaining_ = load<std::uint32_t>(wal_, offset + 16);
      is_headless_ = remaining_ > 0;
    }
    flags = static_cast<std::uint16_t>((flags & kFree) | (is_long ? kPageHasLongHeader : 0) |
                                       (remaining_ > 0 ? kPageStartsInsideRecord : 0));
    store(wal_, offset, magic_);
    store(wal_, offset + 2, flags);
    store(wal_, offset + 8, start_ + offset);
    store(wal_, offset + 16, remaining_);
    if (is_long) {
      store(wal_, offset + 32, static_cast<std::uint32_t>(segment_size_));
      store(wal_, offset + 36, static_cast<std::uint32_t>(kUsualWalPageSize));
    }
  }

  // False: here the records end.
  bool begin_record(std::size_t offset, std::size_t room) {
    if (room < sizeof(std::uint32_t)) return false;
    auto length = load<std::uint32_t>(wal_, offset);
    if (length == 0) return false;
    if (length < kRecordHeaderSize || length > kLongestRecord) {
      length = kRecordHeaderSize + length % 512;
      store(wal_, offset, length);
    }
    remaining_ = length;
    records_.push_back({.start = start_ + offset, .is_whole = false, .offsets = {}});
    return true;
  }

  std::size_t take(std::size_t offset, std::size_t count) {
    remaining_ -= static_cast<std::uint32_t>(count);
    const std::size_t end = offset + count;
    if (!is_headless_) {
      std::vector<std::size_t>& offsets = records_.back().offsets;
      for (; offset < end; ++offset)
        offsets.push_back(offset);
    }
    if (remaining_ > 0) return end;
    std::size_t next = (end + 7) / 8 * 8;
    if (is_headless_) {
      is_headless_ = false;
    } else if (finish_record()) {
      next = (next + segment_size_ - 1) / segment_size_ * segment_size_;
    }
    return next;
  }

  // True: it is XLOG_SWITCH.
  bool finish_record() {
    WalkedRecord& record = records_.back();
    std::vector<std::byte> bytes;
    for (const std::size_t offset : record.offsets)
      bytes.push_back(wal_[offset]);
    // That of the first record is not in the pages.
    const bool is_plausible = load<Lsn>(bytes, kPreviousOffset) < record.start;
    if (previous_ != 0 || !is_plausible) {
      store<Lsn>(bytes, kPreviousOffset, previous_ != 0 ? previous_ : record.start - 8);
    }
    Crc32c crc;
    crc.update(ByteSpan(bytes).subspan(kRecordHeaderSize));
    crc.update(ByteSpan(bytes).first(kCrcOffset));
    store(bytes, kCrcOffset, crc.value());
    for (std::size_t i = 0; i < kRecordHeaderSize; ++i)
      wal_[record.offsets[i]] = bytes[i];
    record.is_whole = true;
    previous_ = record.start;
    return load<std::uint8_t>(bytes, kManagerOffset) == 0 &&
           (load<std::uint8_t>(bytes, kInfoOffset) & 0xF0U) == 0x40;
  }

  void forget_record() {
    remaining_ = 0;
    if (!is_headless_) records_.pop_back();
    is_headless_ = false;
  }

  std::span<std::byte> wal_;
  SegmentSize segment_size_;
  Lsn start_;
  std::uint16_t magic_ = 0;
  std::uint32_t remaining_ = 0;  // of the open record
  bool is_headless_ = false;     // the open record began before the first page
  Lsn previous_ = 0;
  std::vector<WalkedRecord> records_;
};

}  // namespace

std::vector<WalkedRecord> repair(std::span<std::byte> wal, const ReaderOptions& options) {
  if (wal.size() < kLongPageHeaderSize) return {};
  return Repairer(wal, options).run();
}

std::vector<std::byte> without_page_headers(ByteSpan wal, SegmentSize segment_size) {
  ByteWriter stream;
  for (std::size_t offset = 0; offset < wal.size(); offset += kUsualWalPageSize) {
    const ByteSpan page = wal.subspan(offset, std::min(kUsualWalPageSize, wal.size() - offset));
    stream.put_bytes(page.subspan(std::min(page.size(), header_size_at(offset, segment_size))));
  }
  return stream.take();
}

std::vector<std::byte> with_page_headers(ByteSpan stream, ByteSpan old_wal,
                                         SegmentSize segment_size) {
  std::vector<std::byte> wal;
  while (!stream.empty()) {
    const std::size_t offset = wal.size();
    const std::size_t header = header_size_at(offset, segment_size);
    wal.resize(offset + header);
    if (offset + header <= old_wal.size()) {
      std::memcpy(wal.data() + offset, old_wal.data() + offset, header);
    }
    const std::size_t count = std::min(stream.size(), kUsualWalPageSize - header);
    wal.insert(wal.end(), stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(count));
    stream = stream.subspan(count);
  }
  return wal;
}

}  // namespace pitr::fuzzing
