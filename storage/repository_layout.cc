#include "storage/repository_layout.h"

#include <fmt/format.h>

namespace pitr {

std::string ClusterKey::to_string() const { return fmt::format("{}-{}", name, system_identifier); }

std::optional<ClusterKey> ClusterKey::parse(std::string_view text) {
  const std::size_t dash = text.rfind('-');
  if (dash == std::string_view::npos || dash == 0) return std::nullopt;
  const auto identifier = parse_number(text.substr(dash + 1), 10);
  if (!identifier) return std::nullopt;
  return ClusterKey{.name = std::string(text.substr(0, dash)), .system_identifier = *identifier};
}

std::string cluster_record_key(const ClusterKey& cluster) {
  return fmt::format("{}/{}", kClusterFolder, cluster.to_string());
}

std::string wal_folder(const ClusterKey& cluster) {
  return fmt::format("wal/{}", cluster.to_string());
}

std::string timeline_folder(const ClusterKey& cluster, TimelineId timeline) {
  return fmt::format("{}/{:08X}", wal_folder(cluster), timeline);
}

std::string history_folder(const ClusterKey& cluster) {
  return fmt::format("history/{}", cluster.to_string());
}

std::string wal_key(const ClusterKey& cluster, const WalFileName& name) {
  if (name.kind == WalFileKind::kHistory) {
    return fmt::format("{}/{}", history_folder(cluster), name.text);
  }
  return fmt::format("{}/{:08X}/{}", timeline_folder(cluster, name.segment.timeline),
                     name.segment.log, name.text);
}

std::string partial_key(const ClusterKey& cluster, const WalFileName& name, std::uint64_t hash) {
  return fmt::format("{}-{:016x}", wal_key(cluster, name), hash);
}

std::string tail_key(const ClusterKey& cluster, const SegmentName& segment,
                     std::uint64_t length_bytes, std::uint64_t hash) {
  return fmt::format("{}/{:08X}/{}.tail-{:08X}-{:016x}", timeline_folder(cluster, segment.timeline),
                     segment.log, segment.to_string(), length_bytes, hash);
}

std::optional<StoredWalName> parse_wal_key(std::string_view key) {
  const std::string_view name = last_part(key);
  const std::string_view stem = name.substr(0, name.find('.'));
  const std::string_view suffix = name.substr(stem.size());
  const auto segment = SegmentName::parse(stem);
  if (!segment) return std::nullopt;
  using Kind = StoredWalName::Kind;
  if (suffix.empty()) return StoredWalName{Kind::kSegment, *segment};
  if (suffix.starts_with(".tail-")) return StoredWalName{Kind::kTail, *segment};
  if (suffix.starts_with(".partial")) return StoredWalName{Kind::kPartialSegment, *segment};
  if (suffix.ends_with(".backup")) return StoredWalName{Kind::kBackupHistory, *segment};
  return std::nullopt;
}

std::string backup_folder(const ClusterKey& cluster) {
  return fmt::format("backup/{}", cluster.to_string());
}

std::string backup_manifest_key(const ClusterKey& cluster, std::string_view backup_id) {
  return fmt::format("{}/{}", backup_folder(cluster), backup_id);
}

std::string backup_data_folder(const ClusterKey& cluster, std::string_view backup_id) {
  return fmt::format("data/{}/{}", cluster.to_string(), backup_id);
}

std::string backup_object_key(const ClusterKey& cluster, std::string_view backup_id,
                              std::string_view object) {
  return fmt::format("{}/{}", backup_data_folder(cluster, backup_id), object);
}

std::string map_folder(const ClusterKey& cluster) { return "map/" + cluster.to_string(); }

std::string map_key(const ClusterKey& cluster, std::string_view name) {
  return fmt::format("{}/{}", map_folder(cluster), name);
}

std::string pin_folder(const ClusterKey& cluster) { return "pin/" + cluster.to_string(); }

std::string pin_key(const ClusterKey& cluster, std::string_view name) {
  return fmt::format("{}/{}", pin_folder(cluster), name);
}

std::string hold_folder(const ClusterKey& cluster) { return "hold/" + cluster.to_string(); }

std::string hold_key(const ClusterKey& cluster, std::string_view name) {
  return fmt::format("{}/{}", hold_folder(cluster), name);
}

std::string expiry_folder(const ClusterKey& cluster) { return "expired/" + cluster.to_string(); }

std::string expiry_key(const ClusterKey& cluster, std::string_view name) {
  return fmt::format("{}/{}", expiry_folder(cluster), name);
}

std::string_view last_part(std::string_view key) {
  const std::size_t slash = key.rfind('/');
  return slash == std::string_view::npos ? key : key.substr(slash + 1);
}

}  // namespace pitr
