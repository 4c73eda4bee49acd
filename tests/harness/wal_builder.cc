#include "harness/wal_builder.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "wal/crc32c.h"
#include "wal/record_scanner.h"

namespace pitr::testing {

namespace {

// rmgrlist.h, pg_control.h, xact.h
constexpr std::uint8_t kXlog = 0;
constexpr std::uint8_t kTransaction = 1;
constexpr std::uint8_t kCheckpointOnline = 0x10;
constexpr std::uint8_t kSwitch = 0x40;
constexpr std::uint8_t kRestorePoint = 0x70;
constexpr std::uint8_t kOverwriteContinuation = 0xD0;
constexpr std::uint8_t kCommit = 0x00;
constexpr std::uint8_t kAbort = 0x20;
constexpr std::uint8_t kCommitPrepared = 0x30;
constexpr std::uint8_t kAbortPrepared = 0x40;
constexpr std::uint8_t kHasInfo = 0x80;
constexpr std::uint32_t kHasDatabase = 1U << 0;
constexpr std::uint32_t kHasSubtransactions = 1U << 1;
constexpr std::uint32_t kHasTwoPhase = 1U << 4;

std::uint16_t magic_of(unsigned version) {
  constexpr std::array<std::uint16_t, 6> kMagics = {0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};
  return kMagics.at(version - 13);
}

// xl_xact_commit with the database, one subtransaction and the prepared transaction's id.
std::vector<std::byte> prepared_end_body(std::uint32_t prepared_xid, std::int64_t time) {
  ByteWriter data;
  data.put(time);
  data.put(kHasDatabase | kHasSubtransactions | kHasTwoPhase);
  data.put(std::uint32_t{16384});  // database
  data.put(std::uint32_t{1663});   // tablespace
  data.put(std::int32_t{1});
  data.put(prepared_xid + 1);
  data.put(prepared_xid);
  return main_data_body(data.bytes());
}

std::vector<std::byte> time_body(std::int64_t time) {
  ByteWriter data;
  data.put(time);
  return main_data_body(data.bytes());
}

}  // namespace

std::vector<std::byte> encode_record(const WalRecord& record, Lsn previous) {
  ByteWriter header;
  header.put(static_cast<std::uint32_t>(kRecordHeaderSize + record.body.size()));
  header.put(record.xid);
  header.put(previous);
  header.put(record.info);
  header.put(record.manager);
  header.put(std::uint16_t{0});
  Crc32c crc;
  crc.update(record.body);
  crc.update(header.bytes());
  header.put(crc.value());
  header.put_bytes(record.body);
  return header.take();
}

std::vector<std::byte> main_data_body(ByteSpan data) {
  ByteWriter body;
  if (data.size() < 256) {
    body.put(std::uint8_t{255});  // XLR_BLOCK_ID_DATA_SHORT
    body.put(static_cast<std::uint8_t>(data.size()));
  } else {
    body.put(std::uint8_t{254});  // XLR_BLOCK_ID_DATA_LONG
    body.put(static_cast<std::uint32_t>(data.size()));
  }
  body.put_bytes(data);
  return body.take();
}

WalBuilder::WalBuilder(Lsn start, ClusterIdentity cluster, TimelineId timeline)
    : start_(start), cluster_(cluster), timeline_(timeline), previous_(start - 64) {}

std::size_t WalBuilder::header_size() const {
  return cursor() % cluster_.segment_size == 0 ? kLongPageHeaderSize : kShortPageHeaderSize;
}

Lsn WalBuilder::position() const { return at_page_start() ? cursor() + header_size() : cursor(); }

std::size_t WalBuilder::room_in_page() const {
  return kUsualWalPageSize - position() % kUsualWalPageSize;
}

std::size_t WalBuilder::room_in_segment() const {
  const Lsn page_end = position() / kUsualWalPageSize * kUsualWalPageSize + kUsualWalPageSize;
  const Lsn segment_end = (position() / cluster_.segment_size + 1) * cluster_.segment_size;
  const std::size_t later_pages = (segment_end - page_end) / kUsualWalPageSize;
  return room_in_page() + later_pages * (kUsualWalPageSize - kShortPageHeaderSize);
}

void WalBuilder::put(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

void WalBuilder::put_page_header(std::uint32_t remaining_bytes) {
  const bool is_long = header_size() == kLongPageHeaderSize;
  ByteWriter header;
  header.put(magic_of(cluster_.postgres_version));
  header.put(static_cast<std::uint16_t>((is_long ? kPageHasLongHeader : 0) |
                                        (remaining_bytes > 0 ? kPageStartsInsideRecord : 0) |
                                        flags_of_next_page_));
  header.put(timeline_);
  header.put(cursor());
  header.put(remaining_bytes);
  header.put(std::uint32_t{0});
  if (is_long) {
    header.put(cluster_.system_identifier);
    header.put(static_cast<std::uint32_t>(cluster_.segment_size));
    header.put(static_cast<std::uint32_t>(kUsualWalPageSize));
  }
  flags_of_next_page_ = 0;
  put(header.bytes());
}

Lsn WalBuilder::place(ByteSpan record) {
  const Lsn start = position();
  if (at_page_start()) put_page_header(0);
  while (true) {
    const std::size_t count =
        std::min<std::size_t>(record.size(), kUsualWalPageSize - cursor() % kUsualWalPageSize);
    put(record.first(count));
    record = record.subspan(count);
    if (record.empty()) break;
    put_page_header(static_cast<std::uint32_t>(record.size()));
  }
  bytes_.resize((bytes_.size() + 7) / 8 * 8);
  return start;
}

Lsn WalBuilder::add(const WalRecord& record) {
  const Lsn start = place(encode_record(record, previous_));
  previous_ = start;
  return start;
}

Lsn WalBuilder::add_filler(std::size_t total_length, std::uint32_t xid) {
  WalRecord record{.xid = xid};
  record.body.resize(total_length - kRecordHeaderSize);
  for (std::size_t i = 0; i < record.body.size(); ++i)
    record.body[i] = static_cast<std::byte>((i * 7 + total_length) & 0xFFU);
  return add(record);
}

Lsn WalBuilder::add_commit(std::uint32_t xid, std::int64_t time) {
  return add({.manager = kTransaction, .info = kCommit, .xid = xid, .body = time_body(time)});
}

Lsn WalBuilder::add_abort(std::uint32_t xid, std::int64_t time) {
  return add({.manager = kTransaction, .info = kAbort, .xid = xid, .body = time_body(time)});
}

Lsn WalBuilder::add_commit_prepared(std::uint32_t prepared_xid, std::int64_t time) {
  return add({.manager = kTransaction,
              .info = kCommitPrepared | kHasInfo,
              .body = prepared_end_body(prepared_xid, time)});
}

Lsn WalBuilder::add_abort_prepared(std::uint32_t prepared_xid, std::int64_t time) {
  return add({.manager = kTransaction,
              .info = kAbortPrepared | kHasInfo,
              .body = prepared_end_body(prepared_xid, time)});
}

Lsn WalBuilder::add_restore_point(std::string_view name, std::int64_t time) {
  ByteWriter data;
  data.put(time);
  data.put_bytes(as_byte_span(name));
  while (data.bytes().size() < 8 + 64)
    data.put(std::uint8_t{0});
  return add({.manager = kXlog, .info = kRestorePoint, .body = main_data_body(data.bytes())});
}

Lsn WalBuilder::add_checkpoint(std::uint64_t next_xid) {
  ByteWriter data;
  data.put(Lsn{start_});
  data.put(timeline_);
  data.put(timeline_);
  data.put(std::uint64_t{1});  // full_page_writes, and wal_level or padding
  data.put(next_xid);
  while (data.bytes().size() < 88)
    data.put(std::uint8_t{0});
  return add({.manager = kXlog, .info = kCheckpointOnline, .body = main_data_body(data.bytes())});
}

Lsn WalBuilder::add_switch() {
  const Lsn start = add({.manager = kXlog, .info = kSwitch});
  const std::size_t segment = cluster_.segment_size;
  bytes_.resize((bytes_.size() + segment - 1) / segment * segment);
  return start;
}

void WalBuilder::fill_page(std::size_t bytes_left) {
  if (room_in_page() != bytes_left) add_filler(room_in_page() - bytes_left);
}

void WalBuilder::fill_segment(std::size_t bytes_left) {
  constexpr std::size_t kFiller = 6000;
  while (room_in_segment() - bytes_left > 2 * kFiller)
    add_filler(kFiller);
  if (room_in_segment() != bytes_left) add_filler(room_in_segment() - bytes_left);
}

Lsn WalBuilder::add_overwritten(std::size_t total_length) {
  if (total_length <= room_in_page()) throw std::logic_error("the record fits on the page");
  WalRecord record;
  record.body.resize(total_length - kRecordHeaderSize);
  const std::vector<std::byte> encoded = encode_record(record, previous_);
  const Lsn start = place(ByteSpan(encoded).first(room_in_page()));
  flags_of_next_page_ = kPageOverwritesRecord;
  ByteWriter data;
  data.put(start);
  data.put(std::int64_t{0});
  add({.manager = kXlog, .info = kOverwriteContinuation, .body = main_data_body(data.bytes())});
  return start;
}

std::vector<std::byte> WalBuilder::bytes() const {
  std::vector<std::byte> padded = bytes_;
  const std::size_t segment = cluster_.segment_size;
  padded.resize(std::max<std::size_t>(1, (padded.size() + segment - 1) / segment) * segment);
  return padded;
}

std::vector<std::byte> WalBuilder::segment(std::size_t index) const {
  const std::vector<std::byte> all = bytes();
  const ByteSpan one = ByteSpan(all).subspan(index * cluster_.segment_size, cluster_.segment_size);
  return {one.begin(), one.end()};
}

std::vector<std::byte> complete_segment(Lsn start, const ClusterIdentity& cluster,
                                        std::uint32_t first_xid) {
  WalBuilder wal(start, cluster);
  wal.add_commit(first_xid, 1'000'000);
  wal.add_abort(first_xid + 1, 2'000'000);
  wal.add_commit(first_xid + 2, 3'000'000);
  wal.fill_segment();
  return wal.segment(0);
}

std::vector<std::byte> incomplete_segment(Lsn start, std::size_t fillers) {
  WalBuilder wal(start);
  wal.add_commit(700, 1'000'000);
  for (std::size_t i = 0; i < fillers; ++i)
    wal.add_filler(5000);
  return wal.segment(0);
}

}  // namespace pitr::testing
