#include "pitr/keep.h"

#include <algorithm>

#include <fmt/format.h>

#include "catalog/pins.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "pitr/audit_log.h"

namespace pitr {

ClusterRecord cluster_with_backup(const Session& session, Storage& storage, const std::string& id) {
  std::vector<ClusterRecord> clusters = list_clusters(storage);
  std::reverse(clusters.begin(), clusters.end());
  const bool is_name = id.find('/') == std::string::npos && is_key(id);
  for (const ClusterRecord& cluster : clusters) {
    if (cluster.key.name != session.config.cluster.name || !is_name) continue;
    if (storage.open(backup_manifest_key(cluster.key, id))) return cluster;
  }
  find_cluster(storage, session.config.cluster.name, std::nullopt);  // throws if it is not known
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("there is no backup \"{}\"", id),
               .hint = "pitr info lists the backups."});
}

namespace {

bool wal_after_is_gone(const Session& session, Storage& storage, const ClusterRecord& cluster,
                       const std::string& id) {
  const ClusterRows rows = session_rows(session, storage, cluster);
  const SegmentSize size = cluster.identity.segment_size;
  return std::any_of(rows.backups.begin(), rows.backups.end(), [&](const BackupSummary& backup) {
    const std::uint64_t next = std::max(backup.stop_lsn, Lsn{1}) / size + 1;
    return backup.id == id && rows.expiry.covers(backup.timeline, next, next);
  });
}

int keep(const Session& session, const KeepOptions& options, AuditRecord& record) {
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = cluster_with_backup(session, *storage, options.backup);
  const bool with_wal = options.wal == "all";
  record.cluster = cluster.key;
  record.did = {{"backup", options.backup},
                {"wal", options.remove ? Json(nullptr) : Json(options.wal)}};
  std::string said;
  if (options.remove) {
    const bool was_pinned = remove_pins(*storage, cluster.key, options.backup);
    said = was_pinned ? "is not pinned any more" : "was not pinned";
  } else {
    place_pin(*storage, cluster, {.backup = options.backup, .with_wal = with_wal});
    // An expiry that has begun before it may not have seen the pin.
    wait_for_expire(session, *storage, cluster.key);
    if (!storage->open(backup_manifest_key(cluster.key, options.backup))) {
      remove_pins(*storage, cluster.key, options.backup);
      cluster_with_backup(session, *storage, options.backup);
    }
    said = with_wal ? "is pinned, with all WAL after it"
                    : "is pinned, with the WAL that it needs to be consistent";
    if (with_wal && wal_after_is_gone(session, *storage, cluster, options.backup)) {
      log_warning(
          "WAL after this backup has expired already: moments behind it cannot be reached any "
          "more");
    }
  }
  if (session.json) {
    print_json({{"format", 1},
                {"backup", options.backup},
                {"pinned", !options.remove},
                {"wal", options.remove ? Json(nullptr) : Json(options.wal)}});
  } else {
    print_output(fmt::format("backup {} {}\n", options.backup, said));
  }
  return kSuccess;
}

}  // namespace

int run_keep(Session& session, const KeepOptions& options) {
  session.load();
  session.become_owner_of_data_directory();
  return run_audited(session, "keep",
                     [&](AuditRecord& record) { return keep(session, options, record); });
}

}  // namespace pitr
