#include "catalog/lost_moments.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "catalog/recovery_plan.h"
#include "catalog/target_search.h"
#include "catalog/wal_path.h"
#include "wal/page_header.h"

namespace pitr {

namespace {

constexpr const char* kNothingLost = "no moment is lost: no base backup needs it";

// From when to when; nothing: without a bound.
struct LostTime {
  std::optional<Instant> after;
  std::optional<Instant> until;
};

std::string describe(const LostTime& lost, TimelineId timeline) {
  if (!lost.after && !lost.until) {
    return fmt::format("no target on timeline {} can be reached", timeline);
  }
  if (!lost.after) {
    return fmt::format("targets before {} on timeline {} cannot be reached",
                       to_local_text(*lost.until), timeline);
  }
  if (!lost.until) {
    return fmt::format("targets after {} on timeline {} cannot be reached",
                       to_local_text(*lost.after), timeline);
  }
  return fmt::format("targets between {} and {} on timeline {} cannot be reached",
                     to_local_text(*lost.after), to_local_text(*lost.until), timeline);
}

std::string joined(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences)
    text += (text.empty() ? "" : "; ") + sentence;
  return text;
}

Instant first_moment_of(const ClusterRows& rows, const BackupSummary& backup) {
  return last_commit_in(rows, backup).value_or(backup.finished_at);
}

// The last commit of the path in segments that end at or before `lsn`.
std::optional<Instant> last_commit_before(const ClusterRows& rows,
                                          const std::vector<TimelineStretch>& stretches, Lsn lsn) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  std::optional<std::int64_t> last;
  Lsn last_at = 0;
  for (const TimelineStretch& stretch : stretches) {
    const Lsn end = std::min(lsn, stretch.end);
    for (const LogSummary& log : rows.wal.logs()) {
      const bool may_hold_it = log.timeline == stretch.timeline && log.segments > 0 &&
                               log.totals.commits > 0 &&
                               SegmentName{log.timeline, log.log, log.first}.start(size) < end &&
                               SegmentName{log.timeline, log.log, log.last}.start(size) >= last_at;
      if (!may_hold_it) continue;
      const auto loaded = rows.wal.load(log.timeline, log.log);
      for (const SegmentRow& row : loaded->segments) {
        const Lsn start = row.name.start(size);
        if (start + size > end || start < last_at || !row.index.last_commit) continue;
        last = row.index.last_commit;
        last_at = start;
      }
    }
  }
  if (!last) return std::nullopt;
  return from_postgres_time(*last);
}

// Nothing where no base backup needs that WAL on the way along the path.
std::optional<LostTime> lost_on(const ClusterRows& rows,
                                const std::vector<TimelineStretch>& stretches, Lsn begin, Lsn end) {
  bool needed = false;
  const BackupSummary* before = nullptr;  // consistent before the damage
  const BackupSummary* behind = nullptr;  // needs nothing of it
  for (const BackupSummary& backup : rows.backups) {
    if (!is_on_path(backup, stretches)) continue;
    needed |= backup.start_lsn < end;
    if (backup.stop_lsn <= begin) before = &backup;
    if (backup.start_lsn >= end && behind == nullptr) behind = &backup;
  }
  if (!needed) return std::nullopt;
  LostTime lost;
  if (before != nullptr) {
    const Instant reached = first_moment_of(rows, *before);
    lost.after = std::max(reached, last_commit_before(rows, stretches, begin).value_or(reached));
  }
  if (behind != nullptr) lost.until = first_moment_of(rows, *behind);
  return lost;
}

}  // namespace

std::string without_wal(const ClusterRows& rows, TimelineId timeline, Lsn begin, Lsn end) {
  std::vector<std::string> sentences;
  for (const TimelineId id : known_timelines(rows)) {
    const auto stretches = timeline_path(rows, id);
    if (!stretches) continue;
    const bool is_on_the_way =
        std::any_of(stretches->begin(), stretches->end(), [&](const TimelineStretch& stretch) {
          return stretch.timeline == timeline && stretch.begin < end && begin < stretch.end;
        });
    if (!is_on_the_way) continue;
    if (const auto lost = lost_on(rows, *stretches, begin, end)) {
      sentences.push_back(describe(*lost, id));
    }
  }
  return sentences.empty() ? kNothingLost : joined(sentences);
}

std::string without_backup(const ClusterRows& rows, const std::string& backup_id) {
  const std::vector<ReachableWindow> windows = reachable_windows(rows);
  std::vector<std::string> sentences;
  for (const ReachableWindow& own : windows) {
    if (own.backup_id != backup_id) continue;
    const ReachableWindow* covering = nullptr;
    const ReachableWindow* later = nullptr;
    for (const ReachableWindow& other : windows) {
      if (other.backup_id == backup_id || other.timeline != own.timeline) continue;
      if (other.from_lsn <= own.from_lsn && other.to_lsn >= own.to_lsn) covering = &other;
      const bool begins_inside = other.from_lsn > own.from_lsn && other.from_lsn <= own.to_lsn;
      if (begins_inside && (later == nullptr || other.from_lsn < later->from_lsn)) later = &other;
    }
    if (covering != nullptr) {
      sentences.push_back(fmt::format("moments on timeline {} are reached from backup {} instead",
                                      own.timeline, covering->backup_id));
      continue;
    }
    LostTime lost{.after = own.from_time};
    if (later != nullptr) lost.until = later->from_time;
    sentences.push_back(describe(lost, own.timeline));
  }
  const std::string lost = fmt::format("backup {} cannot be restored", backup_id);
  return sentences.empty() ? lost : lost + "; " + joined(sentences);
}

std::string without_history(TimelineId timeline) {
  return fmt::format("no target on timeline {}, or on one that comes from it, can be reached",
                     timeline);
}

}  // namespace pitr
