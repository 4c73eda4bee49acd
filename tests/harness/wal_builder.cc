#include "harness/wal_builder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <utility>

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
constexpr std::uint32_t kHasDroppedFiles = 1U << 2;
constexpr std::uint32_t kHasInvalidations = 1U << 3;
constexpr std::uint32_t kHasTwoPhase = 1U << 4;
constexpr std::uint32_t kHasOrigin = 1U << 5;
constexpr std::uint32_t kHasPreparedName = 1U << 7;
constexpr std::uint32_t kHasDroppedStatistics = 1U << 8;

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

void put_file(ByteWriter& writer, const RelationFile& file) {
  writer.put(file.tablespace);
  writer.put(file.database);
  writer.put(file.number);
}

// XLogRecordBlockHeader and what follows it: xlogrecord.h.
void put_block_header(ByteWriter& body, const WalBlock& block, unsigned version) {
  body.put(block.id);
  body.put(static_cast<std::uint8_t>(
      static_cast<unsigned>(block.fork) | (block.image ? 0x10U : 0U) |
      (block.data.empty() ? 0U : 0x20U) | (block.same_relation ? 0x80U : 0U)));
  body.put(static_cast<std::uint16_t>(block.data.size()));
  if (block.image) {
    const WalImage& image = *block.image;
    // Before 15: hole, compressed, apply. Since: hole, apply, pglz, lz4, zstd.
    const unsigned compressed = version < 15 ? 0x02U : 0x08U;
    const unsigned apply = version < 15 ? 0x04U : 0x02U;
    body.put(static_cast<std::uint16_t>(image.bytes.size()));
    body.put(image.hole_offset);
    body.put(static_cast<std::uint8_t>(apply | (image.hole_length > 0 ? 0x01U : 0U) |
                                       (image.is_compressed ? compressed : 0U)));
    if (image.is_compressed && image.hole_length > 0) body.put(image.hole_length);
  }
  if (!block.same_relation) put_file(body, block.file);
  body.put(block.block);
}

// What follows xact_time, but for xinfo itself.
std::uint32_t put_transaction_parts(ByteWriter& data, const WalTransactionEnd& end,
                                    unsigned version) {
  std::uint32_t parts = 0;
  if (end.database) {
    parts |= kHasDatabase;
    data.put(*end.database);
    data.put(std::uint32_t{1663});
  }
  if (!end.subtransactions.empty()) {
    parts |= kHasSubtransactions;
    data.put(static_cast<std::uint32_t>(end.subtransactions.size()));
    for (const std::uint32_t xid : end.subtransactions)
      data.put(xid);
  }
  if (!end.dropped_files.empty()) {
    parts |= kHasDroppedFiles;
    data.put(static_cast<std::uint32_t>(end.dropped_files.size()));
    for (const RelationFile& file : end.dropped_files)
      put_file(data, file);
  }
  if (version >= 15 && end.dropped_statistics > 0) {
    parts |= kHasDroppedStatistics;
    data.put(end.dropped_statistics);
    data.put_bytes(std::vector<std::byte>(end.dropped_statistics * (version >= 18 ? 16 : 12)));
  }
  if (end.is_commit && end.invalidations > 0) {
    parts |= kHasInvalidations;
    data.put(end.invalidations);
    data.put_bytes(std::vector<std::byte>(end.invalidations * std::size_t{16}, std::byte{0x5A}));
  }
  if (end.prepared_xid) {
    parts |= kHasTwoPhase;
    data.put(*end.prepared_xid);
  }
  if (!end.prepared_name.empty()) {
    parts |= kHasPreparedName;
    data.put_bytes(as_byte_span(end.prepared_name));
    data.put(std::uint8_t{0});
  }
  if (end.has_origin) {
    parts |= kHasOrigin;
    data.put(Lsn{0x1234});
    data.put(std::int64_t{77});
  }
  return parts;
}

// pg_class.h; rows have a null bitmap, since relacl and its neighbours are null.
constexpr std::size_t kTupleHeader = 23;
constexpr std::uint8_t kClassRowOffset = 32;  // MAXALIGN of header and bitmap
constexpr std::uint16_t kHasNull = 0x0001;
constexpr std::uint16_t kClassColumns = 33;

}  // namespace

std::vector<std::byte> pieces_body(const WalPieces& pieces, unsigned version) {
  ByteWriter body;
  for (const WalBlock& block : pieces.blocks)
    put_block_header(body, block, version);
  if (pieces.origin) {
    body.put(std::uint8_t{253});
    body.put(*pieces.origin);
  }
  if (pieces.toplevel_xid) {
    body.put(std::uint8_t{252});
    body.put(*pieces.toplevel_xid);
  }
  const std::vector<std::byte> main = main_data_body(pieces.main_data);
  const std::size_t header = main.size() - pieces.main_data.size();
  if (!pieces.main_data.empty()) body.put_bytes(ByteSpan(main).first(header));
  for (const WalBlock& block : pieces.blocks) {
    if (block.image) body.put_bytes(block.image->bytes);
    body.put_bytes(block.data);
  }
  body.put_bytes(pieces.main_data);
  return body.take();
}

WalRecord transaction_end_record(const WalTransactionEnd& end, std::uint32_t xid,
                                 unsigned version) {
  ByteWriter parts;
  const std::uint32_t which = put_transaction_parts(parts, end, version);
  ByteWriter data;
  data.put(end.time);
  if (which != 0) data.put(which);
  data.put_bytes(parts.bytes());
  const std::uint8_t plain = end.is_commit ? kCommit : kAbort;
  const std::uint8_t prepared = end.is_commit ? kCommitPrepared : kAbortPrepared;
  return {.manager = kTransaction,
          .info = static_cast<std::uint8_t>((end.prepared_xid ? prepared : plain) |
                                            (which != 0 ? kHasInfo : 0)),
          .xid = xid,
          .body = main_data_body(data.bytes())};
}

std::vector<std::byte> class_row_data(const WalClassRow& row, unsigned version) {
  ByteWriter data;
  for (const unsigned bits : {0xFFU, 0xFFU, 0xFFU, 0x3FU, 0x00U})
    data.put(static_cast<std::uint8_t>(bits));
  while (data.bytes().size() < kClassRowOffset - kTupleHeader)
    data.put(std::uint8_t{0});
  data.put(row.oid);
  data.put_bytes(as_byte_span(row.name));
  data.put_bytes(std::vector<std::byte>(64 - row.name.size()));
  data.put(row.schema_oid);
  for (const std::uint32_t number : {row.oid + 2, 0U, 10U, 2U})  // type, of type, owner, am
    data.put(number);
  data.put(row.file_number);
  const std::size_t numbers = version >= 18 ? 6 : 5;  // relallfrozen
  for (std::size_t i = 0; i < numbers; ++i)
    data.put(static_cast<std::uint32_t>(0x71717171));  // tablespace to TOAST table
  data.put(std::uint16_t{0});                          // has index, is shared
  data.put(row.persistence);
  data.put(row.kind);
  data.put_bytes(std::vector<std::byte>(28));
  return data.take();
}

std::vector<std::byte> class_row_tuple(const WalClassRow& row, unsigned version) {
  ByteWriter tuple;
  tuple.put_bytes(std::vector<std::byte>(18));
  tuple.put(kClassColumns);
  tuple.put(kHasNull);
  tuple.put(kClassRowOffset);
  tuple.put_bytes(class_row_data(row, version));
  return tuple.take();
}

namespace {

WalRecord heap_insert(WalBlock block, std::uint16_t item, std::uint32_t xid, unsigned version) {
  ByteWriter main;
  main.put(item);
  main.put(std::uint8_t{0});
  return {.manager = static_cast<std::uint8_t>(ResourceManager::kHeap),
          .info = 0,
          .xid = xid,
          .body = pieces_body({.blocks = {std::move(block)}, .main_data = main.take()}, version)};
}

}  // namespace

WalRecord class_insert_record(std::uint32_t database, const WalClassRow& row, std::uint32_t xid,
                              unsigned version) {
  ByteWriter data;  // xl_heap_header
  data.put(kClassColumns);
  data.put(kHasNull);
  data.put(kClassRowOffset);
  data.put_bytes(class_row_data(row, version));
  return heap_insert({.file = {1663, database, kClassFile}, .data = data.take()}, 5, xid, version);
}

WalRecord class_image_record(std::uint32_t database, const std::vector<WalClassRow>& rows,
                             std::uint32_t xid, unsigned version) {
  constexpr std::size_t kPageSize = 8192;
  constexpr std::size_t kPageHeader = 24;
  std::vector<std::byte> tuples;
  std::vector<std::byte> page(kPageSize);
  const auto set = [&page](std::size_t offset, auto number) {
    std::memcpy(page.data() + offset, &number, sizeof number);
  };
  std::size_t upper = kPageSize;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<std::byte> tuple = class_row_tuple(rows[i], version);
    upper = (upper - tuple.size()) / 8 * 8;
    std::copy(tuple.begin(), tuple.end(), page.begin() + static_cast<std::ptrdiff_t>(upper));
    // ItemIdData: 15 bits of offset, 2 of flags (LP_NORMAL is 1), 15 of length.
    set(kPageHeader + 4 * i, static_cast<std::uint32_t>(upper | (1U << 15) | (tuple.size() << 17)));
  }
  const std::size_t lower = kPageHeader + 4 * rows.size();
  set(12, static_cast<std::uint16_t>(lower));
  set(14, static_cast<std::uint16_t>(upper));
  set(16, static_cast<std::uint16_t>(kPageSize));
  set(18, static_cast<std::uint16_t>(kPageSize | 4U));
  WalImage image{.hole_offset = static_cast<std::uint16_t>(lower),
                 .hole_length = static_cast<std::uint16_t>(upper - lower)};
  const ByteSpan all(page);
  ByteWriter bytes;
  bytes.put_bytes(all.first(lower));
  bytes.put_bytes(all.subspan(upper));
  image.bytes = bytes.take();
  return heap_insert({.file = {1663, database, kClassFile}, .image = std::move(image)},
                     static_cast<std::uint16_t>(rows.size()), xid, version);
}

WalRecord lock_record(const std::vector<RelationLock>& locks, std::uint32_t xid) {
  ByteWriter data;
  data.put(static_cast<std::uint32_t>(locks.size()));
  for (const RelationLock& lock : locks) {
    data.put(lock.xid);
    data.put(lock.database);
    data.put(lock.relation);
  }
  return {.manager = static_cast<std::uint8_t>(ResourceManager::kStandby),
          .info = 0x00,
          .xid = xid,
          .body = main_data_body(data.bytes())};
}

WalRecord file_creation_record(const RelationFile& file, Fork fork, std::uint32_t xid) {
  ByteWriter data;
  put_file(data, file);
  data.put(static_cast<std::uint32_t>(fork));
  return {.manager = static_cast<std::uint8_t>(ResourceManager::kStorage),
          .info = 0x10,
          .xid = xid,
          .body = main_data_body(data.bytes())};
}

WalRecord file_truncation_record(const RelationFile& file, std::uint32_t block,
                                 std::uint32_t flags) {
  ByteWriter data;
  data.put(block);
  put_file(data, file);
  data.put(flags);
  return {.manager = static_cast<std::uint8_t>(ResourceManager::kStorage),
          .info = 0x20,
          .body = main_data_body(data.bytes())};
}

WalRecord blocks_record(const std::vector<WalBlock>& blocks, std::uint32_t xid, unsigned version) {
  return {.manager = 10,
          .info = 0x10,  // DELETE
          .xid = xid,
          .body = pieces_body({.blocks = blocks, .main_data = std::vector<std::byte>(8)}, version)};
}

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
