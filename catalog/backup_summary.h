// What a question about a moment needs to know of a base backup: a section of its own in the
// trailer of the backup's manifest, so that listing backups reads trailers, not manifests.
// Encoding: "Backup summary" in basebackup/BASE_BACKUP.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

constexpr std::uint32_t kBackupSummarySection = 8;  // of the archived file that is the manifest

struct BackupTablespace {
  std::uint32_t oid = 0;
  std::string path;  // where it was on the origin

  bool operator==(const BackupTablespace&) const = default;
};

// A file that is stored besides the data directory's own.
struct BackupSideFile {
  std::string purpose;  // backup_label, tablespace_map, backup_manifest, config_file, hba_file, …
  std::string path;     // on the origin; empty for what the server only returned
  std::string object;

  bool operator==(const BackupSideFile&) const = default;
};

struct PageError {
  std::string path;
  std::uint32_t block = 0;

  bool operator==(const PageError&) const = default;
};

// Settings that a hot standby must not set lower than the primary did.
struct StandbySettings {
  std::int32_t max_connections = 0;
  std::int32_t max_worker_processes = 0;
  std::int32_t max_wal_senders = 0;
  std::int32_t max_prepared_transactions = 0;
  std::int32_t max_locks_per_transaction = 0;

  bool operator==(const StandbySettings&) const = default;
};

struct BackupSummary {
  std::string id;
  std::string label;
  std::string method;  // files | stream
  TimelineId timeline = 0;
  Lsn start_lsn = 0;  // redo of the backup's checkpoint: recovery begins here
  Lsn stop_lsn = 0;   // the backup is consistent from here on
  Instant started_at;
  Instant finished_at;
  // Greatest commit time at or before the stop LSN, as far as the backup's own segments tell.
  std::optional<Instant> last_commit_at;
  std::uint64_t size_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t file_count = 0;
  std::uint32_t postgres_version = 0;
  std::uint32_t block_size = 0;
  bool data_checksums = false;
  std::string host;
  std::string data_directory;
  StandbySettings settings;
  std::vector<BackupTablespace> tablespaces;
  std::vector<BackupSideFile> side_files;
  std::vector<PageError> page_errors;

  bool operator==(const BackupSummary&) const = default;
};

std::vector<std::byte> encode_summary(const BackupSummary& summary);
// Throws kCorrupt.
BackupSummary decode_summary(ByteSpan bytes);

}  // namespace pitr
