// Which moments cannot be reached any more when something stored is damaged or gone: the
// consequence that `pitr verify` names. Pure over the rows.
#pragma once

#include <string>

#include "catalog/cluster_rows.h"

namespace pitr {

// A sentence without a period: "targets between … and … on timeline 3 cannot be reached".

// Without the WAL from `begin` up to, not including, `end` on a timeline.
std::string without_wal(const ClusterRows& rows, TimelineId timeline, Lsn begin, Lsn end);

// Without one base backup.
std::string without_backup(const ClusterRows& rows, const std::string& backup_id);

// Without a timeline history file.
std::string without_history(TimelineId timeline);

}  // namespace pitr
