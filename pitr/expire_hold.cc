#include "pitr/expire_hold.h"

#include <chrono>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "basebackup/backup_objects.h"
#include "common/error.h"
#include "common/log.h"
#include "storage/hold.h"

namespace pitr {

ExpireHold::ExpireHold(const Session& session, Storage& storage, const ClusterRecord& cluster)
    : storage_(storage), cluster_(cluster) {
  const auto deadline = std::chrono::steady_clock::now() + session.lock_timeout;
  std::random_device random;
  bool said = false;
  while (true) {
    std::string other = who_is_in_the_way();
    if (other.empty()) {
      name_ = place_hold(storage, cluster,
                         {.command = "expire", .process = ProcessIdentity::self(), .since = now()});
      other = who_is_in_the_way();
      if (other.empty()) return;
      // Two that began at the same moment: both step back, for different times.
      remove_hold(storage, cluster.key, name_);
      name_.clear();
    }
    if (!said) log_info(fmt::format("waiting for {}", other));
    said = true;
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error({.kind = ErrorKind::kSystem,
                   .message = "nothing can be removed now",
                   .detail = fmt::format("In the way is {}.", other),
                   .hint = "Wait for it, or give more time with --lock-timeout.",
                   .code = "lock_timeout"});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 200));
  }
}

ExpireHold::~ExpireHold() {
  if (name_.empty()) return;
  try {
    remove_hold(storage_, cluster_.key, name_);
  } catch (const Error& error) {
    log_debug(error.what());  // our process will be gone, and the hold with it
  }
}

std::string ExpireHold::who_is_in_the_way() const {
  for (const Hold& hold : read_holds(storage_, cluster_.key)) {
    if (hold.command != "expire" || hold.name == name_ || is_over(hold, now())) continue;
    return fmt::format("{} (\"{}\")", describe(hold), hold_key(cluster_.key, hold.name));
  }
  return find_running_backup(storage_, cluster_.key, now()).value_or("");
}

}  // namespace pitr
