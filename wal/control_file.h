// global/pg_control: who a database cluster is and what its last checkpoint was.
// Layout: ControlFileData in PostgreSQL's pg_control.h, versions 13 to 18.
#pragma once

#include <cstdint>

#include "common/bytes.h"
#include "wal/page_header.h"

namespace pitr {

// PostgreSQL writes the file in one piece of this size (PG_CONTROL_FILE_SIZE).
constexpr std::size_t kControlFileSize = 8192;

struct ControlFile {
  ClusterIdentity cluster;
  std::uint32_t catalog_version = 0;  // names the folder of a tablespace: PG_<major>_<this>
  std::uint32_t state = 0;            // DBState
  Lsn checkpoint = 0;
  Lsn redo = 0;
  TimelineId timeline = 0;
  std::uint64_t next_xid = 0;  // 64 bits: epoch and transaction id
  std::uint32_t block_size = 0;
  std::uint32_t blocks_per_file = 0;  // RELSEG_SIZE
  bool data_checksums = false;
  // Settings that a hot standby must not set lower than the primary did.
  int max_connections = 0;
  int max_worker_processes = 0;
  int max_wal_senders = 0;
  int max_prepared_transactions = 0;
  int max_locks_per_transaction = 0;

  // Throws kCorrupt for a file that is damaged, or torn by a write at the same moment: read it
  // again then. Throws kMismatch for a version that we do not know.
  static ControlFile parse(ByteSpan contents);
};

}  // namespace pitr
