// Feeds any bytes to what decodes stored or foreign bytes: our own sections, PostgreSQL's small
// files, single records. Nothing but pitr::Error may be thrown, and what is decoded must be encoded
// and decoded to the same again.
#include <algorithm>
#include <array>

#include "fuzz/event_log.h"
#include "fuzz/fuzz_input.h"
#include "wal/control_file.h"
#include "wal/crc32c.h"
#include "wal/file_name.h"
#include "wal/segment_index.h"
#include "wal/timeline_history.h"

namespace pitr::fuzzing {

namespace {

void visit(const JoinedRecord& record) {
  require(!record.is_valid() || record.is_whole(), "a joined record is valid and not whole");
  for (const unsigned version : {13U, 15U, 18U})
    record.visit(version, EventLog().visitor());
}

// The index of a damaged repository, and one that fits behind it.
void join(const SegmentIndex& index) {
  SegmentIndex next = index;
  JoinedRecord as_it_is(index);
  as_it_is.join(next);
  visit(as_it_is);
  if (index.open_record_head.size() < sizeof(std::uint32_t)) return;
  next.continuation_bytes =
      load<std::uint32_t>(index.open_record_head, 0) - index.open_record_taken;
  JoinedRecord fitting(index);
  fitting.join(next);
  visit(fitting);
  fitting.join(index);
  visit(fitting);
}

// The checksum of a record is made right, whatever is kept of it: all of it but eight bytes lies in
// the first segment.
void join_with_checksum(SegmentIndex index) {
  constexpr std::uint32_t kRest = 8;
  constexpr std::size_t kCrcOffset = 20;
  std::vector<std::byte>& head = index.open_record_head;
  if (head.size() < kRecordHeaderSize) return;
  const auto length = load<std::uint32_t>(head, 0);
  if (length < kRecordHeaderSize + kRest) return;
  index.open_record = std::max<Lsn>(index.open_record, 1);
  index.open_record_taken = length - kRest;
  SegmentIndex next;
  next.continuation_bytes = kRest;
  next.continuation_taken = kRest;
  next.continuation_head.resize(kRest);
  Crc32c crc = Crc32c::resume(index.open_record_body_crc);
  crc.update(next.continuation_head);
  crc.update(ByteSpan(head).first(kCrcOffset));
  const std::uint32_t value = crc.value();
  std::memcpy(head.data() + kCrcOffset, &value, sizeof value);
  JoinedRecord record(index);
  require(record.join(next) && record.is_valid(), "a record with a right checksum is not valid");
  visit(record);
}

void read_index(ByteSpan bytes) {
  const auto index = decoded([&] { return decode_index(bytes); });
  if (!index) return;
  const auto encoded = encode_index(*index);
  require(encode_index(decode_index(encoded)) == encoded, "an index is read back as another");
  join(*index);
  join_with_checksum(*index);
}

void read_xids(ByteSpan bytes) {
  const auto xids = decoded([&] { return decode_xids(bytes); });
  if (!xids) return;
  require(std::is_sorted(xids->begin(), xids->end()), "transaction ids not sorted");
  require(decode_xids(encode_xids(*xids)) == *xids, "xids are read back as others");
}

void read_changed_blocks(ByteSpan bytes) {
  const auto changed = decoded([&] { return decode_changed_blocks(bytes); });
  if (!changed) return;
  std::size_t blocks = 0;
  for (const ChangedFork& fork : changed->forks) {
    require(std::is_sorted(fork.blocks.begin(), fork.blocks.end()), "blocks not sorted");
    blocks += fork.blocks.size();
  }
  require(blocks <= std::size_t{1} << 20, "a damaged length fills the memory");
  require(decode_changed_blocks(encode_changed_blocks(*changed)) == *changed,
          "changed blocks are read back as others");
}

void read_relation_changes(ByteSpan bytes) {
  const auto changes = decoded([&] { return decode_relation_changes(bytes); });
  if (!changes) return;
  require(decode_relation_changes(encode_relation_changes(*changes)) == *changes,
          "relation changes are read back as others");
}

void read_timeline_history(ByteSpan bytes) {
  if (bytes.size() < sizeof(TimelineId)) return;
  const auto timeline = load<TimelineId>(bytes, 0);
  const std::string_view contents = as_text(bytes.subspan(sizeof timeline));
  const auto path = decoded([&] { return parse_timeline_history(timeline, contents); });
  if (!path) return;
  require(!path->empty() && path->back().timeline == timeline && path->back().end == kEndOfTime,
          "a path does not end on its timeline");
  Lsn before = 0;
  TimelineId parent = 0;
  for (const TimelineStretch& stretch : *path) {
    require(stretch.begin == before && stretch.begin <= stretch.end, "a path with a gap");
    require(stretch.timeline > parent || path->size() == 1, "a timeline before its parent");
    const bool is_empty = stretch.begin == stretch.end;
    require(is_empty || timeline_of(*path, stretch.begin) == stretch.timeline,
            "a stretch's first byte is of another timeline");
    before = stretch.end;
    parent = stretch.timeline;
  }
}

void read_control_file(ByteSpan bytes) {
  const auto control = decoded([&] { return ControlFile::parse(bytes); });
  if (!control) return;
  require(is_valid_segment_size(control->cluster.segment_size), "an impossible segment size");
  require(control->cluster.postgres_version >= 13 && control->cluster.postgres_version <= 18,
          "an unknown version");
}

void read_control_file_with_checksum(ByteSpan bytes) {
  std::vector<std::byte> contents(bytes.begin(), bytes.end());
  for (const std::size_t offset : {std::size_t{288}, std::size_t{292}}) {
    if (contents.size() < offset + sizeof(std::uint32_t)) continue;
    const std::uint32_t crc = crc32c(ByteSpan(contents).first(offset));
    std::vector<std::byte> repaired = contents;
    std::memcpy(repaired.data() + offset, &crc, sizeof crc);
    read_control_file(repaired);
  }
}

void read_file_name(ByteSpan bytes) {
  const std::string_view text = as_text(bytes);
  const auto name = decoded([&] { return WalFileName::parse(text); }).value();
  if (!name) return;
  require(name->text == text, "a name has another text");
  // No name ever becomes a path elsewhere.
  require(text.find('/') == std::string_view::npos && text.find('\0') == std::string_view::npos &&
              text.size() <= 40,
          "no name of a WAL file");
  if (name->kind == WalFileKind::kHistory) {
    require(history_file_name(name->segment.timeline) == text, "a history file of another name");
    return;
  }
  require(name->segment.to_string() == text.substr(0, 24), "a segment of another name");
  if (!name->segment.is_valid(kSmallestSegment)) return;
  const SegmentName& segment = name->segment;
  require(SegmentName::containing(segment.timeline, segment.start(kSmallestSegment),
                                  kSmallestSegment) == segment,
          "a segment does not contain its start");
}

void read_record(ByteSpan bytes) {
  if (bytes.size() < 1 + kRecordHeaderSize) return;
  const unsigned version = 13 + load<std::uint8_t>(bytes, 0) % 6;
  // A copy of its own, so that a byte too many is noticed.
  const std::vector<std::byte> record(bytes.begin() + 1, bytes.end());
  is_telling(record);
  RecordView view;
  const bool is_whole = view.parse(record, version);
  require(is_whole || (view.blocks().empty() && view.main_data().empty()),
          "pieces of a record whose pieces do not add up");
  ByteWriter pieces;
  log_record(view, pieces);
  EventLog log;
  visit_record(view, 0x1000, 0x2000, version, log.visitor());
  // A view is used again for the next record: nothing of the one before may be left.
  view.parse(record, version);
  ByteWriter again;
  log_record(view, again);
  require(again.bytes() == pieces.bytes(), "the second reading of a record is another");
}

void read_any(Decoder decoder, ByteSpan bytes) {
  switch (decoder) {
    case Decoder::kIndex:
      return read_index(bytes);
    case Decoder::kXids:
      return read_xids(bytes);
    case Decoder::kChangedBlocks:
      return read_changed_blocks(bytes);
    case Decoder::kRelationChanges:
      return read_relation_changes(bytes);
    case Decoder::kTimelineHistory:
      return read_timeline_history(bytes);
    case Decoder::kControlFile:
      return read_control_file_with_checksum(bytes);
    case Decoder::kRawControlFile:
      return read_control_file(bytes);
    case Decoder::kWalFileName:
      return read_file_name(bytes);
    case Decoder::kRecord:
      return read_record(bytes);
  }
}

}  // namespace

}  // namespace pitr::fuzzing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pitr::fuzzing;
  if (size == 0) return 0;
  read_any(static_cast<Decoder>(data[0] % kDecoders), std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
