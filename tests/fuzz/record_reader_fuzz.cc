// Feeds WAL to everything that reads it, and checks what must hold for any bytes at all: that
// nothing is read out of bounds, that the size of the pieces changes nothing, that an index says
// only what is possible and is read back as it was written, and that segments one by one say the
// same as all of them in one go.
#include <algorithm>

#include "common/error.h"
#include "fuzz/event_log.h"
#include "fuzz/fuzz_input.h"
#include "wal/segment_index.h"

namespace pitr::fuzzing {

namespace {

struct Input {
  ReaderOptions options;
  std::vector<std::byte> wal;  // whole segments, filled up with zeros
  std::size_t page_size = kUsualWalPageSize;

  std::size_t segments() const { return wal.size() / options.segment_size(); }
  ByteSpan segment(std::size_t number) const {
    return ByteSpan(wal).subspan(number * options.segment_size(), options.segment_size());
  }
  Lsn start(std::size_t segment) const {
    return options.start() + segment * options.segment_size();
  }
  // Whoever feeds a reader feeds whole pages, of whatever size they are.
  std::size_t piece(std::uint8_t pages) const { return (pages % 32 + 1) * page_size; }
};

// The size of pages by a segment's first one, as far as a scanner believes it.
std::size_t page_size_of(ByteSpan segment) {
  const auto header = parse_page_header(segment);
  if (!header || !header->is_long()) return kUsualWalPageSize;
  const std::uint32_t size = header->page_size;
  const bool usable = size >= 1024 && size <= 65536 && (size & (size - 1)) == 0;
  return usable ? size : kUsualWalPageSize;
}

Input read_input(ByteSpan bytes) {
  Input input{.options = read_options(bytes), .wal = {}};
  bytes = bytes.subspan(kReaderHeaderSize);
  const SegmentSize size = input.options.segment_size();
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), kMostSegments * size));
  input.wal.assign(bytes.begin(), bytes.end());
  input.wal.resize(std::max<std::size_t>(1, (bytes.size() + size - 1) / size) * size);
  for (std::size_t i = 0; i < input.segments(); ++i)
    input.page_size = std::max(input.page_size, page_size_of(input.segment(i)));
  return input;
}

template <typename Consumer>
void feed_in_pieces(Consumer& consumer, ByteSpan bytes, std::size_t piece) {
  while (!bytes.empty()) {
    const std::size_t count = std::min(piece, bytes.size());
    consumer.feed(bytes.first(count));
    bytes = bytes.subspan(count);
  }
}

// All that a scanner tells besides what it visits.
void log_state(const RecordScanner& scanner, ByteWriter& log) {
  log.put(scanner.version());
  log.put(scanner.first_record());
  log.put(scanner.last_record());
  log.put(scanner.end_of_records());
  log.put(static_cast<std::uint8_t>(scanner.chain_broke() ? 1 : 0));
  if (scanner.chain_broke()) log.put(scanner.broke_at());
  log.put(static_cast<std::uint8_t>(scanner.valid_pages_follow() ? 1 : 0));
  log.put(static_cast<std::uint8_t>(scanner.ends_in_switch() ? 1 : 0));
  log.put(static_cast<std::uint8_t>(scanner.record_is_open() ? 1 : 0));
  if (scanner.record_is_open()) {
    log.put(scanner.open_record_start());
    log.put_bytes(scanner.open_record_head());
    log.put(scanner.open_record_taken());
    log.put(scanner.open_record_body_crc());
  }
  log.put(scanner.continuation_bytes());
  log.put(scanner.continuation_taken());
  log.put_bytes(scanner.continuation_head());
  log.put(scanner.continuation_crc());
}

struct Scan {
  EventLog log;
  ByteWriter state;
  bool broke = false;
  unsigned version = 0;
};

Scan scan(const Input& input, ByteSpan bytes, Lsn start, std::size_t piece, bool with_records) {
  Scan found;
  RecordVisitor visitor = found.log.visitor();
  if (!with_records) visitor.on_record = nullptr;
  RecordScanner scanner(start, input.options.segment_size(), std::move(visitor));
  feed_in_pieces(scanner, bytes, piece);
  log_state(scanner, found.state);
  found.broke = scanner.chain_broke();
  found.version = scanner.version();
  return found;
}

// The same however it is cut into pieces, and whether or not anybody wants every record.
Scan scan_in_all_ways(const Input& input, ByteSpan bytes, Lsn start) {
  Scan found = scan(input, bytes, start, input.piece(input.options.scanner_pages), true);
  const Scan again = scan(input, bytes, start, input.piece(input.options.indexer_pages), false);
  require(found.log.events.bytes() == again.log.events.bytes(),
          "the size of the pieces, or on_record, changes what is visited");
  require(found.state.bytes() == again.state.bytes(),
          "the size of the pieces, or on_record, changes what a scanner tells");
  return found;
}

struct Indexed {
  SegmentIndex index;
  SegmentDetails details;
};

Indexed index_segment(ByteSpan segment, Lsn start, std::size_t piece) {
  SegmentIndexer indexer(start, segment.size());
  feed_in_pieces(indexer, segment, piece);
  Indexed indexed{.index = indexer.finish(), .details = {}};
  indexed.details = indexer.take_details();
  return indexed;
}

void check_places(const SegmentIndex& index, Lsn start, Lsn end) {
  require(index.valid_end >= start && index.valid_end <= end, "valid_end is outside the segment");
  require(!index.complete || index.valid_end == end, "a complete segment ends before its end");
  require(!index.complete || !index.damaged, "a segment is complete and damaged");
  require(!index.ends_in_switch || index.complete, "a switched segment is not complete");
  require((index.first_record == 0) == (index.last_record == 0), "a first record without a last");
  if (index.first_record != 0) {
    require(index.first_record >= start + kLongPageHeaderSize, "a record in the page header");
    require(index.first_record <= index.last_record, "the last record is before the first");
    require(index.last_record < index.end_of_records, "the last record ends before its start");
  }
  require(index.end_of_records <= index.valid_end, "records end behind the valid end");
}

void check_borders(const SegmentIndex& index, Lsn start, Lsn end) {
  require(index.continuation_taken <= index.continuation_bytes, "too much of a continuation");
  require(index.continuation_head.size() ==
              std::min<std::size_t>(index.continuation_taken, RecordScanner::kContinuationKept),
          "a continuation's head is too long or too short");
  if (index.open_record == 0) {
    require(index.open_record_taken == 0 && index.open_record_head.empty(), "a head of no record");
    return;
  }
  require(index.complete && !index.ends_in_switch, "an open record although the chain ended");
  require(index.open_record >= start && index.open_record < end, "an open record outside");
  require(index.open_record >= index.end_of_records, "a record opens before the last one ends");
  const std::size_t taken = index.open_record_taken;
  const std::size_t head = index.open_record_head.size();
  require(taken > 0 && taken <= end - index.open_record, "an open record's length is impossible");
  require(head <= taken && head <= RecordScanner::kBodyKept &&
              head >= std::min(taken, kRecordHeaderSize),
          "an open record's head is too long or too short");
}

void check_transactions(const SegmentIndex& index, const SegmentDetails& details) {
  require(index.commits_prepared <= index.commits && index.aborts_prepared <= index.aborts,
          "more prepared transactions than transactions");
  require(index.min_time <= index.max_time && index.min_xid <= index.max_xid,
          "a least value above the greatest");
  require(index.first_commit.has_value() == (index.commits > 0) &&
              index.last_commit.has_value() == (index.commits > 0),
          "commit times without a commit");
  if (index.commits > 0) {
    require(*index.first_commit <= *index.last_commit && index.min_time <= *index.first_commit &&
                *index.last_commit <= index.max_time,
            "commit times outside all times");
  }
  require(std::is_sorted(details.xids.begin(), details.xids.end()), "transaction ids not sorted");
  require(details.xids.size() <= SegmentDetails::kMostXids, "too many transaction ids");
  if (index.xids_omitted) {
    require(details.xids.empty(), "transaction ids although they are omitted");
    return;
  }
  require(details.xids.size() >= index.commits + index.aborts, "transactions without an id");
  require(details.xids.empty() || details.xids.back() == index.max_xid, "max_xid is another");
}

template <typename Item>
bool is_sorted_without_doubles(const std::vector<Item>& items) {
  return std::adjacent_find(items.begin(), items.end(),
                            [](const Item& a, const Item& b) { return !(a < b); }) == items.end();
}

template <typename Item, typename StartOf>
bool is_in_lsn_order(const std::vector<Item>& items, const StartOf& start_of) {
  return std::is_sorted(items.begin(), items.end(),
                        [&](const Item& a, const Item& b) { return start_of(a) < start_of(b); });
}

void check_changed_blocks(const ChangedBlocks& changed) {
  require(is_sorted_without_doubles(changed.databases), "databases not sorted");
  require(!changed.omitted || changed.forks.empty(), "forks although they are omitted");
  const ChangedFork* before = nullptr;
  for (const ChangedFork& fork : changed.forks) {
    require(before == nullptr || before->file < fork.file ||
                (before->file == fork.file && before->fork < fork.fork),
            "forks not sorted");
    require(is_sorted_without_doubles(fork.blocks), "blocks not sorted");
    require(fork.blocks.empty() || fork.blocks.back() < fork.from, "blocks behind `from`");
    before = &fork;
  }
}

void check_relations(const SegmentIndex& index, const RelationChanges& relations) {
  require(index.has_relation_changes == !relations.empty(), "has_relation_changes is wrong");
  require(is_sorted_without_doubles(relations.locks), "locks not sorted");
  require(is_in_lsn_order(relations.created, [](const CreatedFile& c) { return c.start; }),
          "created files not in LSN order");
  require(is_in_lsn_order(relations.drops, [](const TransactionEnd& t) { return t.start; }),
          "drops not in LSN order");
  require(is_in_lsn_order(relations.names, [](const RelationName& n) { return n.start; }),
          "names not in LSN order");
  require(std::max({relations.locks.size(), relations.created.size(), relations.drops.size(),
                    relations.names.size()}) <= RelationChanges::kMostOfAKind,
          "too many relation changes");
}

void check_lists(const SegmentIndex& index, Lsn start, Lsn end) {
  require(is_sorted_without_doubles(index.custom_managers) &&
              (index.custom_managers.empty() || index.custom_managers.front() >= 128),
          "custom managers not sorted, or not custom");
  Lsn before = start;
  for (const RestorePoint& point : index.restore_points) {
    require(point.start > before && point.end > point.start && point.end <= end,
            "a restore point outside the segment, or out of order");
    before = point.start;
  }
  require(is_in_lsn_order(index.checkpoints, [](const Checkpoint& c) { return c.start; }),
          "checkpoints not in LSN order");
}

// What is written is read back, and is written again as it was.
void check_encodings(const Indexed& indexed) {
  const auto index = encode_index(indexed.index);
  require(encode_index(decode_index(index)) == index, "an index is read back as another");
  const SegmentDetails& details = indexed.details;
  require(decode_xids(encode_xids(details.xids)) == details.xids, "xids are read back as others");
  require(decode_changed_blocks(encode_changed_blocks(details.changed_blocks)) ==
              details.changed_blocks,
          "changed blocks are read back as others");
  require(decode_relation_changes(encode_relation_changes(details.relations)) == details.relations,
          "relation changes are read back as others");
}

Indexed index_in_all_ways(const Input& input, std::size_t number, const Scan& found) {
  const ByteSpan segment = input.segment(number);
  const Lsn start = input.start(number);
  const Lsn end = start + segment.size();
  Indexed indexed = index_segment(segment, start, input.piece(input.options.indexer_pages));
  check_places(indexed.index, start, end);
  check_borders(indexed.index, start, end);
  check_lists(indexed.index, start, end);
  check_transactions(indexed.index, indexed.details);
  check_changed_blocks(indexed.details.changed_blocks);
  check_relations(indexed.index, indexed.details.relations);
  check_encodings(indexed);
  require(indexed.index.commits + indexed.index.aborts == found.log.transaction_starts.size(),
          "an index counts other transactions than a scanner visits");

  const Indexed again = index_segment(segment, start, segment.size());
  require(encode_index(again.index) == encode_index(indexed.index) &&
              again.details.xids == indexed.details.xids &&
              again.details.changed_blocks == indexed.details.changed_blocks &&
              again.details.relations == indexed.details.relations,
          "the size of the pieces changes an index");
  return indexed;
}

JoinedRecord joined_from(const std::vector<Indexed>& indexes, std::size_t first) {
  JoinedRecord record(indexes[first].index);
  for (std::size_t i = first + 1; i < indexes.size() && record.is_open(); ++i) {
    if (record.is_whole() || !record.join(indexes[i].index)) break;
  }
  require(!record.is_valid() || record.is_whole(), "a joined record is valid and not whole");
  require(!record.is_whole() || record.is_open(), "a joined record is whole and not open");
  require(!record.is_open() || record.start() == indexes[first].index.open_record,
          "a joined record starts elsewhere");
  return record;
}

// Neighbours that are none, and what is joined although it is whole.
void join_in_wrong_order(const std::vector<Indexed>& indexes, unsigned version) {
  for (const Indexed& first : indexes) {
    JoinedRecord record(first.index);
    for (const Indexed& next : indexes) {
      record.join(next.index);
      require(!record.is_valid() || record.is_whole(), "a joined record is valid and not whole");
      EventLog log;
      record.visit(version, log.visitor());
    }
  }
}

// All that a joined record can say is kept, so that the same must be known of it as of one that was
// read in one go.
bool is_kept_whole(const std::vector<Indexed>& indexes, std::size_t first) {
  const SegmentIndex& index = indexes[first].index;
  return first + 1 < indexes.size() && index.open_record_head.size() == index.open_record_taken &&
         indexes[first + 1].index.continuation_bytes <= RecordScanner::kContinuationKept &&
         std::size_t{index.open_record_taken} + indexes[first + 1].index.continuation_bytes <=
             RecordScanner::kBodyKept;
}

// An XLOG_SWITCH over a border as PostgreSQL never writes it: with anything in it or behind it. The
// segment behind cannot know that it is one.
bool is_odd_switch(const Input& input, const std::vector<Indexed>& indexes, std::size_t first) {
  std::vector<std::byte> head = indexes[first].index.open_record_head;
  if (head.size() < kRecordHeaderSize && first + 1 < indexes.size()) {
    const auto& rest = indexes[first + 1].index.continuation_head;
    head.insert(head.end(), rest.begin(), rest.end());
  }
  constexpr std::size_t kInfoOffset = 16;  // then xl_rmid and two bytes of padding
  if (head.size() < kRecordHeaderSize || first + 1 == indexes.size()) return false;
  const auto info = load<std::uint32_t>(head, kInfoOffset);
  if ((info & 0xFFF0U) != 0x40) return false;
  const std::size_t behind =
      kLongPageHeaderSize + indexes[first + 1].index.continuation_bytes % kUsualWalPageSize;
  const ByteSpan rest = input.segment(first + 1).subspan(behind, sizeof(std::uint32_t));
  return info != 0x40 || load<std::uint32_t>(head, 0) != kRecordHeaderSize ||
         load<std::uint32_t>(rest, 0) != 0;
}

// A chain that holds across segments is found by reading them one by one, too.
void compare_whole_with_parts(const Input& input, const Scan& whole, const std::vector<Scan>& parts,
                              const std::vector<Indexed>& indexes) {
  const std::size_t page_size = page_size_of(input.segment(0));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (page_size_of(input.segment(i)) != page_size || is_odd_switch(input, indexes, i)) return;
  }
  if (whole.broke || page_size > input.options.segment_size()) return;
  std::vector<Lsn> records;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    require(indexes[i].index.complete, "a chain breaks only where a segment is read alone");
    records.insert(records.end(), parts[i].log.record_starts.begin(),
                   parts[i].log.record_starts.end());
    const JoinedRecord joined = joined_from(indexes, i);
    if (!joined.is_valid()) continue;
    records.push_back(joined.start());
    if (!is_kept_whole(indexes, i)) continue;
    require(!joined.is_cut(), "something is missing of a joined record that was kept whole");
    EventLog log;
    joined.visit(parts[i].version, log.visitor());
    const auto& starts = whole.log.transaction_starts;
    const bool ends_one = std::find(starts.begin(), starts.end(), joined.start()) != starts.end();
    require(ends_one == !log.transaction_starts.empty(),
            "a joined record says something else than the same record read in one go");
  }
  require(records == whole.log.record_starts,
          "segments one by one have other records than all in one go");
}

// What archive_command asks first: it may refuse a segment, and must not refuse it for its name.
void check_header(const Input& input, std::size_t number) {
  const SegmentSize size = input.options.segment_size();
  const auto header = parse_page_header(input.segment(number));
  const auto version = header ? version_of_page_magic(header->magic) : std::nullopt;
  const ClusterIdentity cluster{.system_identifier = header ? header->system_identifier : 0,
                                .segment_size = size,
                                .postgres_version = version.value_or(15)};
  try {
    check_segment_header(input.segment(number), size,
                         SegmentName::containing(~TimelineId{0}, input.start(number), size),
                         cluster);
    require(version && header->is_long() && header->address == input.start(number),
            "a segment of another place is accepted");
  } catch (const Error& error) {
    const bool fits = version && header->is_long() && header->address == input.start(number) &&
                      header->segment_size == size;
    require(!fits, "a segment of the cluster is refused");
  }
}

void read_wal(const Input& input) {
  std::vector<Scan> parts;
  std::vector<Indexed> indexes;
  for (std::size_t i = 0; i < input.segments(); ++i) {
    check_header(input, i);
    parts.push_back(scan_in_all_ways(input, input.segment(i), input.start(i)));
    indexes.push_back(index_in_all_ways(input, i, parts.back()));
  }
  for (std::size_t i = 0; i < indexes.size(); ++i)
    joined_from(indexes, i).visit(parts[i].version, EventLog().visitor());
  join_in_wrong_order(indexes, parts.front().version);
  if (input.segments() > 1) {
    const Scan whole = scan_in_all_ways(input, input.wal, input.start(0));
    compare_whole_with_parts(input, whole, parts, indexes);
  }
  const std::size_t left_out = input.options.left_out_pages * kUsualWalPageSize;
  if (left_out > 0 && left_out < input.wal.size()) {
    scan(input, ByteSpan(input.wal).subspan(left_out), input.start(0) + left_out,
         input.piece(input.options.scanner_pages), true);
  }
}

}  // namespace

}  // namespace pitr::fuzzing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  if (bytes.size() < pitr::fuzzing::kReaderHeaderSize) return 0;
  pitr::fuzzing::read_wal(pitr::fuzzing::read_input(bytes));
  return 0;
}
