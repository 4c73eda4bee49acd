// Reads the files of a stored base backup back: each object once, each block and each file
// verified.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "basebackup/backup_manifest.h"
#include "storage/repository.h"

namespace pitr {

// Files that are read in one go: those of one object, or one large file.
using FileGroup = std::vector<ManifestEntry>;

// Cuts the files of a manifest, in its order, into groups of at most 4096.
class FileGrouper {
 public:
  // The group that is whole because `entry` begins another one; empty where it does not.
  [[nodiscard]] FileGroup add(ManifestEntry entry);
  [[nodiscard]] FileGroup take_last() { return std::exchange(pending_, {}); }

 private:
  FileGroup pending_;
};

// What is read, file by file. Empty functions are not called.
struct FileConsumer {
  std::function<void(const ManifestEntry& file)> on_begin = {};
  std::function<void(ByteSpan bytes, std::uint64_t offset)> on_bytes = {};
  // `intact`: the contents have the manifest's CRC-32C and length.
  std::function<void(const ManifestEntry& file, bool intact)> on_end = {};
};

// Thread-safe. The storage must outlive it.
class BackupContents {
 public:
  BackupContents(Storage& storage, ClusterKey cluster, std::string backup_id);

  const std::string& backup_id() const { return backup_id_; }

  // Every entry of the manifest. Throws kCorrupt where it is damaged, kSystem where it is gone.
  void visit_manifest(const std::function<void(ManifestEntry)>& visit) const;

  // Throws kCorrupt where the object is missing, damaged or another one.
  StoredFile open_object(const std::string& object) const;

  // Of one group. Throws kCorrupt where an object is damaged or too short: the files that
  // on_end() was not called for cannot be read.
  void read_files(const std::vector<const ManifestEntry*>& files,
                  const FileConsumer& consumer) const;

 private:
  void read_bundle(std::vector<const ManifestEntry*> files, const FileConsumer& consumer) const;
  void refuse_overlap(const std::vector<const ManifestEntry*>& files) const;
  void read_large(const ManifestEntry& file, const FileConsumer& consumer) const;

  Storage& storage_;
  ClusterKey cluster_;
  std::string backup_id_;
};

}  // namespace pitr
