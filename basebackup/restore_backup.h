// Restores the files of a base backup into a directory.
//
// A half-restored directory can never start: global/pg_control goes first and comes back last,
// after settings and recovery.signal, and everything else is durable by then.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "basebackup/backup_contents.h"
#include "basebackup/destination_tree.h"
#include "catalog/backup_summary.h"
#include "storage/repository.h"

namespace pitr {

// The mark of a restore that was begun and not finished.
constexpr const char* kRestoringMark = "pitr.restoring";

struct RestoreBackupRequest {
  ClusterRecord cluster;
  BackupSummary backup;
  std::string destination;                           // an existing folder, absolute
  std::map<std::uint32_t, std::string> tablespaces;  // where each tablespace of the backup goes
  std::string wal_directory;                         // empty: pg_wal is a folder of the destination
  std::optional<FileOwner> owner;
  unsigned jobs = 1;
  RingMode ring = RingMode::kAuto;
  std::string wal_aside;  // where the WAL that lies in the destination goes; noted in the mark
  bool delta = false;     // keep files that hold what the backup holds
  std::function<void(std::uint64_t bytes_done)> on_progress;  // from the caller's thread
};

struct RestoreCounts {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_written = 0;  // delta: of files that differ only the pages that do
  std::uint64_t files_kept = 0;     // delta: held the backup's contents already
  std::uint64_t files_removed = 0;
};

// Used by one thread, in the order of its functions.
class BackupRestore {
 public:
  BackupRestore(const RestoreBackupRequest& request, Storage& storage);

  // Marks the directory and takes its pg_control away: from here on it cannot start.
  void begin();
  // Writes every file of the backup but pg_control, verifying each block and each file.
  RestoreCounts write_files();
  // Settings and signal files, on top of the backup's own.
  void write_text(const std::string& path, std::string_view contents);
  std::string read_text(const std::string& path);
  // Makes everything durable, puts pg_control back, takes the mark away.
  void finish();

 private:
  class Workers;
  class FoundReader;
  struct FileTask {
    FileGroup files;
    RestoreCounts counts;
  };

  void take_entry(ManifestEntry entry);
  void submit(FileGroup files);
  void accept(const FileTask& task);
  void restore_files(FileTask& task, FoundReader* found);
  void write_contents(const std::vector<const ManifestEntry*>& files, FoundReader* found,
                      RestoreCounts& counts);
  bool holds_already(const ManifestEntry& entry, FoundReader& found);
  void finish_file(const File& file, const ManifestEntry& entry);
  void write_side_files();
  void remove_what_is_not_in_the_backup();

  const RestoreBackupRequest& request_;
  BackupContents contents_;
  DestinationTree tree_;
  std::optional<ManifestEntry> control_entry_;
  std::vector<std::pair<std::string, std::uint32_t>> directory_modes_;
  std::vector<std::uint64_t> known_paths_;  // hashes of every path of the backup, for delta
  FileGrouper grouper_;
  Workers* workers_ = nullptr;
  RestoreCounts counts_;
};

}  // namespace pitr
