// Timeline history files: which timeline a cluster was on, and up to which LSN, before the present
// one. Format and rules as readTimeLineHistory() in PostgreSQL's timeline.c.
#pragma once

#include <string_view>
#include <vector>

#include "wal/lsn.h"

namespace pitr {

// A stretch of WAL that belongs to one timeline: from `begin` up to, not including, `end`.
struct TimelineStretch {
  TimelineId timeline = 0;
  Lsn begin = 0;
  Lsn end = 0;  // kEndOfTime for the last stretch of a path

  bool operator==(const TimelineStretch&) const = default;
};

constexpr Lsn kEndOfTime = ~Lsn{0};

// The path of WAL that leads to `timeline`, oldest stretch first, the timeline itself last.
// `contents` is that of its history file; empty for a timeline without ancestors. Throws kCorrupt
// for contents that PostgreSQL would not accept.
std::vector<TimelineStretch> parse_timeline_history(TimelineId timeline, std::string_view contents);

// The timeline of a path that holds the byte at `lsn`.
TimelineId timeline_of(const std::vector<TimelineStretch>& path, Lsn lsn);

}  // namespace pitr
