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

RestoreHold::RestoreHold(const Session& session, Storage& storage, const ClusterRows& rows,
                         const BackupSummary& backup, const std::string& command)
    : session_(session), storage_(storage), cluster_(rows.cluster), backup_(backup) {
  try {
    name_ = place(command, std::nullopt);
  } catch (const Error& error) {
    log_warning(fmt::format("pitr expire is not kept from removing what this restore reads: {}",
                            error.what()));
    return;
  }
  try {
    wait_for_expire(session, storage, cluster_.key);
  } catch (const Error& error) {
    // A damaged hold keeps pitr expire from removing anything: no reason not to restore.
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    log_warning(error.what());
  }
  require_nothing_removed(rows.expiry);
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

// Between the plan and the hold. It may have been nothing that the plan needs: it is made anew
// then.
void RestoreHold::require_nothing_removed(const Expiry& planned_after) const {
  Expiry now_recorded = planned_after;
  try {
    now_recorded = read_expiry(storage_, cluster_.key);
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    log_warning(error.what());
  }
  if (now_recorded == planned_after &&
      storage_.open(backup_manifest_key(cluster_.key, backup_.id))) {
    return;
  }
  throw Error({.kind = ErrorKind::kSystem,
               .message = "pitr expire has removed something since this restore was planned",
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
