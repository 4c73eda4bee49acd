#include "fuzz/event_log.h"

#include "wal/crc32c.h"

namespace pitr::fuzzing {

namespace {

void put(ByteWriter& log, const RelationFile& file) {
  log.put(file.tablespace);
  log.put(file.database);
  log.put(file.number);
}

void put(ByteWriter& log, bool flag) { log.put(static_cast<std::uint8_t>(flag)); }

void put(ByteWriter& log, const TransactionEnd& transaction) {
  log.put(transaction.start);
  log.put(transaction.end);
  log.put(transaction.time);
  log.put(transaction.xid);
  put(log, transaction.is_commit);
  put(log, transaction.was_prepared);
  for (const std::uint32_t xid : transaction.subtransactions)
    log.put(xid);
  for (const RelationFile& file : transaction.dropped_files)
    put(log, file);
}

void put(ByteWriter& log, const ParameterChange& change) {
  log.put(change.start);
  log.put(change.max_connections);
  log.put(change.max_worker_processes);
  log.put(change.max_wal_senders);
  log.put(change.max_prepared_transactions);
  log.put(change.max_locks_per_transaction);
  log.put(change.wal_level);
}

void put(ByteWriter& log, const RelationName& name) {
  log.put(name.start);
  log.put(name.xid);
  log.put(name.database);
  log.put(name.oid);
  log.put(name.schema_oid);
  log.put(name.file_number);
  log.put(name.kind);
  log.put_text(name.name);
}

// Each kind of event by a letter, so that no two of different kinds are the same bytes.
ByteWriter& entry(ByteWriter& log, char kind) {
  log.put(kind);
  return log;
}

void set_callbacks_of_the_index(RecordVisitor& visitor, ByteWriter& log) {
  visitor.on_restore_point = [&log](const RestorePoint& point) {
    entry(log, 'P').put(point.start);
    log.put(point.end);
    log.put(point.time);
    log.put_text(point.name);
  };
  visitor.on_tablespace = [&log](const TablespaceChange& change) {
    entry(log, 'T').put(change.start);
    log.put(change.xid);
    log.put(change.oid);
    put(log, change.is_drop);
    log.put_text(change.path);
  };
  visitor.on_database = [&log](const DatabaseChange& change) {
    entry(log, 'D').put(change.start);
    log.put(change.xid);
    log.put(change.oid);
    put(log, change.is_drop);
  };
  visitor.on_checkpoint = [&log](const Checkpoint& checkpoint) {
    entry(log, 'K').put(checkpoint.start);
    log.put(checkpoint.redo);
    log.put(checkpoint.next_xid);
    put(log, checkpoint.is_shutdown);
  };
  visitor.on_end_of_recovery = [&log](const EndOfRecovery& recovery) {
    entry(log, 'E').put(recovery.start);
    log.put(recovery.time);
    log.put(recovery.timeline);
    log.put(recovery.previous_timeline);
  };
  visitor.on_parameters = [&log](const ParameterChange& change) { put(entry(log, 'A'), change); };
  visitor.on_running_transactions = [&log](const RunningTransactions& running) {
    entry(log, 'U').put(running.start);
    log.put(running.count);
    put(log, running.overflowed);
    log.put(running.next_xid);
    log.put(running.oldest_running);
  };
  visitor.on_custom_manager = [&log](std::uint8_t manager) { entry(log, 'M').put(manager); };
}

void set_callbacks_of_relations(RecordVisitor& visitor, ByteWriter& log) {
  visitor.on_lock = [&log](const RelationLock& lock) {
    entry(log, 'L').put(lock.xid);
    log.put(lock.database);
    log.put(lock.relation);
  };
  visitor.on_file_creation = [&log](const FileCreation& creation) {
    entry(log, 'F').put(creation.start);
    log.put(creation.xid);
    put(log, creation.file);
    log.put(static_cast<std::uint8_t>(creation.fork));
  };
  visitor.on_file_truncation = [&log](const FileTruncation& truncation) {
    put(entry(log, 'X'), truncation.file);
    log.put(truncation.block);
    put(log, truncation.of_main_fork);
    put(log, truncation.of_visibility_map);
    put(log, truncation.of_free_space_map);
  };
  visitor.on_relation_name = [&log](const RelationName& name) { put(entry(log, 'N'), name); };
}

}  // namespace

void log_record(const RecordView& record, ByteWriter& log) {
  log.put(record.length());
  log.put(record.xid());
  log.put(record.previous());
  log.put(record.info());
  log.put(record.manager());
  for (const BlockReference& block : record.blocks()) {
    put(log, block.file);
    log.put(static_cast<std::uint8_t>(block.fork));
    log.put(block.id);
    log.put(block.block);
    put(log, block.has_image);
    if (block.has_image) {
      put(log, block.image_is_compressed);
      log.put(block.hole_offset);
    }
    log.put(crc32c(block.image));
    log.put(crc32c(block.data));
  }
  log.put(crc32c(record.main_data()));
}

RecordVisitor EventLog::visitor() {
  RecordVisitor visitor;
  set_callbacks_of_the_index(visitor, events);
  set_callbacks_of_relations(visitor, events);
  visitor.on_transaction_end = [this](const TransactionEnd& transaction) {
    put(entry(events, 'C'), transaction);
    transaction_starts.push_back(transaction.start);
  };
  visitor.on_record = [this](const RecordView& record, Lsn start, Lsn end) {
    records.put(start);
    records.put(end);
    log_record(record, records);
    record_starts.push_back(start);
  };
  return visitor;
}

}  // namespace pitr::fuzzing
