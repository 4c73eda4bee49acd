#include "wal/segment_index.h"

#include <algorithm>
#include <utility>

#include "common/error.h"
#include "wal/crc32c.h"

namespace pitr {

namespace {

// Version 1 was never released.
constexpr std::uint16_t kIndexVersion = 2;

// Flags of the encoded index; never renumbered.
constexpr std::uint16_t kComplete = 1U << 0;
constexpr std::uint16_t kDamaged = 1U << 1;
constexpr std::uint16_t kEndsInSwitch = 1U << 2;
constexpr std::uint16_t kXidsOmitted = 1U << 3;
constexpr std::uint16_t kHasCommitTimes = 1U << 4;
constexpr std::uint16_t kHasRelationChanges = 1U << 5;

constexpr std::size_t kCrcOffset = 20;  // in XLogRecord

[[noreturn]] void throw_damaged_index() {
  throw Error({.kind = ErrorKind::kCorrupt, .message = "the WAL index of a segment is damaged"});
}

void put_kept_bytes(ByteWriter& writer, ByteSpan bytes) { writer.put_text(as_text(bytes)); }

std::vector<std::byte> get_kept_bytes(ByteReader& reader) {
  const ByteSpan bytes = reader.get_bytes(reader.get<std::uint32_t>());
  return {bytes.begin(), bytes.end()};
}

template <typename Item, typename Put>
void put_list(ByteWriter& writer, const std::vector<Item>& items, const Put& put) {
  writer.put(static_cast<std::uint32_t>(items.size()));
  for (const Item& item : items)
    put(item);
}

template <typename Item, typename Get>
void get_list(ByteReader& reader, std::vector<Item>& items, const Get& get) {
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    Item& item = items.emplace_back();
    get(item);
  }
}

// The values that are there once, in this order.
void put_values(ByteWriter& writer, const SegmentIndex& index) {
  writer.put(index.commits);
  writer.put(index.aborts);
  writer.put(index.commits_prepared);
  writer.put(index.aborts_prepared);
  writer.put(index.min_xid);
  writer.put(index.max_xid);
  writer.put(index.first_record);
  writer.put(index.last_record);
  writer.put(index.end_of_records);
  writer.put(index.valid_end);
  writer.put(index.min_time);
  writer.put(index.max_time);
  writer.put(index.first_commit.value_or(0));
  writer.put(index.last_commit.value_or(0));
  writer.put(index.open_record);
  writer.put(index.open_record_taken);
  writer.put(index.open_record_body_crc);
  writer.put(index.continuation_bytes);
  writer.put(index.continuation_taken);
  writer.put(index.continuation_crc);
}

void get_values(ByteReader& reader, SegmentIndex& index, bool has_commit_times) {
  index.commits = reader.get<std::uint32_t>();
  index.aborts = reader.get<std::uint32_t>();
  index.commits_prepared = reader.get<std::uint32_t>();
  index.aborts_prepared = reader.get<std::uint32_t>();
  index.min_xid = reader.get<std::uint32_t>();
  index.max_xid = reader.get<std::uint32_t>();
  index.first_record = reader.get<Lsn>();
  index.last_record = reader.get<Lsn>();
  index.end_of_records = reader.get<Lsn>();
  index.valid_end = reader.get<Lsn>();
  index.min_time = reader.get<std::int64_t>();
  index.max_time = reader.get<std::int64_t>();
  const auto first_commit = reader.get<std::int64_t>();
  const auto last_commit = reader.get<std::int64_t>();
  if (has_commit_times) {
    index.first_commit = first_commit;
    index.last_commit = last_commit;
  }
  index.open_record = reader.get<Lsn>();
  index.open_record_taken = reader.get<std::uint32_t>();
  index.open_record_body_crc = reader.get<std::uint32_t>();
  index.continuation_bytes = reader.get<std::uint32_t>();
  index.continuation_taken = reader.get<std::uint32_t>();
  index.continuation_crc = reader.get<std::uint32_t>();
}

void put_lists(ByteWriter& writer, const SegmentIndex& index) {
  put_list(writer, index.restore_points, [&](const RestorePoint& point) {
    writer.put(point.start);
    writer.put(point.end);
    writer.put(point.time);
    writer.put_text(point.name);
  });
  put_list(writer, index.tablespaces, [&](const TablespaceChange& change) {
    writer.put(change.start);
    writer.put(change.xid);
    writer.put(change.oid);
    writer.put(static_cast<std::uint8_t>(change.is_drop));
    writer.put_text(change.path);
  });
  put_list(writer, index.databases, [&](const DatabaseChange& change) {
    writer.put(change.start);
    writer.put(change.xid);
    writer.put(change.oid);
    writer.put(static_cast<std::uint8_t>(change.is_drop));
  });
  put_list(writer, index.checkpoints, [&](const Checkpoint& checkpoint) {
    writer.put(checkpoint.start);
    writer.put(checkpoint.redo);
    writer.put(checkpoint.next_xid);
    writer.put(static_cast<std::uint8_t>(checkpoint.is_shutdown));
  });
  put_list(writer, index.recoveries, [&](const EndOfRecovery& recovery) {
    writer.put(recovery.start);
    writer.put(recovery.time);
    writer.put(recovery.timeline);
    writer.put(recovery.previous_timeline);
  });
  put_list(writer, index.parameters, [&](const ParameterChange& change) {
    writer.put(change.start);
    writer.put(change.max_connections);
    writer.put(change.max_worker_processes);
    writer.put(change.max_wal_senders);
    writer.put(change.max_prepared_transactions);
    writer.put(change.max_locks_per_transaction);
    writer.put(change.wal_level);
  });
  put_list(writer, index.running, [&](const RunningTransactions& running) {
    writer.put(running.start);
    writer.put(running.count);
    writer.put(static_cast<std::uint8_t>(running.overflowed));
    writer.put(running.next_xid);
    writer.put(running.oldest_running);
  });
  put_list(writer, index.custom_managers, [&](std::uint8_t manager) { writer.put(manager); });
}

void get_lists(ByteReader& reader, SegmentIndex& index) {
  get_list(reader, index.restore_points, [&](RestorePoint& point) {
    point.start = reader.get<Lsn>();
    point.end = reader.get<Lsn>();
    point.time = reader.get<std::int64_t>();
    point.name = reader.get_text();
  });
  get_list(reader, index.tablespaces, [&](TablespaceChange& change) {
    change.start = reader.get<Lsn>();
    change.xid = reader.get<std::uint32_t>();
    change.oid = reader.get<std::uint32_t>();
    change.is_drop = reader.get<std::uint8_t>() != 0;
    change.path = reader.get_text();
  });
  get_list(reader, index.databases, [&](DatabaseChange& change) {
    change.start = reader.get<Lsn>();
    change.xid = reader.get<std::uint32_t>();
    change.oid = reader.get<std::uint32_t>();
    change.is_drop = reader.get<std::uint8_t>() != 0;
  });
  get_list(reader, index.checkpoints, [&](Checkpoint& checkpoint) {
    checkpoint.start = reader.get<Lsn>();
    checkpoint.redo = reader.get<Lsn>();
    checkpoint.next_xid = reader.get<std::uint64_t>();
    checkpoint.is_shutdown = reader.get<std::uint8_t>() != 0;
  });
  get_list(reader, index.recoveries, [&](EndOfRecovery& recovery) {
    recovery.start = reader.get<Lsn>();
    recovery.time = reader.get<std::int64_t>();
    recovery.timeline = reader.get<std::uint32_t>();
    recovery.previous_timeline = reader.get<std::uint32_t>();
  });
  get_list(reader, index.parameters, [&](ParameterChange& change) {
    change.start = reader.get<Lsn>();
    change.max_connections = reader.get<std::int32_t>();
    change.max_worker_processes = reader.get<std::int32_t>();
    change.max_wal_senders = reader.get<std::int32_t>();
    change.max_prepared_transactions = reader.get<std::int32_t>();
    change.max_locks_per_transaction = reader.get<std::int32_t>();
    change.wal_level = reader.get<std::int32_t>();
  });
  get_list(reader, index.running, [&](RunningTransactions& running) {
    running.start = reader.get<Lsn>();
    running.count = reader.get<std::uint32_t>();
    running.overflowed = reader.get<std::uint8_t>() != 0;
    running.next_xid = reader.get<std::uint32_t>();
    running.oldest_running = reader.get<std::uint32_t>();
  });
  get_list(reader, index.custom_managers,
           [&](std::uint8_t& manager) { manager = reader.get<std::uint8_t>(); });
}

// An index's list is for rare things: a segment full of one kind must not fill the memory of
// everyone who reads a row. What is beyond is still in the segment.
template <typename Item>
void append_bounded(std::vector<Item>& items, const Item& item) {
  constexpr std::size_t kMostListed = 65536;
  if (items.size() < kMostListed) items.push_back(item);
}

}  // namespace

void SegmentIndex::add(const TransactionEnd& transaction) {
  const bool is_first = !has_transactions();
  min_time = is_first ? transaction.time : std::min(min_time, transaction.time);
  max_time = is_first ? transaction.time : std::max(max_time, transaction.time);
  const auto note_xid = [this](std::uint32_t xid) {
    min_xid = min_xid == 0 ? xid : std::min(min_xid, xid);
    max_xid = std::max(max_xid, xid);
  };
  note_xid(transaction.xid);
  for (const std::uint32_t xid : transaction.subtransactions)
    note_xid(xid);
  if (transaction.is_commit) {
    ++commits;
    if (transaction.was_prepared) ++commits_prepared;
    first_commit = std::min(first_commit.value_or(transaction.time), transaction.time);
    last_commit = std::max(last_commit.value_or(transaction.time), transaction.time);
  } else {
    ++aborts;
    if (transaction.was_prepared) ++aborts_prepared;
  }
}

RecordVisitor SegmentIndex::collector() {
  return {
      .on_transaction_end = [this](const TransactionEnd& t) { add(t); },
      .on_restore_point = [this](const RestorePoint& p) { append_bounded(restore_points, p); },
      .on_tablespace = [this](const TablespaceChange& c) { append_bounded(tablespaces, c); },
      .on_database = [this](const DatabaseChange& c) { append_bounded(databases, c); },
      .on_checkpoint = [this](const Checkpoint& c) { append_bounded(checkpoints, c); },
      .on_end_of_recovery = [this](const EndOfRecovery& e) { append_bounded(recoveries, e); },
      .on_parameters = [this](const ParameterChange& c) { append_bounded(parameters, c); },
      .on_running_transactions =
          [this](const RunningTransactions& r) { append_bounded(running, r); },
      .on_custom_manager =
          [this](std::uint8_t manager) {
            const auto place =
                std::lower_bound(custom_managers.begin(), custom_managers.end(), manager);
            if (place == custom_managers.end() || *place != manager) {
              custom_managers.insert(place, manager);
            }
          },
  };
}

SegmentIndexer::SegmentIndexer(Lsn segment_start, SegmentSize segment_size)
    : segment_end_(segment_start + segment_size),
      scanner_(segment_start, segment_size, visitor()) {}

RecordVisitor SegmentIndexer::visitor() {
  RecordVisitor visitor = index_.collector();
  visitor.on_transaction_end = [this](const TransactionEnd& t) { add(t); };
  visitor.on_database = [this, next = visitor.on_database](const DatabaseChange& change) {
    next(change);
    changed_.add_database(change.oid);
  };
  visitor.on_lock = [this](const RelationLock& lock) {
    auto& locks = details_.relations.locks;
    // Locks that are held are written again at every checkpoint.
    if (!locks.empty() && locks.back() == lock) return;
    locks.push_back(lock);
    if (locks.size() < 2 * RelationChanges::kMostOfAKind) return;
    std::sort(locks.begin(), locks.end());
    locks.erase(std::unique(locks.begin(), locks.end()), locks.end());
    if (locks.size() <= RelationChanges::kMostOfAKind) return;
    details_.relations.omitted = true;
    locks.resize(RelationChanges::kMostOfAKind);
  };
  visitor.on_file_creation = [this](const FileCreation& creation) {
    changed_.add_from(creation.file, creation.fork, 0);
    auto& created = details_.relations.created;
    // Of an unlogged relation only the init fork is in the WAL.
    if (creation.fork != Fork::kMain && creation.fork != Fork::kInit) return;
    details_.relations.omitted |= created.size() == RelationChanges::kMostOfAKind;
    if (details_.relations.omitted) return;
    unfinished_.push_back(created.size());
    created.push_back({.start = creation.start, .xid = creation.xid, .file = creation.file});
  };
  visitor.on_file_truncation = [this](const FileTruncation& truncation) {
    // Where the cut lies in the small forks the record does not say.
    if (truncation.of_main_fork) changed_.add_from(truncation.file, Fork::kMain, truncation.block);
    if (truncation.of_visibility_map) changed_.add_from(truncation.file, Fork::kVisibilityMap, 0);
    if (truncation.of_free_space_map) changed_.add_from(truncation.file, Fork::kFreeSpaceMap, 0);
  };
  visitor.on_relation_name = [this](const RelationName& name) {
    auto& names = details_.relations.names;
    details_.relations.omitted |= names.size() == RelationChanges::kMostOfAKind;
    if (!details_.relations.omitted) names.push_back(name);
  };
  visitor.on_record = [this](const RecordView& record, Lsn, Lsn) {
    for (const BlockReference& block : record.blocks())
      changed_.add(block);
  };
  return visitor;
}

void SegmentIndexer::add(const TransactionEnd& transaction) {
  index_.add(transaction);
  if (!unfinished_.empty()) measure_created(transaction);
  const auto add_xid = [this](std::uint32_t xid) {
    if (details_.xids.size() == SegmentDetails::kMostXids) index_.xids_omitted = true;
    if (!index_.xids_omitted) details_.xids.push_back(xid);
  };
  add_xid(transaction.xid);
  for (const std::uint32_t xid : transaction.subtransactions)
    add_xid(xid);
  for (const RelationFile& file : transaction.dropped_files)
    changed_.add_from(file, Fork::kMain, 0);
  if (!transaction.is_commit || transaction.dropped_files.empty()) return;
  RelationChanges& relations = details_.relations;
  relations.omitted |= relations.drops.size() == RelationChanges::kMostOfAKind;
  if (!relations.omitted) relations.drops.push_back(transaction);
}

// How long a new file is by the end of the transaction that made it: what comes later is another's.
void SegmentIndexer::measure_created(const TransactionEnd& transaction) {
  const auto& parts = transaction.subtransactions;
  std::erase_if(unfinished_, [&](std::size_t position) {
    CreatedFile& created = details_.relations.created[position];
    const std::uint32_t xid = created.xid;
    if (xid != transaction.xid && std::find(parts.begin(), parts.end(), xid) == parts.end()) {
      return false;
    }
    created.length = changed_.length_of(created.file, Fork::kMain);
    return true;
  });
}

// What a record does to blocks is noted where it begins, although a crash may have cut it short: a
// block too many costs a read. Its head is kept where the rest of it says more.
void SegmentIndexer::add_open_record() {
  const ByteSpan head = scanner_.open_record_head();
  index_.open_record = scanner_.open_record_start();
  index_.open_record_taken = scanner_.open_record_taken();
  index_.open_record_body_crc = scanner_.open_record_body_crc();
  std::size_t kept = std::min(head.size(), RecordScanner::kBodyKept);
  RecordView record;
  if (head.size() >= kRecordHeaderSize && record.parse(head, scanner_.version())) {
    for (const BlockReference& block : record.blocks())
      changed_.add(block);
    if (!is_telling(head)) kept = kRecordHeaderSize;
  }
  index_.open_record_head.assign(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(kept));
}

SegmentIndex SegmentIndexer::finish() {
  index_.damaged = scanner_.chain_broke() && scanner_.valid_pages_follow();
  index_.complete = !scanner_.chain_broke();
  index_.valid_end = scanner_.chain_broke() ? scanner_.broke_at() : segment_end_;
  index_.ends_in_switch = scanner_.ends_in_switch();
  index_.first_record = scanner_.first_record();
  index_.last_record = scanner_.last_record();
  index_.end_of_records = scanner_.end_of_records();
  if (scanner_.record_is_open()) add_open_record();
  index_.continuation_bytes = scanner_.continuation_bytes();
  index_.continuation_taken = scanner_.continuation_taken();
  index_.continuation_head = scanner_.continuation_head();
  index_.continuation_crc = scanner_.continuation_crc();
  finish_details();
  index_.has_relation_changes = !details_.relations.empty();
  return std::move(index_);
}

void SegmentIndexer::finish_details() {
  if (index_.xids_omitted) details_.xids.clear();
  std::sort(details_.xids.begin(), details_.xids.end());
  auto& locks = details_.relations.locks;
  std::sort(locks.begin(), locks.end());
  locks.erase(std::unique(locks.begin(), locks.end()), locks.end());
  for (const std::size_t position : unfinished_) {
    CreatedFile& created = details_.relations.created[position];
    created.length = changed_.length_of(created.file, Fork::kMain);
  }
  details_.changed_blocks = changed_.finish();
}

std::vector<std::byte> encode_index(const SegmentIndex& index) {
  ByteWriter writer;
  writer.put(kIndexVersion);
  writer.put(static_cast<std::uint16_t>(
      (index.complete ? kComplete : 0) | (index.damaged ? kDamaged : 0) |
      (index.ends_in_switch ? kEndsInSwitch : 0) | (index.xids_omitted ? kXidsOmitted : 0) |
      (index.last_commit ? kHasCommitTimes : 0) |
      (index.has_relation_changes ? kHasRelationChanges : 0)));
  put_values(writer, index);
  put_kept_bytes(writer, index.continuation_head);
  put_kept_bytes(writer, index.open_record_head);
  put_lists(writer, index);
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
  index.has_relation_changes = (flags & kHasRelationChanges) != 0;
  get_values(reader, index, (flags & kHasCommitTimes) != 0);
  index.continuation_head = get_kept_bytes(reader);
  index.open_record_head = get_kept_bytes(reader);
  get_lists(reader, index);
  if (!reader.ok() || reader.remaining() != 0) throw_damaged_index();
  return index;
}

// The differences between neighbours.
std::vector<std::byte> encode_xids(std::span<const std::uint32_t> xids) {
  ByteWriter writer;
  writer.put(static_cast<std::uint32_t>(xids.size()));
  std::uint32_t previous = 0;
  for (const std::uint32_t xid : xids)
    writer.put_varint(xid - std::exchange(previous, xid));
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
    const std::uint32_t difference = reader.get_varint();
    if (difference > 0xFFFF'FFFFU - xid) throw_damaged_index();  // they are sorted
    xid += difference;
    xids.push_back(xid);
  }
  if (!reader.ok() || reader.remaining() != 0) throw_damaged_index();
  return xids;
}

JoinedRecord::JoinedRecord(const SegmentIndex& index)
    : start_(index.open_record),
      taken_(index.open_record_taken),
      body_crc_(index.open_record_body_crc),
      head_(index.open_record_head) {
  if (head_.size() >= sizeof(std::uint32_t)) length_ = load<std::uint32_t>(head_, 0);
  if (length_ < kRecordHeaderSize || taken_ >= length_) start_ = 0;
}

bool JoinedRecord::join(const SegmentIndex& next) {
  if (!is_open() || next.continuation_bytes != length_ - taken_) {
    start_ = 0;
    return false;
  }
  const ByteSpan continuation(next.continuation_head);
  // Of its header at most 16 bytes can be here, and those are not of the body.
  const std::size_t of_header =
      kRecordHeaderSize - std::min<std::size_t>(kRecordHeaderSize, taken_);
  const std::size_t skipped =
      std::min<std::size_t>(RecordScanner::kContinuationSkipped, next.continuation_taken);
  if (of_header > skipped || continuation.size() < skipped) {
    start_ = 0;
    return false;
  }
  Crc32c crc = Crc32c::resume(body_crc_);
  crc.update(continuation.subspan(of_header, skipped - of_header));
  body_crc_ = crc32c_joined(crc.value(), next.continuation_crc, next.continuation_taken - skipped);
  // A head that was cut off by a limit, not by a segment's end, has no bytes to join.
  if (head_.size() == taken_) head_.insert(head_.end(), continuation.begin(), continuation.end());
  taken_ += next.continuation_taken;
  return true;
}

bool JoinedRecord::is_valid() const {
  if (!is_whole() || head_.size() < kRecordHeaderSize) return false;
  Crc32c crc = Crc32c::resume(body_crc_);
  crc.update(ByteSpan(head_).first(kCrcOffset));
  return crc.value() == load<std::uint32_t>(head_, kCrcOffset);
}

void JoinedRecord::visit(unsigned version, const RecordVisitor& visitor) const {
  if (!is_valid()) return;
  RecordView record;
  record.parse(head_, version);
  visit_record(record, start_, 0, version, visitor);
}

}  // namespace pitr
