#include "pitr/cluster_choice.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/log.h"

namespace pitr {

namespace {

// Those of the same name with other system identifiers, from before pg_upgrade; newest first.
std::vector<ClusterRecord> earlier_clusters(Storage& storage, const ClusterRecord& current) {
  std::vector<ClusterRecord> earlier = list_clusters(storage);
  std::erase_if(earlier, [&](const ClusterRecord& record) {
    return record.key.name != current.key.name || record.key == current.key;
  });
  std::sort(earlier.begin(), earlier.end(), [](const ClusterRecord& a, const ClusterRecord& b) {
    return a.created_at > b.created_at;
  });
  return earlier;
}

// Whether an earlier cluster holds what was asked for. Where its WAL just ends, nobody knows what
// the current one committed before its first backup.
bool serves(const Session& session, Storage& storage, const ClusterRecord& cluster,
            const PlanRequest& request) {
  const ClusterRows rows = session_rows(session, storage, cluster);
  if (!request.backup_id.empty()) {
    return std::any_of(rows.backups.begin(), rows.backups.end(),
                       [&](const BackupSummary& backup) { return backup.id == request.backup_id; });
  }
  const RecoveryPlan plan = plan_recovery(rows, request, make_wal_reader(storage, cluster));
  return plan.reachable() && plan.stop.kind != PlannedStop::Kind::kEndOfWal;
}

}  // namespace

ClusterRecord choose_cluster(const Session& session, Storage& storage, const PlanRequest& request) {
  using Kind = RecoveryTarget::Kind;
  ClusterRecord current = session_cluster(session, storage);
  const std::vector<ClusterRecord> earlier = earlier_clusters(storage, current);
  // A configuration may still name the data directory from before.
  const ClusterRecord newest = find_cluster(storage, current.key.name, std::nullopt);
  if (!(newest.key == current.key)) {
    log_warning(fmt::format(
        "the configured data directory is that of the cluster before pg_upgrade, with system "
        "identifier {}; the current one has {}",
        current.key.system_identifier, newest.key.system_identifier));
  }
  const Kind kind = request.target.kind;
  const bool is_newest = kind == Kind::kEnd || kind == Kind::kImmediate;
  if (earlier.empty() || (is_newest && request.backup_id.empty())) return current;
  const ClusterRows rows = session_rows(session, storage, current);
  const RecoveryPlan plan = plan_recovery(rows, request, make_wal_reader(storage, current));
  const std::string code = plan.reason ? plan.reason->code : "";
  if (code != "before_backup" && code != "no_backup" && !code.ends_with("_not_found")) {
    return current;
  }
  for (const ClusterRecord& cluster : earlier) {
    if (!serves(session, storage, cluster, request)) continue;
    log_warning(
        fmt::format("this is the cluster before pg_upgrade, with system identifier {}: it needs "
                    "the programs of PostgreSQL {}",
                    cluster.key.system_identifier, cluster.identity.postgres_version));
    return cluster;
  }
  return current;
}

}  // namespace pitr
