// The timelines of a cluster as bars over time, in plain text: what can be reached, at a glance.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

using TimeSpan = std::pair<Instant, Instant>;  // both inclusive

struct ChartTimeline {
  TimelineId id = 0;
  TimelineId parent = 0;              // 0: none
  std::optional<TimeSpan> wal;        // from its first own commit to its last
  std::vector<TimeSpan> recoverable;  // cut to what is its own
  std::vector<TimeSpan> gaps;         // between the commits beside them
  std::vector<Instant> backups;
};

// Empty where no time is known. `width` columns are for the bars.
std::string draw_timelines(const std::vector<ChartTimeline>& timelines, std::size_t width);

}  // namespace pitr
