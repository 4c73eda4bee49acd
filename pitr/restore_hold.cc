#include "pitr/restore_hold.h"

#include <chrono>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "storage/hold.h"

namespace pitr {

namespace {

// Root restores as root, but what it stores must be readable to the user that runs pitr expire.
class AsOwnerOf {
 public:
  explicit AsOwnerOf(const std::string& path) {
    struct stat status {};
    if (geteuid() != 0 || stat(path.c_str(), &status) != 0 || status.st_uid == 0) return;
    became_ = setegid(status.st_gid) == 0 && seteuid(status.st_uid) == 0;
  }
  AsOwnerOf(const AsOwnerOf&) = delete;
  AsOwnerOf& operator=(const AsOwnerOf&) = delete;
  AsOwnerOf(AsOwnerOf&&) = delete;
  AsOwnerOf& operator=(AsOwnerOf&&) = delete;
  ~AsOwnerOf() {
    if (became_ && (seteuid(0) != 0 || setegid(0) != 0)) std::terminate();
  }

 private:
  bool became_ = false;
};

}  // namespace

RestoreHold::RestoreHold(const Session& session, Storage& storage, const ClusterRecord& cluster,
                         const BackupSummary& backup, const std::string& command)
    : session_(session), storage_(storage), cluster_(cluster), backup_(backup) {
  try {
    name_ = place(command, std::nullopt);
  } catch (const Error& error) {
    log_warning(fmt::format("pitr expire is not kept from removing what this restore reads: {}",
                            error.what()));
    return;
  }
  try {
    wait_for_expire(session, storage, cluster.key);
  } catch (const Error& error) {
    // A damaged hold keeps pitr expire from removing anything: no reason not to restore.
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    log_warning(error.what());
  }
  require_backup();
}

RestoreHold::~RestoreHold() {
  if (name_.empty()) return;
  try {
    const AsOwnerOf owner(repository_path(session_.config));
    remove_hold(storage_, cluster_.key, name_);
  } catch (const Error& error) {
    log_debug(error.what());  // our process will be gone, and the hold with it
  }
}

std::string RestoreHold::place(const std::string& command, std::optional<Instant> until) const {
  const AsOwnerOf owner(repository_path(session_.config));
  Hold hold{.command = command, .process = ProcessIdentity::self(), .since = now()};
  hold.backup = backup_.id;
  hold.until = until;
  return place_hold(storage_, cluster_, std::move(hold));
}

// Removed between the plan and the hold?
void RestoreHold::require_backup() const {
  const SegmentName first =
      SegmentName::containing(backup_.timeline, backup_.start_lsn, cluster_.identity.segment_size);
  const std::string segment = wal_key(cluster_.key, *WalFileName::parse(first.to_string()));
  const bool is_gone = !storage_.open(backup_manifest_key(cluster_.key, backup_.id));
  const bool is_expired = !storage_.open(segment) &&
                          read_expiry(storage_, cluster_.key)
                              .covers(first.timeline, first.number(cluster_.identity.segment_size),
                                      first.number(cluster_.identity.segment_size));
  if (!is_gone && !is_expired) return;
  throw Error(
      {.kind = ErrorKind::kSystem,
       .message = fmt::format("backup \"{}\" was removed by pitr expire just now", backup_.id),
       .hint = "Run the same command again: it plans with what is left."});
}

void RestoreHold::leave_to_recovery() {
  if (name_.empty()) return;
  try {
    place("recovery", now() + session_.config.retention_after_restore);
  } catch (const Error& error) {
    log_warning(fmt::format("pitr expire is not kept from removing what the recovery reads: {}",
                            error.what()));
  }
}

}  // namespace pitr
