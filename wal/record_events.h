// What a WAL record says about a moment: transactions that end, restore points, checkpoints, files
// that come and go. Everything that a recovery can stop at, stumble over or be asked about.
//
// Formats: xact.h, xlog_internal.h, pg_control.h, standbydefs.h, storage_xlog.h,
// dbcommands_xlog.h, tablespace.h, heapam_xlog.h; versions 13 to 18.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "wal/record.h"

namespace pitr {

// A commit or an abort, plain or of a prepared transaction: the only records that a target time or
// transaction stops at.
struct TransactionEnd {
  Lsn start = 0;          // of the record
  Lsn end = 0;            // of the record; 0 while it is not known
  std::int64_t time = 0;  // TimestampTz
  std::uint32_t xid = 0;  // of a prepared one its own, not that of the session that ended it
  bool is_commit = false;
  bool was_prepared = false;
  std::vector<std::uint32_t> subtransactions = {};
  std::vector<RelationFile> dropped_files = {};

  bool operator==(const TransactionEnd&) const = default;
};

struct RestorePoint {
  Lsn start = 0;
  Lsn end = 0;
  std::int64_t time = 0;  // TimestampTz
  std::string name;

  bool operator==(const RestorePoint&) const = default;
};

// CREATE TABLESPACE: replay makes links to this absolute path, whatever was mapped.
// DROP TABLESPACE has no path.
struct TablespaceChange {
  Lsn start = 0;
  std::uint32_t xid = 0;
  std::uint32_t oid = 0;
  bool is_drop = false;
  std::string path = {};

  bool operator==(const TablespaceChange&) const = default;
};

// CREATE and DROP DATABASE. Files are removed at the record, before the commit.
struct DatabaseChange {
  Lsn start = 0;
  std::uint32_t xid = 0;
  std::uint32_t oid = 0;
  bool is_drop = false;

  bool operator==(const DatabaseChange&) const = default;
};

struct Checkpoint {
  Lsn start = 0;
  Lsn redo = 0;
  std::uint64_t next_xid = 0;  // 64 bits
  bool is_shutdown = false;

  bool operator==(const Checkpoint&) const = default;
};

struct EndOfRecovery {
  Lsn start = 0;
  std::int64_t time = 0;  // TimestampTz
  std::uint32_t timeline = 0;
  std::uint32_t previous_timeline = 0;

  bool operator==(const EndOfRecovery&) const = default;
};

// XLOG_PARAMETER_CHANGE: settings that a server in recovery must not set lower.
struct ParameterChange {
  Lsn start = 0;
  std::int32_t max_connections = 0;
  std::int32_t max_worker_processes = 0;
  std::int32_t max_wal_senders = 0;
  std::int32_t max_prepared_transactions = 0;
  std::int32_t max_locks_per_transaction = 0;
  std::int32_t wal_level = 0;  // 0: minimal, which no recovery crosses

  bool operator==(const ParameterChange&) const = default;
};

// XLOG_RUNNING_XACTS: hot standby, and with it a pause, begins at one that did not overflow.
struct RunningTransactions {
  Lsn start = 0;
  std::uint32_t count = 0;
  bool overflowed = false;
  std::uint32_t next_xid = 0;
  std::uint32_t oldest_running = 0;

  bool operator==(const RunningTransactions&) const = default;
};

// An AccessExclusiveLock on a relation, by its OID and under the id of the (sub)transaction.
struct RelationLock {
  std::uint32_t xid = 0;
  std::uint32_t database = 0;
  std::uint32_t relation = 0;

  auto operator<=>(const RelationLock&) const = default;
};

// XLOG_SMGR_CREATE
struct FileCreation {
  Lsn start = 0;
  std::uint32_t xid = 0;
  RelationFile file;
  Fork fork = Fork::kMain;

  bool operator==(const FileCreation&) const = default;
};

// XLOG_SMGR_TRUNCATE: everything from `block` on, and what stands for it in the other forks.
struct FileTruncation {
  RelationFile file;
  std::uint32_t block = 0;
  bool of_main_fork = true;
  bool of_visibility_map = false;
  bool of_free_space_map = false;
};

// A row that was put into pg_class: a relation's name. The row of a temporary relation is none.
struct RelationName {
  Lsn start = 0;
  std::uint32_t xid = 0;
  std::uint32_t database = 0;
  std::uint32_t oid = 0;
  std::uint32_t schema_oid = 0;
  std::uint32_t file_number = 0;  // 0: a relation without a file
  char kind = 0;                  // pg_class.relkind
  std::string name;

  bool operator==(const RelationName&) const = default;
};

// Called in LSN order; an empty function is not called.
struct RecordVisitor {
  std::function<void(const TransactionEnd&)> on_transaction_end = {};
  std::function<void(const RestorePoint&)> on_restore_point = {};
  std::function<void(const TablespaceChange&)> on_tablespace = {};
  std::function<void(const DatabaseChange&)> on_database = {};
  std::function<void(const Checkpoint&)> on_checkpoint = {};
  std::function<void(const EndOfRecovery&)> on_end_of_recovery = {};
  std::function<void(const ParameterChange&)> on_parameters = {};
  std::function<void(const RunningTransactions&)> on_running_transactions = {};
  std::function<void(const RelationLock&)> on_lock = {};
  std::function<void(const FileCreation&)> on_file_creation = {};
  std::function<void(const FileTruncation&)> on_file_truncation = {};
  std::function<void(const RelationName&)> on_relation_name = {};
  std::function<void(std::uint8_t manager)> on_custom_manager = {};
  // Every whole record, before what it says.
  std::function<void(const RecordView& record, Lsn start, Lsn end)> on_record = {};
};

// Visits what a record says, as far as the bytes at hand hold it. `version` is PostgreSQL's major
// one; `end` may be 0 where it is not known.
void visit_record(const RecordView& record, Lsn start, Lsn end, unsigned version,
                  const RecordVisitor& visitor);

// Whether visit_record() needs the whole body of a record that begins like this, and not only its
// first bytes. `head` holds at least 24 bytes.
bool is_telling(ByteSpan head);

}  // namespace pitr
