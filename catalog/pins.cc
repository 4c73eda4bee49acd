#include "catalog/pins.h"

namespace pitr {

namespace {

constexpr std::string_view kWithWal = ".all";
constexpr std::string_view kWithoutWal = ".none";

std::string name_of(const std::string& backup, bool with_wal) {
  return backup + std::string(with_wal ? kWithWal : kWithoutWal);
}

}  // namespace

std::vector<BackupPin> read_pins(Storage& storage, const ClusterKey& cluster) {
  std::vector<BackupPin> pins;
  storage.list(pin_folder(cluster), "", [&](const std::string& key) {
    const std::string_view name = last_part(key);
    const std::size_t dot = name.rfind('.');
    // Of a word that this version does not know the safe side.
    const bool with_wal = dot == std::string_view::npos || name.substr(dot) != kWithoutWal;
    pins.push_back({.backup = std::string(name.substr(0, dot)), .with_wal = with_wal});
    return true;
  });
  return pins;
}

void place_pin(Storage& storage, const ClusterRecord& cluster, const BackupPin& pin) {
  const FileIdentity identity{.kind = FileKind::kPin,
                              .name = name_of(pin.backup, pin.with_wal),
                              .cluster_name = cluster.key.name,
                              .cluster = cluster.identity,
                              .created_at = now()};
  const std::string key = pin_key(cluster.key, identity.name);
  if (!store_text(storage, key, identity, "")) storage.make_durable(key);
  storage.remove(pin_key(cluster.key, name_of(pin.backup, !pin.with_wal)));
}

bool remove_pins(Storage& storage, const ClusterKey& cluster, const std::string& backup) {
  const bool with = storage.remove(pin_key(cluster, name_of(backup, true)));
  const bool without = storage.remove(pin_key(cluster, name_of(backup, false)));
  return with || without;
}

}  // namespace pitr
