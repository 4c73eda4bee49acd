#include "wal/segment_index.h"

#include <algorithm>

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::uint16_t kIndexVersion = 1;

// Flags of the encoded index; never renumbered.
constexpr std::uint16_t kComplete = 1U << 0;
constexpr std::uint16_t kDamaged = 1U << 1;
constexpr std::uint16_t kEndsInSwitch = 1U << 2;
constexpr std::uint16_t kXidsOmitted = 1U << 3;
constexpr std::uint16_t kHasCommitTimes = 1U << 4;

[[noreturn]] void throw_damaged_index() {
  throw Error({.kind = ErrorKind::kCorrupt, .message = "the WAL index of a segment is damaged"});
}

void put_kept_bytes(ByteWriter& writer, ByteSpan bytes) { writer.put_text(as_text(bytes)); }

std::vector<std::byte> get_kept_bytes(ByteReader& reader) {
  const ByteSpan bytes = reader.get_bytes(reader.get<std::uint32_t>());
  return {bytes.begin(), bytes.end()};
}

}  // namespace

SegmentIndexer::SegmentIndexer(Lsn segment_start, SegmentSize segment_size)
    : segment_end_(segment_start + segment_size),
      scanner_(segment_start, segment_size,
               {.on_transaction_end = [this](const TransactionEnd& t) { add(t); },
                .on_restore_point =
                    [this](const RestorePoint& p) { index_.restore_points.push_back(p); },
                .on_tablespace_creation =
                    [this](const TablespaceCreation& t) { index_.tablespaces.push_back(t); },
                .on_checkpoint = [this](std::uint64_t next_xid) { index_.next_xid = next_xid; }}) {}

void SegmentIndexer::add(const TransactionEnd& transaction) {
  const bool is_first = !index_.has_transactions();
  index_.min_time = is_first ? transaction.time : std::min(index_.min_time, transaction.time);
  index_.max_time = is_first ? transaction.time : std::max(index_.max_time, transaction.time);
  if (transaction.is_commit) {
    ++index_.commits;
    index_.first_commit =
        std::min(index_.first_commit.value_or(transaction.time), transaction.time);
    index_.last_commit = std::max(index_.last_commit.value_or(transaction.time), transaction.time);
  } else {
    ++index_.aborts;
  }
  if (index_.xids.size() < SegmentIndex::kMostXids) {
    index_.xids.push_back(transaction.xid);
  } else {
    index_.xids_omitted = true;
  }
}

SegmentIndex SegmentIndexer::finish() {
  index_.damaged = scanner_.chain_broke() && scanner_.valid_pages_follow();
  index_.complete = !scanner_.chain_broke();
  index_.valid_end = scanner_.chain_broke() ? scanner_.broke_at() : segment_end_;
  index_.ends_in_switch = scanner_.ends_in_switch();
  index_.first_record = scanner_.first_record();
  index_.last_record = scanner_.last_record();
  index_.end_of_records = scanner_.end_of_records();
  if (scanner_.record_is_open()) {
    index_.open_record = scanner_.open_record_start();
    const ByteSpan head = scanner_.open_record_head();
    const ByteSpan kept = head.first(std::min(head.size(), SegmentIndex::kOpenRecordKept));
    index_.open_record_head.assign(kept.begin(), kept.end());
  }
  index_.continuation_bytes = scanner_.continuation_bytes();
  index_.continuation_head = scanner_.continuation_head();
  if (index_.xids_omitted) index_.xids.clear();
  std::sort(index_.xids.begin(), index_.xids.end());
  return std::move(index_);
}

std::vector<std::byte> encode_index(const SegmentIndex& index) {
  ByteWriter writer;
  writer.put(kIndexVersion);
  writer.put(static_cast<std::uint16_t>(
      (index.complete ? kComplete : 0) | (index.damaged ? kDamaged : 0) |
      (index.ends_in_switch ? kEndsInSwitch : 0) | (index.xids_omitted ? kXidsOmitted : 0) |
      (index.last_commit ? kHasCommitTimes : 0)));
  writer.put(index.commits);
  writer.put(index.aborts);
  writer.put(index.continuation_bytes);
  writer.put(index.first_record);
  writer.put(index.last_record);
  writer.put(index.end_of_records);
  writer.put(index.valid_end);
  writer.put(index.open_record);
  writer.put(index.min_time);
  writer.put(index.max_time);
  writer.put(index.first_commit.value_or(0));
  writer.put(index.last_commit.value_or(0));
  writer.put(index.next_xid);
  put_kept_bytes(writer, index.continuation_head);
  put_kept_bytes(writer, index.open_record_head);
  writer.put(static_cast<std::uint32_t>(index.restore_points.size()));
  for (const RestorePoint& point : index.restore_points) {
    writer.put(point.start);
    writer.put(point.end);
    writer.put(point.time);
    writer.put_text(point.name);
  }
  writer.put(static_cast<std::uint32_t>(index.tablespaces.size()));
  for (const TablespaceCreation& tablespace : index.tablespaces) {
    writer.put(tablespace.start);
    writer.put(tablespace.oid);
    writer.put_text(tablespace.path);
  }
  return writer.take();
}

SegmentIndex decode_index(ByteSpan bytes) {
  ByteReader reader(bytes);
  if (reader.get<std::uint16_t>() != kIndexVersion) throw_damaged_index();
  const auto flags = reader.get<std::uint16_t>();
  SegmentIndex index;
  index.complete = (flags & kComplete) != 0;
  index.damaged = (flags & kDamaged) != 0;
  index.ends_in_switch = (flags & kEndsInSwitch) != 0;
  index.xids_omitted = (flags & kXidsOmitted) != 0;
  index.commits = reader.get<std::uint32_t>();
  index.aborts = reader.get<std::uint32_t>();
  index.continuation_bytes = reader.get<std::uint32_t>();
  index.first_record = reader.get<Lsn>();
  index.last_record = reader.get<Lsn>();
  index.end_of_records = reader.get<Lsn>();
  index.valid_end = reader.get<Lsn>();
  index.open_record = reader.get<Lsn>();
  index.min_time = reader.get<std::int64_t>();
  index.max_time = reader.get<std::int64_t>();
  const auto first_commit = reader.get<std::int64_t>();
  const auto last_commit = reader.get<std::int64_t>();
  if ((flags & kHasCommitTimes) != 0) {
    index.first_commit = first_commit;
    index.last_commit = last_commit;
  }
  index.next_xid = reader.get<std::uint64_t>();
  index.continuation_head = get_kept_bytes(reader);
  index.open_record_head = get_kept_bytes(reader);
  const auto points = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < points && reader.ok(); ++i) {
    RestorePoint point{
        .start = reader.get<Lsn>(), .end = reader.get<Lsn>(), .time = reader.get<std::int64_t>()};
    point.name = reader.get_text();
    index.restore_points.push_back(std::move(point));
  }
  const auto tablespaces = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < tablespaces && reader.ok(); ++i) {
    TablespaceCreation tablespace{.start = reader.get<Lsn>(), .oid = reader.get<std::uint32_t>()};
    tablespace.path = reader.get_text();
    index.tablespaces.push_back(std::move(tablespace));
  }
  if (!reader.ok() || reader.remaining() != 0) throw_damaged_index();
  return index;
}

// Differences between neighbours, seven bits to a byte, the lowest first, the eighth bit set on all
// but the last byte of a number.
std::vector<std::byte> encode_xids(std::span<const std::uint32_t> xids) {
  ByteWriter writer;
  writer.put(static_cast<std::uint32_t>(xids.size()));
  std::uint32_t previous = 0;
  for (const std::uint32_t xid : xids) {
    std::uint32_t difference = xid - previous;
    previous = xid;
    while (difference >= 0x80) {
      writer.put(static_cast<std::uint8_t>(difference | 0x80U));
      difference >>= 7;
    }
    writer.put(static_cast<std::uint8_t>(difference));
  }
  return writer.take();
}

std::vector<std::uint32_t> decode_xids(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto count = reader.get<std::uint32_t>();
  if (count > reader.remaining()) throw_damaged_index();
  std::vector<std::uint32_t> xids;
  xids.reserve(count);
  std::uint32_t xid = 0;
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    std::uint32_t difference = 0;
    std::uint8_t byte = 0x80;
    for (unsigned shift = 0; (byte & 0x80U) != 0 && shift < 35; shift += 7) {
      byte = reader.get<std::uint8_t>();
      if (shift == 28 && byte > 0x0F) throw_damaged_index();  // more than 32 bits
      difference |= static_cast<std::uint32_t>(byte & 0x7FU) << shift;
    }
    if (difference > 0xFFFF'FFFFU - xid) throw_damaged_index();  // they are sorted
    xid += difference;
    xids.push_back(xid);
  }
  if (!reader.ok() || reader.remaining() != 0) throw_damaged_index();
  return xids;
}

void visit_joined_record(const SegmentIndex& index, const SegmentIndex& next, unsigned version,
                         const RecordVisitor& visitor) {
  if (index.open_record == 0 || next.continuation_bytes == 0) return;
  std::vector<std::byte> record = index.open_record_head;
  // A head that was cut off by the limit, not by the segment's end, has no bytes to join.
  if (record.size() < SegmentIndex::kOpenRecordKept) {
    record.insert(record.end(), next.continuation_head.begin(), next.continuation_head.end());
  }
  visit_record_head(record, index.open_record, 0, version, visitor);
}

std::optional<TransactionEnd> joined_transaction(const SegmentIndex& index,
                                                 const SegmentIndex& next, unsigned version) {
  std::optional<TransactionEnd> joined;
  visit_joined_record(index, next, version,
                      {.on_transaction_end = [&](const TransactionEnd& t) { joined = t; }});
  return joined;
}

}  // namespace pitr
