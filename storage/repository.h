// The repository of one configuration: which clusters it keeps, and archived files with their
// identity.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "io/archive_reader.h"
#include "io/archive_writer.h"
#include "storage/file_identity.h"
#include "storage/repository_layout.h"
#include "storage/storage.h"

namespace pitr {

// What `pitr init` records.
struct ClusterRecord {
  ClusterKey key;
  ClusterIdentity identity;
  Instant created_at;
};

// Opens the storage that the configuration names.
std::unique_ptr<Storage> open_storage(const Config& config);

// All clusters, oldest record first: of several with one name the last is the current one.
std::vector<ClusterRecord> list_clusters(Storage& storage);

// The current cluster of a name, or the one with the given system identifier. Throws kMismatch,
// with a hint at `pitr init`, when the repository does not know it.
ClusterRecord find_cluster(Storage& storage, const std::string& name,
                           std::optional<std::uint64_t> system_identifier);

void create_cluster_record(Storage& storage, const ClusterRecord& record);

// 20261122T101500Z-4f2a9c: sorts by time, and no two are the same.
std::string make_unique_name(Instant at);

// The sections that every file of a cluster carries.
std::vector<Section> identity_sections(const FileIdentity& identity);

// An archived file opened for reading, its trailer verified and its identity known.
struct StoredFile {
  std::unique_ptr<ByteSource> source;
  std::unique_ptr<ArchiveReader> reader;
  FileIdentity identity;
};

// Nothing when there is certainly no such file. Throws kCorrupt for a damaged one, and for one
// whose identity is not `name` in this cluster: it was swapped with another.
std::optional<StoredFile> open_stored_file(Storage& storage, const std::string& key,
                                           const ClusterKey& cluster, std::string_view name);

// Small files, whole. store_text() is durable when it returns; false: the key exists already.
[[nodiscard]] bool store_text(Storage& storage, const std::string& key,
                              const FileIdentity& identity, std::string_view contents);
std::optional<std::string> fetch_text(Storage& storage, const std::string& key,
                                      const ClusterKey& cluster, std::string_view name);

}  // namespace pitr
