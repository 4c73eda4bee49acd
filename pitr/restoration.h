// A planned recovery becomes a data directory: destination, files, settings.
#pragma once

#include <string>

#include "basebackup/restore_backup.h"
#include "catalog/recovery_plan.h"
#include "pitr/restore.h"

namespace pitr {

// What PostgreSQL is told to do at the target. Throws kUsage for an action that is not possible: a
// standby goes on without an end, so nothing is asked of it; otherwise PostgreSQL ignores an action
// where it has no target.
std::string choose_action(const RestoreOptions& options, const RecoveryTarget& written);

// The folder behind --wal-from. An interrupted restore may have moved the directory's own pg_wal.
std::string rescued_folder(const RestoreOptions& options);

// Throws kUsage for a --recovery-option that is none, or that the plan decides.
void check_recovery_options(const RestoreOptions& options);

// Throws kUsage, and touches nothing, where restore_planned() would refuse options.to or what is to
// go beside it.
void check_restoration(const Session& session, const RestoreOptions& options, Storage& storage,
                       const ClusterRows& rows, const RecoveryPlan& plan);

struct RestoredDirectory {
  std::string directory;
  RestoreCounts counts;
  std::string wal_aside;  // where the WAL that lay there was moved; empty: nowhere
  std::string start_command;
  std::string report;  // for people
};

// Refuses with kUsage, before anything is touched, what options.to cannot be; then restores into
// it. The plan is reachable.
RestoredDirectory restore_planned(const Session& session, const RestoreOptions& options,
                                  Storage& storage, const ClusterRows& rows,
                                  const RecoveryPlan& plan);

}  // namespace pitr
