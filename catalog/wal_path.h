// The WAL that a recovery reads: from a backup's start along a timeline path, segment by segment,
// as PostgreSQL will ask for it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/cluster_rows.h"
#include "wal/timeline_history.h"

namespace pitr {

// Every timeline that the repository knows, by WAL or by history file, least first.
std::vector<TimelineId> known_timelines(const ClusterRows& rows);

// Nothing when the history file of the timeline is missing or damaged.
std::optional<std::vector<TimelineStretch>> timeline_path(const ClusterRows& rows,
                                                          TimelineId timeline);

// Gaps between the stored whole segments of one timeline.
struct SegmentGap {
  SegmentName after;
  SegmentName before;
  std::uint64_t missing = 0;
};
std::vector<SegmentGap> find_gaps(const ClusterRows& rows, TimelineId timeline);

// One segment of the path. Records before `begin` or from `end` on are not replayed from it.
struct PathSegment {
  const SegmentRow* row = nullptr;
  Lsn begin = 0;
  Lsn end = 0;
};

struct WalPath {
  std::vector<TimelineStretch> stretches;
  std::vector<PathSegment> segments;  // without a gap, from the start LSN on
  // The first segment that is missing, and whether later WAL of the path is stored behind it.
  SegmentName missing;
  std::optional<SegmentName> behind_gap;
  bool damaged = false;  // `missing` is stored, and pitr-restore refuses it

  Lsn last_record() const;     // start of the last whole record, at most; 0: none
  Lsn end_of_records() const;  // end of the last whole record, at most; 0: none

  // The fork, where a parent's segment stands in for its child's and has records behind it: only a
  // target keeps recovery from replaying those.
  std::optional<Lsn> fork_inside() const;
};

// The rows must outlive the path. A damaged segment ends it: recovery cannot go beyond.
WalPath follow_wal(const ClusterRows& rows, std::vector<TimelineStretch> stretches, Lsn start);

}  // namespace pitr
