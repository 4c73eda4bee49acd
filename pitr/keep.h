// pitr keep: pins a base backup, so that retention leaves it alone, or unpins it.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

struct KeepOptions {
  std::string backup;
  std::string wal = "all";  // all | none
  bool remove = false;
};

int run_keep(Session& session, const KeepOptions& options);

// The cluster of the configured name that has the backup, of several system identifiers the
// current one first. Throws kUsage where none has it.
ClusterRecord cluster_with_backup(const Session& session, Storage& storage, const std::string& id);

}  // namespace pitr
