// Keeps retention off what a restore reads, and off what the recovery after it will ask for.
#pragma once

#include <string>

#include "catalog/cluster_rows.h"
#include "pitr/session.h"

namespace pitr {

class RestoreHold {
 public:
  // Places the hold, waits until nobody removes anything, and makes sure that nothing was removed
  // since the rows were read, of which `backup` was planned; throws kSystem where something was. A
  // repository that cannot be written is a warning. `command` is how others will name this one.
  RestoreHold(const Session& session, Storage& storage, const ClusterRows& rows,
              const BackupSummary& backup, const std::string& command = "restore");
  RestoreHold(const RestoreHold&) = delete;
  RestoreHold& operator=(const RestoreHold&) = delete;
  RestoreHold(RestoreHold&&) = delete;
  RestoreHold& operator=(RestoreHold&&) = delete;
  ~RestoreHold();

  // The restore is done: backup and WAL stay for retention.after_restore.
  void leave_to_recovery();

 private:
  std::string place(const std::string& command, std::optional<Instant> until) const;
  void require_nothing_removed(const Expiry& planned_after) const;

  const Session& session_;
  Storage& storage_;
  const ClusterRecord& cluster_;
  const BackupSummary& backup_;
  std::string name_;  // empty: none could be placed
};

}  // namespace pitr
