// Takes a base backup of a running server: by reading its data directory, or as the server's own
// stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "basebackup/server.h"
#include "catalog/backup_summary.h"
#include "common/config.h"
#include "io/codec.h"
#include "storage/repository.h"

namespace pitr {

enum class BackupMethod { kFiles, kStream };

struct BackupRequest {
  BackupMethod method = BackupMethod::kFiles;
  std::string connection;  // libpq string; of the stream
  std::string data_directory;
  ClusterRecord cluster;
  std::string label;
  unsigned jobs = 1;  // files read at once
  Compression compression;
  std::uint64_t rate_limit_bytes_per_second = 0;
  std::chrono::milliseconds wal_timeout{0};
  RingMode ring = RingMode::kAuto;
  bool fast_checkpoint = true;
  std::function<void(std::uint64_t bytes_done)> on_progress;  // from the caller's thread
};

// start -> copy -> stop -> wait for the WAL -> publish. The backup exists from the moment when its
// manifest does; until then, and after every failure, nobody sees it and the server is out of
// backup mode. Pages that fail their checksum do not stop it: the summary lists them.
BackupSummary take_base_backup(const BackupRequest& request, Server& server, Storage& storage);

// kStream where the data directory cannot be read.
BackupMethod choose_backup_method(const std::string& data_directory);

// Refuses, in words, a server that cannot be backed up or is not that of the data directory.
void check_server_for_backup(const BackupRequest& request, const ServerFacts& facts,
                             const ArchiverState& archiver);

}  // namespace pitr
