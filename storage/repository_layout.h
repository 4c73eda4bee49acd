// The key of every kind of stored file. The layout is described in storage/LAYOUT.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wal/file_name.h"

namespace pitr {

// A cluster in the repository: its name and its system identifier, because WAL names repeat after
// pg_upgrade, which keeps the name and changes the identifier.
struct ClusterKey {
  std::string name;
  std::uint64_t system_identifier = 0;

  std::string to_string() const;  // "main-7301122034409873321"
  static std::optional<ClusterKey> parse(std::string_view text);

  bool operator==(const ClusterKey&) const = default;
};

constexpr const char* kClusterFolder = "cluster";
std::string cluster_record_key(const ClusterKey& cluster);

// Where a WAL file lies. History files are apart, since they are never removed.
std::string wal_key(const ClusterKey& cluster, const WalFileName& name);
std::string wal_folder(const ClusterKey& cluster);
std::string timeline_folder(const ClusterKey& cluster, TimelineId timeline);
std::string history_folder(const ClusterKey& cluster);

// Another .partial of the same segment with other contents.
std::string partial_key(const ClusterKey& cluster, const WalFileName& name, std::uint64_t hash);

// The first `length_bytes` bytes of a segment that was not written to its end. Among the tails of a
// segment the longest has the greatest key.
std::string tail_key(const ClusterKey& cluster, const SegmentName& segment,
                     std::uint64_t length_bytes, std::uint64_t hash);

// What the last part of a WAL key is.
struct StoredWalName {
  enum class Kind { kSegment, kPartialSegment, kTail, kBackupHistory };
  Kind kind = Kind::kSegment;
  SegmentName segment;
};
std::optional<StoredWalName> parse_wal_key(std::string_view key);

std::string backup_folder(const ClusterKey& cluster);
std::string backup_manifest_key(const ClusterKey& cluster, std::string_view backup_id);
std::string backup_data_folder(const ClusterKey& cluster, std::string_view backup_id);
std::string backup_object_key(const ClusterKey& cluster, std::string_view backup_id,
                              std::string_view object);

// Names of relations: a file for each time they were taken, named by it.
std::string map_folder(const ClusterKey& cluster);
std::string map_key(const ClusterKey& cluster, std::string_view name);

// Backups that retention leaves alone, the processes that need what is stored or remove from it,
// and what was removed.
std::string pin_folder(const ClusterKey& cluster);
std::string pin_key(const ClusterKey& cluster, std::string_view name);
std::string hold_folder(const ClusterKey& cluster);
std::string hold_key(const ClusterKey& cluster, std::string_view name);
std::string expiry_folder(const ClusterKey& cluster);
std::string expiry_key(const ClusterKey& cluster, std::string_view name);

// The last part of a key.
std::string_view last_part(std::string_view key);

}  // namespace pitr
