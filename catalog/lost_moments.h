// Which moments cannot be reached any more when something stored is damaged or gone: the
// consequence that `pitr verify` names. Pure over the rows.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "catalog/recovery_plan.h"

namespace pitr {

// All that is lost at once: what one loss costs depends on the others.
struct Losses {
  std::set<std::string> wal_keys;  // stored files of WAL that cannot be used
  std::set<std::string> backups;   // by id
};

// Every function returns a sentence without a period: "targets between … and … on timeline 3 cannot
// be reached". Not thread-safe.
class LostMoments {
 public:
  // The rows know what is lost still, but for what is not stored at all. They must outlive it.
  LostMoments(const ClusterRows& rows, const Losses& losses);

  // Without the WAL from `begin` up to, not including, `end` on a timeline.
  std::string without_wal(TimelineId timeline, Lsn begin, Lsn end) const;
  // Without one base backup.
  std::string without_backup(const std::string& id) const;
  // Without a timeline's history file.
  static std::string without_history(TimelineId timeline);

 private:
  const ClusterRows& rows_;
  std::vector<ReachableWindow> windows_;  // as far as the rows tell
  std::vector<ReachableWindow> left_;     // without what is lost
};

}  // namespace pitr
