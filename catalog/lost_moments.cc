#include "catalog/lost_moments.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "catalog/wal_path.h"

namespace pitr {

namespace {

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

Instant end_of(const ReachableWindow& window) { return window.to_time.value_or(window.from_time); }

// As the rows would be read if what is lost were unreadable, or not there.
ClusterRows without(const ClusterRows& rows, const Losses& losses) {
  ClusterRows left;
  left.cluster = rows.cluster;
  left.histories = rows.histories;
  for (const BackupSummary& backup : rows.backups) {
    if (!losses.backups.contains(backup.id)) left.backups.push_back(backup);
  }
  const SegmentSize size = rows.cluster.identity.segment_size;
  const auto mark = [&losses, size](SegmentRow& row) {
    if (!losses.wal_keys.contains(row.key)) return;
    row.index = SegmentIndex();
    row.index.complete = false;
    row.index.damaged = true;
    row.index.valid_end = row.name.start(size) + size;
  };
  std::set<WalRows::LogKey> hit;
  for (const std::string& key : losses.wal_keys) {
    if (const auto name = parse_wal_key(key)) {
      hit.emplace(name->segment.timeline, name->segment.log);
    }
  }
  std::vector<LogSummary> logs = rows.wal.logs();
  for (LogSummary& log : logs) {
    if (!hit.contains({log.timeline, log.log})) continue;
    LogRows loaded = *rows.wal.load(log.timeline, log.log);
    std::for_each(loaded.segments.begin(), loaded.segments.end(), mark);
    std::for_each(loaded.beginnings.begin(), loaded.beginnings.end(), mark);
    log = summarize(log.timeline, log.log, loaded);
  }
  left.wal = {std::move(logs), [&rows, mark](TimelineId timeline, std::uint32_t log) {
                LogRows loaded = *rows.wal.load(timeline, log);
                std::for_each(loaded.segments.begin(), loaded.segments.end(), mark);
                std::for_each(loaded.beginnings.begin(), loaded.beginnings.end(), mark);
                return loaded;
              }};
  return left;
}

std::vector<ReachableWindow> windows_without(const ClusterRows& rows, const Losses& losses) {
  const ClusterRows left = without(rows, losses);
  return reachable_windows(left);
}

}  // namespace

LostMoments::LostMoments(const ClusterRows& rows, const Losses& losses)
    : rows_(rows), windows_(reachable_windows(rows)), left_(windows_without(rows, losses)) {}

std::string LostMoments::without_wal(TimelineId timeline, Lsn begin, Lsn end) const {
  std::vector<std::string> sentences;
  for (const TimelineId id : known_timelines(rows_)) {
    const auto stretches = timeline_path(rows_, id);
    if (!stretches) continue;
    const bool is_on_the_way =
        std::any_of(stretches->begin(), stretches->end(), [&](const TimelineStretch& stretch) {
          return stretch.timeline == timeline && stretch.begin < end && begin < stretch.end;
        });
    const bool is_needed =
        std::any_of(rows_.backups.begin(), rows_.backups.end(), [&](const BackupSummary& backup) {
          return is_on_path(backup, *stretches) && backup.start_lsn < end;
        });
    if (!is_on_the_way || !is_needed) continue;
    LostTime lost;
    bool is_passed = false;
    for (const ReachableWindow& window : left_) {
      if (window.timeline != id) continue;
      if (window.from_lsn >= end) {
        lost.until = std::min(lost.until.value_or(window.from_time), window.from_time);
      } else {
        // A child's segment may stand in for its parent's, and a longer tail for a shorter one.
        is_passed = is_passed || window.to_lsn >= end;
        lost.after = std::max(lost.after.value_or(end_of(window)), end_of(window));
      }
    }
    if (!is_passed) sentences.push_back(describe(lost, id));
  }
  return sentences.empty() ? "no moment is lost: no base backup needs it" : joined(sentences);
}

std::string LostMoments::without_backup(const std::string& id) const {
  std::vector<std::string> sentences;
  for (const ReachableWindow& own : windows_) {
    if (own.backup_id != id) continue;
    const ReachableWindow* earlier = nullptr;
    const ReachableWindow* later = nullptr;
    for (const ReachableWindow& other : left_) {
      if (other.timeline != own.timeline || other.backup_id == id) continue;
      if (other.from_lsn <= own.from_lsn) {
        if (earlier == nullptr || other.to_lsn > earlier->to_lsn) earlier = &other;
      } else if (later == nullptr || other.from_lsn < later->from_lsn) {
        later = &other;
      }
    }
    const Lsn reached = earlier == nullptr ? 0 : earlier->to_lsn;
    if (reached >= own.to_lsn || (later != nullptr && reached >= later->from_lsn)) {
      sentences.push_back(fmt::format("moments on timeline {} are reached from backup {} instead",
                                      own.timeline, earlier->backup_id));
      continue;
    }
    LostTime lost{.after = reached > own.from_lsn ? end_of(*earlier) : own.from_time};
    if (later != nullptr && later->from_lsn <= own.to_lsn) lost.until = later->from_time;
    sentences.push_back(describe(lost, own.timeline));
  }
  const std::string lost = fmt::format("backup {} cannot be restored", id);
  return sentences.empty() ? lost : lost + "; " + joined(sentences);
}

std::string LostMoments::without_history(TimelineId timeline) {
  return fmt::format("no target on timeline {} can be reached, and others only with --timeline",
                     timeline);
}

}  // namespace pitr
