#include "catalog/wal_path.h"

#include <algorithm>
#include <set>

#include "common/error.h"

namespace pitr {

namespace {

bool before(const SegmentRow& row, const SegmentName& name) { return row.name < name; }

const SegmentRow* find_whole(const ClusterRows& rows, const SegmentName& name) {
  const auto found = std::lower_bound(rows.segments.begin(), rows.segments.end(), name, before);
  return found != rows.segments.end() && found->name == name ? &*found : nullptr;
}

// What pitr-restore serves where the whole segment is missing: the beginning with the most WAL.
const SegmentRow* find_longest_beginning(const ClusterRows& rows, const SegmentName& name) {
  const SegmentRow* longest = nullptr;
  auto found = std::lower_bound(rows.beginnings.begin(), rows.beginnings.end(), name, before);
  for (; found != rows.beginnings.end() && found->name == name; ++found) {
    if (longest == nullptr || found->index.valid_end > longest->index.valid_end) longest = &*found;
  }
  return longest;
}

// The first segment of the timeline from `name` on of which anything is stored: what pitr-restore
// takes for a gap.
std::optional<SegmentName> next_stored(const ClusterRows& rows, const SegmentName& name) {
  std::optional<SegmentName> next;
  for (const auto* list : {&rows.segments, &rows.beginnings}) {
    const auto found = std::lower_bound(list->begin(), list->end(), name, before);
    if (found == list->end() || found->name.timeline != name.timeline) continue;
    if (!next || found->name < *next) next = found->name;
  }
  return next;
}

}  // namespace

std::vector<TimelineId> known_timelines(const ClusterRows& rows) {
  std::set<TimelineId> timelines;
  for (const SegmentRow& row : rows.segments)
    timelines.insert(row.name.timeline);
  for (const SegmentRow& row : rows.beginnings)
    timelines.insert(row.name.timeline);
  for (const HistoryFile& history : rows.histories)
    timelines.insert(history.timeline);
  for (const BackupSummary& backup : rows.backups)
    timelines.insert(backup.timeline);
  return {timelines.begin(), timelines.end()};
}

std::optional<std::vector<TimelineStretch>> timeline_path(const ClusterRows& rows,
                                                          TimelineId timeline) {
  if (timeline == 1) return parse_timeline_history(1, "");
  for (const HistoryFile& history : rows.histories) {
    if (history.timeline != timeline) continue;
    try {
      return parse_timeline_history(timeline, history.contents);
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::vector<SegmentGap> find_gaps(const ClusterRows& rows, TimelineId timeline) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  std::vector<SegmentGap> gaps;
  const SegmentRow* previous = nullptr;
  for (const SegmentRow& row : rows.segments) {
    if (row.name.timeline != timeline) continue;
    if (previous != nullptr && previous->name.next(size) != row.name) {
      gaps.push_back({.after = previous->name,
                      .before = row.name,
                      .missing = row.name.number(size) - previous->name.number(size) - 1});
    }
    previous = &row;
  }
  return gaps;
}

Lsn WalPath::last_record() const {
  for (auto it = segments.rbegin(); it != segments.rend(); ++it) {
    if (it->row->index.last_record != 0) return std::min(it->row->index.last_record, it->end - 1);
  }
  return 0;
}

Lsn WalPath::end_of_records() const {
  for (auto it = segments.rbegin(); it != segments.rend(); ++it) {
    if (it->row->index.end_of_records != 0) return std::min(it->row->index.end_of_records, it->end);
  }
  return 0;
}

std::optional<Lsn> WalPath::fork_inside() const {
  if (segments.empty()) return std::nullopt;
  const PathSegment& last = segments.back();
  return last.row->index.end_of_records > last.end ? std::optional(last.end) : std::nullopt;
}

WalPath follow_wal(const ClusterRows& rows, std::vector<TimelineStretch> stretches, Lsn start) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  WalPath path{.stretches = std::move(stretches)};
  for (Lsn position = start / size * size;; position += size) {
    // PostgreSQL asks the newest timeline of the path that has begun in this segment, then its
    // ancestors: the first segment of a timeline also holds its parent's records up to the fork.
    const SegmentRow* found = nullptr;
    Lsn end = kEndOfTime;
    TimelineId wanted = 0;
    for (auto it = path.stretches.rbegin(); it != path.stretches.rend() && found == nullptr; ++it) {
      if (it->begin / size * size > position) continue;
      const SegmentName name = SegmentName::containing(it->timeline, position, size);
      if (wanted == 0) wanted = it->timeline;
      found = find_whole(rows, name);
      if (found == nullptr) found = find_longest_beginning(rows, name);
      end = it->end;
      // A parent's segment stands in only for the one that holds the fork.
      if (it->begin < position) break;
    }
    const SegmentName name = SegmentName::containing(wanted, position, size);
    if (found != nullptr && found->index.damaged) {
      // pitr-restore refuses it: recovery would end inside, as if the WAL did.
      path.missing = path.behind_gap.emplace(found->name);
      path.damaged = true;
      return path;
    }
    if (found == nullptr) {
      path.missing = name;
      path.behind_gap = next_stored(rows, name);
      // The path may go on behind it on a later timeline.
      for (const TimelineStretch& stretch : path.stretches) {
        if (path.behind_gap || stretch.begin <= position) continue;
        path.behind_gap =
            next_stored(rows, SegmentName::containing(stretch.timeline, stretch.begin, size));
      }
      return path;
    }
    path.segments.push_back(
        {.row = found, .begin = std::max(start, position), .end = std::min(end, position + size)});
    const bool ends_here = found->kind != StoredWalName::Kind::kSegment || !found->index.complete ||
                           found->name.timeline != wanted;
    if (ends_here) {
      path.missing = name;  // the whole of it
      path.behind_gap = next_stored(rows, name.next(size));
      return path;
    }
  }
}

}  // namespace pitr
