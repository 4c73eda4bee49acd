#include "wal/record_events.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace pitr {

namespace {

constexpr std::uint8_t kRecordTypeMask = 0xF0;

// XLOG: pg_control.h
constexpr std::uint8_t kCheckpointShutdown = 0x00;
constexpr std::uint8_t kCheckpointOnline = 0x10;
constexpr std::uint8_t kParameterChange = 0x60;
constexpr std::uint8_t kRestorePoint = 0x70;
constexpr std::uint8_t kEndOfRecovery = 0x90;

// Transaction: xact.h
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

// Storage: storage_xlog.h
constexpr std::uint8_t kFileCreate = 0x10;
constexpr std::uint8_t kFileTruncate = 0x20;

// Database: dbcommands_xlog.h, which changed in 15
constexpr std::uint8_t kDatabaseCreate = 0x00;
constexpr std::uint8_t kDatabaseCreateByWal = 0x10;
constexpr std::uint8_t kDatabaseDrop = 0x20;
constexpr std::uint8_t kDatabaseDropBefore15 = 0x10;

// Tablespace: tablespace.h
constexpr std::uint8_t kTablespaceCreate = 0x00;
constexpr std::uint8_t kTablespaceDrop = 0x10;

// Standby: standbydefs.h
constexpr std::uint8_t kStandbyLock = 0x00;
constexpr std::uint8_t kRunningTransactions = 0x10;

// Heap: heapam_xlog.h
constexpr std::uint8_t kHeapTypeMask = 0x70;
constexpr std::uint8_t kHeapInsert = 0x00;

constexpr std::size_t kRestorePointNameSize = 64;  // MAXFNAMELEN
constexpr std::uint32_t kPgClass = 1259;  // RelationRelationId, its file too until rewritten

std::string text_before_nul(ByteSpan bytes) {
  const std::string_view text = as_text(bytes);
  return std::string(text.substr(0, text.find('\0')));
}

std::vector<std::uint32_t> read_xids(ByteReader& reader) {
  const auto count = reader.get<std::uint32_t>();
  std::vector<std::uint32_t> xids;
  for (std::uint32_t i = 0; i < count && reader.remaining() >= sizeof(std::uint32_t); ++i) {
    xids.push_back(reader.get<std::uint32_t>());
  }
  return xids;
}

std::vector<RelationFile> read_files(ByteReader& reader) {
  const auto count = reader.get<std::uint32_t>();
  std::vector<RelationFile> files;
  for (std::uint32_t i = 0; i < count && reader.remaining() >= sizeof(RelationFile); ++i) {
    RelationFile file{.tablespace = reader.get<std::uint32_t>()};
    file.database = reader.get<std::uint32_t>();
    file.number = reader.get<std::uint32_t>();
    files.push_back(file);
  }
  return files;
}

// ParseCommitRecord() in xactdesc.c. The pieces stand in this order; arrays have their count in
// front.
void visit_transaction(const RecordView& record, Lsn start, Lsn end, unsigned version,
                       const RecordVisitor& visitor) {
  const std::uint8_t type = record.info() & kTransactionTypeMask;
  const bool is_commit = type == kCommit || type == kCommitPrepared;
  if ((!is_commit && type != kAbort && type != kAbortPrepared) || !visitor.on_transaction_end) {
    return;
  }
  ByteReader reader(record.main_data());
  TransactionEnd transaction{.start = start,
                             .end = end,
                             .time = reader.get<std::int64_t>(),
                             .xid = record.xid(),
                             .is_commit = is_commit,
                             .was_prepared = type == kCommitPrepared || type == kAbortPrepared};
  if (!reader.ok()) return;
  const std::uint32_t more = (record.info() & kHasInfo) != 0 ? reader.get<std::uint32_t>() : 0;
  const auto skip_array = [&reader](std::size_t element_size) {
    reader.get_bytes(std::size_t{reader.get<std::uint32_t>()} * element_size);
  };
  if ((more & kHasDatabase) != 0) reader.get_bytes(8);
  if ((more & kHasSubtransactions) != 0) transaction.subtransactions = read_xids(reader);
  if ((more & kHasRelations) != 0) transaction.dropped_files = read_files(reader);
  if ((more & kHasDroppedStatistics) != 0) skip_array(version >= 18 ? 16 : 12);
  if ((more & kHasInvalidations) != 0) skip_array(16);
  if ((more & kHasTwoPhase) != 0) {
    const auto xid = reader.get<std::uint32_t>();
    // Where it is cut off, the record's own is all there is.
    if (reader.ok()) transaction.xid = xid;
  }
  visitor.on_transaction_end(transaction);
}

void visit_checkpoint(const RecordView& record, Lsn start, const RecordVisitor& visitor) {
  ByteReader reader(record.main_data());
  Checkpoint checkpoint{.start = start, .redo = reader.get<Lsn>()};
  reader.get_bytes(16);  // two timelines, full_page_writes, wal_level or padding
  checkpoint.next_xid = reader.get<std::uint64_t>();
  checkpoint.is_shutdown = record.type() == kCheckpointShutdown;
  if (reader.ok()) visitor.on_checkpoint(checkpoint);
}

void visit_parameters(const RecordView& record, Lsn start, const RecordVisitor& visitor) {
  ByteReader reader(record.main_data());
  ParameterChange change{.start = start};
  change.max_connections = reader.get<std::int32_t>();
  change.max_worker_processes = reader.get<std::int32_t>();
  change.max_wal_senders = reader.get<std::int32_t>();
  change.max_prepared_transactions = reader.get<std::int32_t>();
  change.max_locks_per_transaction = reader.get<std::int32_t>();
  change.wal_level = reader.get<std::int32_t>();
  if (reader.ok()) visitor.on_parameters(change);
}

void visit_xlog(const RecordView& record, Lsn start, Lsn end, const RecordVisitor& visitor) {
  const std::uint8_t type = record.type();
  ByteReader reader(record.main_data());
  if (type == kRestorePoint && visitor.on_restore_point) {
    RestorePoint point{.start = start, .end = end, .time = reader.get<std::int64_t>()};
    point.name = text_before_nul(reader.get_bytes(kRestorePointNameSize));
    if (reader.ok()) visitor.on_restore_point(point);
  } else if ((type == kCheckpointShutdown || type == kCheckpointOnline) && visitor.on_checkpoint) {
    visit_checkpoint(record, start, visitor);
  } else if (type == kParameterChange && visitor.on_parameters) {
    visit_parameters(record, start, visitor);
  } else if (type == kEndOfRecovery && visitor.on_end_of_recovery) {
    EndOfRecovery recovery{.start = start, .time = reader.get<std::int64_t>()};
    recovery.timeline = reader.get<std::uint32_t>();
    recovery.previous_timeline = reader.get<std::uint32_t>();
    if (reader.ok()) visitor.on_end_of_recovery(recovery);
  }
}

void visit_storage(const RecordView& record, Lsn start, const RecordVisitor& visitor) {
  ByteReader reader(record.main_data());
  const auto read_file = [&reader] {
    RelationFile file{.tablespace = reader.get<std::uint32_t>()};
    file.database = reader.get<std::uint32_t>();
    file.number = reader.get<std::uint32_t>();
    return file;
  };
  if (record.type() == kFileCreate && visitor.on_file_creation) {
    FileCreation creation{.start = start, .xid = record.xid(), .file = read_file()};
    const auto fork = reader.get<std::uint32_t>();
    creation.fork = static_cast<Fork>(fork & 3U);
    if (reader.ok() && fork <= 3) visitor.on_file_creation(creation);
  } else if (record.type() == kFileTruncate && visitor.on_file_truncation) {
    FileTruncation truncation{.block = reader.get<std::uint32_t>()};
    truncation.file = read_file();
    const auto flags = reader.get<std::uint32_t>();
    truncation.of_main_fork = (flags & 1U) != 0;
    truncation.of_visibility_map = (flags & 2U) != 0;
    truncation.of_free_space_map = (flags & 4U) != 0;
    if (reader.ok()) visitor.on_file_truncation(truncation);
  }
}

void visit_database(const RecordView& record, Lsn start, unsigned version,
                    const RecordVisitor& visitor) {
  if (!visitor.on_database) return;
  ByteReader reader(record.main_data());
  DatabaseChange change{.start = start, .xid = record.xid(), .oid = reader.get<std::uint32_t>()};
  const std::uint8_t type = record.type();
  change.is_drop = type == (version >= 15 ? kDatabaseDrop : kDatabaseDropBefore15);
  const bool is_create = type == kDatabaseCreate || (version >= 15 && type == kDatabaseCreateByWal);
  if (reader.ok() && (change.is_drop || is_create)) visitor.on_database(change);
}

void visit_tablespace(const RecordView& record, Lsn start, const RecordVisitor& visitor) {
  const std::uint8_t type = record.type();
  if ((type != kTablespaceCreate && type != kTablespaceDrop) || !visitor.on_tablespace) return;
  ByteReader reader(record.main_data());
  TablespaceChange change{.start = start,
                          .xid = record.xid(),
                          .oid = reader.get<std::uint32_t>(),
                          .is_drop = type == kTablespaceDrop};
  if (!change.is_drop) change.path = text_before_nul(reader.get_bytes(reader.remaining()));
  if (reader.ok()) visitor.on_tablespace(change);
}

void visit_standby(const RecordView& record, Lsn start, const RecordVisitor& visitor) {
  ByteReader reader(record.main_data());
  if (record.type() == kRunningTransactions && visitor.on_running_transactions) {
    RunningTransactions running{.start = start, .count = reader.get<std::uint32_t>()};
    reader.get<std::uint32_t>();                                  // number of subtransactions
    running.overflowed = reader.get<std::uint32_t>() % 256 != 0;  // a bool and its padding
    running.next_xid = reader.get<std::uint32_t>();
    running.oldest_running = reader.get<std::uint32_t>();
    if (reader.ok()) visitor.on_running_transactions(running);
  } else if (record.type() == kStandbyLock && visitor.on_lock) {
    const auto count = reader.get<std::uint32_t>();
    for (std::uint32_t i = 0; i < count; ++i) {
      RelationLock lock{.xid = reader.get<std::uint32_t>()};
      lock.database = reader.get<std::uint32_t>();
      lock.relation = reader.get<std::uint32_t>();
      if (!reader.ok()) return;
      visitor.on_lock(lock);
    }
  }
}

// Offsets in FormData_pg_class up to relfilenode: unchanged from version 12 to 18.
constexpr std::size_t kNameOffset = 4;
constexpr std::size_t kNameSize = 64;  // NAMEDATALEN
constexpr std::size_t kSchemaOffset = 68;
constexpr std::size_t kFileNumberOffset = 88;
// Behind it come relallfrozen in 18 and the flags; these are of the version before it.
constexpr std::size_t kPersistenceOffset = 114;
constexpr std::size_t kKindOffset = 115;
constexpr std::size_t kMoreIn18 = 4;

void visit_pg_class_row(ByteSpan row, RelationName name, unsigned version,
                        const RecordVisitor& visitor) {
  const std::size_t shift = version >= 18 ? kMoreIn18 : 0;
  if (row.size() <= kKindOffset + shift) return;
  if (load<char>(row, kPersistenceOffset + shift) == 't') return;
  name.oid = load<std::uint32_t>(row, 0);
  name.name = text_before_nul(row.subspan(kNameOffset, kNameSize));
  name.schema_oid = load<std::uint32_t>(row, kSchemaOffset);
  name.file_number = load<std::uint32_t>(row, kFileNumberOffset);
  name.kind = load<char>(row, kKindOffset + shift);
  visitor.on_relation_name(name);
}

// The bytes [offset, offset + count) of a page, of its image without the hole.
ByteSpan bytes_of_image(const BlockReference& block, std::size_t offset, std::size_t count) {
  constexpr std::size_t kPageSize = 8192;
  const std::size_t hole = kPageSize - std::min(kPageSize, block.image.size());
  if (offset >= block.hole_offset + hole && hole > 0) {
    offset -= hole;
  } else if (offset + count > block.hole_offset && hole > 0) {
    return {};
  }
  return offset + count <= block.image.size() ? block.image.subspan(offset, count) : ByteSpan();
}

// A tuple by its line pointer: bufpage.h, itemid.h.
ByteSpan tuple_of_image(const BlockReference& block, std::uint16_t offset_number) {
  constexpr std::size_t kPageHeaderBytes = 24;
  const ByteSpan pointer =
      bytes_of_image(block, kPageHeaderBytes + std::size_t{4} * (offset_number - 1U), 4);
  if (offset_number == 0 || pointer.empty()) return {};
  const auto item = load<std::uint32_t>(pointer, 0);  // 15 bits offset, 2 flags, 15 length
  return bytes_of_image(block, item & 0x7FFFU, item >> 17);
}

// An INSERT into pg_class: xl_heap_insert, and the tuple in the block's data, or in its image.
void visit_heap(const RecordView& record, Lsn start, unsigned version,
                const RecordVisitor& visitor) {
  if (!visitor.on_relation_name || (record.info() & kHeapTypeMask) != kHeapInsert) return;
  if (record.blocks().empty() || record.blocks().front().file.number != kPgClass) return;
  const BlockReference& block = record.blocks().front();
  const RelationName name{.start = start, .xid = record.xid(), .database = block.file.database};
  constexpr std::size_t kTupleHeaderSize = 23;  // SizeofHeapTupleHeader
  constexpr std::size_t kStoredHeaderSize = 5;  // xl_heap_header: two masks, then t_hoff
  if (block.data.size() > kStoredHeaderSize) {
    const std::size_t header = load<std::uint8_t>(block.data, 4);
    const std::size_t begin = kStoredHeaderSize + header - kTupleHeaderSize;
    if (header < kTupleHeaderSize || begin > block.data.size()) return;
    visit_pg_class_row(block.data.subspan(begin), name, version, visitor);
  } else if (!block.image.empty() && !block.image_is_compressed && record.main_data().size() >= 2) {
    const ByteSpan tuple = tuple_of_image(block, load<std::uint16_t>(record.main_data(), 0));
    if (tuple.size() < kTupleHeaderSize) return;
    const std::size_t header = load<std::uint8_t>(tuple, 22);  // t_hoff
    if (header > tuple.size()) return;
    visit_pg_class_row(tuple.subspan(header), name, version, visitor);
  }
}

}  // namespace

void visit_record(const RecordView& record, Lsn start, Lsn end, unsigned version,
                  const RecordVisitor& visitor) {
  switch (static_cast<ResourceManager>(record.manager())) {
    case ResourceManager::kTransaction:
      return visit_transaction(record, start, end, version, visitor);
    case ResourceManager::kHeap:
      return visit_heap(record, start, version, visitor);
    case ResourceManager::kXlog:
      return visit_xlog(record, start, end, visitor);
    case ResourceManager::kStorage:
      return visit_storage(record, start, visitor);
    case ResourceManager::kDatabase:
      return visit_database(record, start, version, visitor);
    case ResourceManager::kTablespace:
      return visit_tablespace(record, start, visitor);
    case ResourceManager::kStandby:
      return visit_standby(record, start, visitor);
    case ResourceManager::kFirstCustom:
      break;
  }
  if (record.manager() >= static_cast<std::uint8_t>(ResourceManager::kFirstCustom) &&
      visitor.on_custom_manager) {
    visitor.on_custom_manager(record.manager());
  }
}

bool is_telling(ByteSpan head) {
  const auto manager = static_cast<ResourceManager>(load<std::uint8_t>(head, 17));
  const auto info = load<std::uint8_t>(head, 16);
  switch (manager) {
    case ResourceManager::kTransaction:
    case ResourceManager::kStorage:
    case ResourceManager::kDatabase:
    case ResourceManager::kTablespace:
    case ResourceManager::kStandby:
      return true;
    case ResourceManager::kHeap:
      return (info & kHeapTypeMask) == kHeapInsert;
    case ResourceManager::kXlog:
      return (info & kRecordTypeMask) <= kEndOfRecovery;  // the others are page images
    case ResourceManager::kFirstCustom:
      break;
  }
  return false;
}

}  // namespace pitr
