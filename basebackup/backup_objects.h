// What a base backup writes into the repository while it runs: data objects, side files and the two
// manifests. Nothing of it counts before publish().
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "basebackup/backup_manifest.h"
#include "catalog/backup_summary.h"
#include "io/archive_writer.h"
#include "storage/repository.h"

namespace pitr {

// A data object that is being written.
class BackupObject {
 public:
  BackupObject(Storage& storage, const FileIdentity& identity, const std::string& key,
               EncodeBuffers& buffers);

  ArchiveWriter& writer() { return writer_; }
  const std::string& name() const { return name_; }

  // Durable on return; gives its stored size. An object that is not committed leaves nothing.
  std::uint64_t commit();

 private:
  FileIdentity identity_;
  std::string name_;
  Storage& storage_;
  std::string key_;
  std::unique_ptr<Destination> destination_;
  ArchiveWriter writer_;
};

// Thread-safe where it says so. Destroyed before publish(), it removes what it stored.
class BackupObjects {
 public:
  BackupObjects(Storage& storage, const ClusterRecord& cluster, std::string backup_id,
                Compression compression);
  BackupObjects(const BackupObjects&) = delete;
  BackupObjects& operator=(const BackupObjects&) = delete;
  BackupObjects(BackupObjects&&) = delete;
  BackupObjects& operator=(BackupObjects&&) = delete;
  ~BackupObjects();

  const std::string& id() const { return id_; }

  // `purpose` is "bundle" or "chunk". Thread-safe.
  std::unique_ptr<BackupObject> create_object(std::string_view purpose, EncodeBuffers& buffers);

  // Adds a line to both manifests (directories and tablespaces to ours only).
  void add_entry(const ManifestEntry& entry);
  void add_stored_bytes(std::uint64_t bytes) { stored_bytes_ += bytes; }  // thread-safe

  // Stores a file beside the data directory's own. `path` is its origin, for people.
  BackupSideFile store_side_file(const std::string& purpose, const std::string& path,
                                 std::string_view contents);

  // Finishes PostgreSQL's manifest, then ours: beyond its return the backup exists.
  void publish(BackupSummary& summary);

 private:
  FileIdentity identity(FileKind kind, const std::string& name) const;

  Storage& storage_;
  const ClusterRecord& cluster_;
  std::string id_;
  EncodeBuffers manifest_buffers_;
  EncodeBuffers postgres_buffers_;
  PostgresManifest postgres_manifest_;
  std::unique_ptr<Destination> manifest_destination_;
  std::unique_ptr<ArchiveWriter> manifest_;
  std::unique_ptr<BackupObject> postgres_object_;
  std::atomic<unsigned> count_{0};
  std::atomic<std::uint64_t> stored_bytes_{0};
  std::uint64_t size_bytes_ = 0;
  std::uint64_t file_count_ = 0;
  bool publishing_ = false;
};

// Whether the data of a backup are there that was published, by its owner that is gone, although
// its manifest is not.
bool has_lost_its_manifest(Storage& storage, const ClusterKey& cluster, const std::string& id);

// A backup that was begun and not published, of a process that may live: who takes it.
std::optional<std::string> find_running_backup(Storage& storage, const ClusterKey& cluster,
                                               Instant now);

// Removes what backups of this host left unfinished whose process is dead; with `now` also those
// of another host that stored nothing for longer than kForeignProcessGone. Returns the ids. What
// may not be removed is warned about.
std::vector<std::string> remove_unfinished_backups(Storage& storage, const ClusterKey& cluster,
                                                   std::optional<Instant> now = std::nullopt);

// Removes a published backup, so that it is seen whole or not at all: it first gets an owner, this
// process, then loses its manifest, then its objects. Killed on the way, it is an unfinished backup
// to be removed by the next one.
void remove_backup(Storage& storage, const ClusterRecord& cluster, const std::string& id);

// What a published backup's files lie in.
struct BackupHoldings {
  std::set<std::string> backups;  // others, whose objects hold contents of its files
  std::string problem;            // an object that is missing, damaged or too short; empty: none
};

// Reads the manifest and the trailer of each object, not the contents. Throws kCorrupt where the
// manifest is damaged.
BackupHoldings holdings_of(Storage& storage, const ClusterKey& cluster,
                           const BackupSummary& backup);

}  // namespace pitr
