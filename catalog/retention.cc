#include "catalog/retention.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include <fmt/format.h>

#include "catalog/recovery_plan.h"
#include "catalog/target_search.h"
#include "catalog/wal_path.h"

namespace pitr {

namespace {

using std::chrono::days;

constexpr std::uint64_t kNoEnd = ~std::uint64_t{0};
constexpr std::chrono::days kLongestSilence{8};  // a backup a week is no silence

// Every timeline's path, found once. A timeline without a readable history file has none.
using Paths = std::map<TimelineId, std::vector<TimelineStretch>>;

Paths known_paths(const ClusterRows& rows) {
  Paths paths;
  for (const TimelineId timeline : known_timelines(rows)) {
    if (auto path = timeline_path(rows, timeline)) paths.emplace(timeline, std::move(*path));
  }
  return paths;
}

bool lies_on(const Paths& paths, const BackupSummary& backup, TimelineId timeline) {
  const auto path = paths.find(timeline);
  return path == paths.end() ? backup.timeline == timeline : is_on_path(backup, path->second);
}

// Whether one is certainly older: it lies before the other on the other's own path.
bool precedes(const Paths& paths, const BackupSummary& a, const BackupSummary& b) {
  return a.stop_lsn < b.stop_lsn && lies_on(paths, a, b.timeline);
}

std::vector<const BackupSummary*> sort_newest_first(const ClusterRows& rows, const Paths& paths) {
  struct Candidate {
    const BackupSummary* backup;
    std::size_t newer;  // that are certainly newer and not taken yet
  };
  std::vector<Candidate> left;
  for (const BackupSummary& backup : rows.backups) {
    const auto newer =
        std::count_if(rows.backups.begin(), rows.backups.end(),
                      [&](const BackupSummary& other) { return precedes(paths, backup, other); });
    left.push_back({&backup, static_cast<std::size_t>(newer)});
  }
  std::vector<const BackupSummary*> sorted;
  while (!left.empty()) {
    const auto newest =
        std::max_element(left.begin(), left.end(), [](const Candidate& a, const Candidate& b) {
          if ((a.newer == 0) != (b.newer == 0)) return b.newer == 0;
          return std::tie(a.backup->finished_at, a.backup->stop_lsn, a.backup->id) <
                 std::tie(b.backup->finished_at, b.backup->stop_lsn, b.backup->id);
        });
    const BackupSummary* taken = newest->backup;
    left.erase(newest);
    for (Candidate& other : left) {
      if (precedes(paths, *other.backup, *taken)) --other.newer;
    }
    sorted.push_back(taken);
  }
  return sorted;
}

// The first moment that the backup reaches, also when the WAL before it is gone.
Instant first_moment(const ClusterRows& rows, const BackupSummary& backup) {
  const Instant end = backup.finished_at;
  return std::max(
      {last_commit_in(rows, backup).value_or(end), backup.last_commit_at.value_or(end), end});
}

// The period that a moment lies in, in UTC, with the words for it.
struct Period {
  const char* name;
  unsigned RetentionPolicy::*count;
  std::string (*of)(Instant moment);
};

std::string day_of(Instant moment) { return to_utc_text(moment).substr(0, 10); }
std::string month_of(Instant moment) { return to_utc_text(moment).substr(0, 7); }
std::string year_of(Instant moment) { return to_utc_text(moment).substr(0, 4); }
// By its Monday.
std::string week_of(Instant moment) {
  const std::chrono::sys_days day = std::chrono::floor<days>(moment);
  const std::chrono::weekday weekday(day);
  return "the week of " + day_of(Instant(day - days(weekday.iso_encoding() - 1)));
}

constexpr Period kPeriods[] = {{"daily", &RetentionPolicy::daily, day_of},
                               {"weekly", &RetentionPolicy::weekly, week_of},
                               {"monthly", &RetentionPolicy::monthly, month_of},
                               {"yearly", &RetentionPolicy::yearly, year_of}};

// One question; the functions are called in the order in which they stand here.
class Retention {
 public:
  Retention(const ClusterRows& rows, const RetentionRequest& request)
      : rows_(rows), request_(request), paths_(known_paths(rows)) {
    std::set<std::string> usable;
    for (const ReachableWindow& window : reachable_windows(rows))
      usable.insert(window.backup_id);
    for (const BackupSummary* backup : sort_newest_first(rows, paths_)) {
      const bool is_usable = usable.contains(backup->id) && !request.broken.contains(backup->id);
      decision_.backups.push_back({.backup = backup, .is_usable = is_usable});
    }
  }

  RetentionDecision decide() {
    keep_newest();
    keep_count();
    keep_days();
    keep_periods();
    keep_newer_than_sound();
    keep_pinned_and_used();
    keep_referenced();
    decide_wal();
    return std::move(decision_);
  }

  bool is_last(const std::string& id) {
    const auto is_other = [&](const BackupVerdict& other) { return other.backup->id != id; };
    const BackupVerdict* own = decision_.find(id);
    if (own == nullptr || !own->is_usable) return false;
    const auto& all = decision_.backups;
    return std::none_of(all.begin(), all.end(), [&](const BackupVerdict& other) {
      return is_other(other) && (is_sound(*own) ? is_sound(other) : other.is_usable);
    });
  }

 private:
  // Pages that failed their checksum may be the very ones that are wanted.
  static bool is_sound(const BackupVerdict& verdict) {
    return verdict.is_usable && verdict.backup->page_errors.empty();
  }

  static void keep(BackupVerdict& verdict, std::string reason, bool with_wal) {
    verdict.reasons.push_back(std::move(reason));
    verdict.keeps_wal = verdict.keeps_wal || with_wal;
  }

  BackupVerdict* first(const std::function<bool(const BackupVerdict&)>& wanted) {
    const auto found = std::find_if(decision_.backups.begin(), decision_.backups.end(), wanted);
    return found == decision_.backups.end() ? nullptr : &*found;
  }

  BackupVerdict* find(const std::string& id) {
    return first([&](const BackupVerdict& verdict) { return verdict.backup->id == id; });
  }

  // The way back from now stays open, by a sound backup if there is one.
  void keep_newest() {
    BackupVerdict* newest = first(is_sound);
    if (newest == nullptr) newest = first([](const BackupVerdict& v) { return v.is_usable; });
    if (newest == nullptr) {
      for (BackupVerdict& verdict : decision_.backups)
        keep(verdict, "no backup has all of its WAL: none is removed", true);
      return;
    }
    keep(*newest, "the newest usable backup", true);
    // Of several branches the one that is written now need not be the one of the newest backup.
    const LogSummary* last = nullptr;
    for (const LogSummary& log : rows_.wal.logs()) {
      if (log.segments == 0) continue;
      if (last == nullptr || log.last_archived_at >= last->last_archived_at) last = &log;
    }
    if (last == nullptr) return;
    BackupVerdict* on_path = first([&](const BackupVerdict& verdict) {
      return is_sound(verdict) && lies_on(paths_, *verdict.backup, last->timeline);
    });
    if (on_path == nullptr || on_path == newest) return;
    keep(*on_path,
         fmt::format("the newest usable backup of timeline {}, which was archived last",
                     last->timeline),
         true);
  }

  void keep_count() {
    unsigned number = 0;
    for (BackupVerdict& verdict : decision_.backups) {
      if (!is_sound(verdict) || number >= request_.policy.backups) continue;
      keep(verdict, fmt::format("backups = {}: number {}", request_.policy.backups, ++number),
           true);
    }
  }

  // A timeline counts when anything of it is of those days: also one that was left in them.
  bool is_of_the_days(TimelineId timeline, Instant begin) const {
    for (const LogSummary& log : rows_.wal.logs()) {
      if (log.timeline != timeline) continue;
      if (log.last_archived_at >= begin) return true;
      if (log.totals.last_commit && from_postgres_time(*log.totals.last_commit) >= begin) {
        return true;
      }
    }
    return std::any_of(rows_.backups.begin(), rows_.backups.end(), [&](const BackupSummary& b) {
      return b.timeline == timeline && b.finished_at >= begin;
    });
  }

  void keep_days() {
    if (request_.policy.days == 0) return;
    std::vector<Instant> recorded = recorded_moments(rows_);
    recorded.insert(recorded.end(), request_.also_recorded.begin(), request_.also_recorded.end());
    const Instant begin = begin_of_days(recorded, request_.now, request_.policy.days);
    decision_.days_begin = begin;
    for (const TimelineId timeline : known_timelines(rows_)) {
      if (is_of_the_days(timeline, begin)) keep_days_of(timeline, begin);
    }
  }

  void keep_days_of(TimelineId timeline, Instant begin) {
    const unsigned count = request_.policy.days;
    for (BackupVerdict& verdict : decision_.backups) {
      if (!verdict.is_usable || !lies_on(paths_, *verdict.backup, timeline)) continue;
      const bool is_base = first_moment_of(*verdict.backup) <= begin;
      const std::string reason =
          is_base ? fmt::format("days = {}: every moment since {} begins with it", count,
                                to_local_text(begin))
                  : fmt::format("days = {}: it is of these days", count);
      const auto& said = verdict.reasons;
      if (std::find(said.begin(), said.end(), reason) == said.end()) keep(verdict, reason, true);
      // One with damaged pages is better than none, and a sound one is better.
      if (is_base && is_sound(verdict)) return;
    }
  }

  // Never before that of an older backup, whatever the clock said.
  Instant first_moment_of(const BackupSummary& backup) {
    Instant moment = own_first_moment(backup);
    for (const BackupSummary& other : rows_.backups) {
      if (precedes(paths_, other, backup)) moment = std::max(moment, own_first_moment(other));
    }
    return moment;
  }

  Instant own_first_moment(const BackupSummary& backup) {
    const auto known = first_moments_.find(backup.id);
    if (known != first_moments_.end()) return known->second;
    return first_moments_.emplace(backup.id, first_moment(rows_, backup)).first->second;
  }

  void keep_periods() {
    for (const Period& period : kPeriods) {
      std::set<std::string> seen;
      for (BackupVerdict& verdict : decision_.backups) {
        if (seen.size() >= request_.policy.*period.count) break;
        if (!is_sound(verdict)) continue;
        const std::string of = period.of(verdict.backup->finished_at);
        if (!seen.insert(of).second) continue;
        keep(verdict,
             fmt::format("{} = {}: the newest of {}", period.name, request_.policy.*period.count,
                         of),
             false);
      }
    }
  }

  void keep_pinned_and_used() {
    for (const BackupPin& pin : request_.pins) {
      BackupVerdict* verdict = find(pin.backup);
      if (verdict == nullptr) continue;
      keep(*verdict, pin.with_wal ? "pinned, with the WAL after it" : "pinned", pin.with_wal);
    }
    for (const BackupUse& use : request_.uses) {
      BackupVerdict* verdict = find(use.backup);
      if (verdict != nullptr) keep(*verdict, "in use by " + use.by, true);
    }
  }

  // A backup that does not count, its WAL missing or pages damaged, goes with those of its age.
  void keep_newer_than_sound() {
    const BackupVerdict* oldest = nullptr;
    for (const BackupVerdict& verdict : decision_.backups) {
      if (verdict.keeps_wal && verdict.is_usable) oldest = &verdict;
    }
    for (BackupVerdict& verdict : decision_.backups) {
      if (&verdict == oldest) return;
      if (is_sound(verdict) || verdict.is_kept()) continue;
      keep(verdict,
           fmt::format(
               "{}: it stays as long as an older one",
               verdict.is_usable ? "pages of it fail their checksum" : "its WAL is not all there"),
           false);
    }
  }

  void keep_referenced() {
    for (bool again = true; again;) {
      again = false;
      for (const auto& [user, used] : request_.references) {
        const BackupVerdict* by = find(user);
        if (by == nullptr || !by->is_kept()) continue;
        for (const std::string& id : used)
          again = keep_for(find(id), user) || again;
      }
    }
  }

  static bool keep_for(BackupVerdict* verdict, const std::string& user) {
    if (verdict == nullptr) return false;
    const std::string reason = fmt::format("backup {} uses its data", user);
    const auto& said = verdict->reasons;
    if (std::find(said.begin(), said.end(), reason) != said.end()) return false;
    keep(*verdict, reason, false);
    return true;
  }

  // -------------------------------------------------------------------------------------------
  // WAL

  void decide_wal() {
    const BackupVerdict* oldest = nullptr;
    for (const BackupVerdict& verdict : decision_.backups) {
      if (!verdict.is_kept()) continue;
      if (verdict.keeps_wal) {
        keep_wal_after(*verdict.backup);
        oldest = oldest == nullptr || verdict.backup->started_at < oldest->backup->started_at
                     ? &verdict
                     : oldest;
      }
      keep_own_wal(*verdict.backup);
    }
    if (oldest == nullptr &&
        request_.is_current) {  // there is no backup, and the first one may be on its way
      for (const TimelineId timeline : known_timelines(rows_))
        add_kept(timeline, 0, kNoEnd, "there is no base backup: no WAL is removed");
    }
    keep_unclear_timelines();
    if (oldest != nullptr) keep_recent_branches(oldest->backup->started_at);
    for (const LogSummary& log : rows_.wal.logs())
      expire_log(log);
    std::stable_sort(decision_.kept_wal.begin(), decision_.kept_wal.end(),
                     [](const KeptWal& a, const KeptWal& b) {
                       return std::tie(a.range.timeline, a.range.first) <
                              std::tie(b.range.timeline, b.range.first);
                     });
  }

  SegmentSize size() const { return rows_.cluster.identity.segment_size; }

  void add_kept(TimelineId timeline, std::uint64_t from, std::uint64_t to, std::string reason) {
    const auto is_same = [&](const KeptWal& kept) {
      return kept.range.timeline == timeline && kept.range.first <= from && kept.range.last >= to;
    };
    const auto& all = decision_.kept_wal;
    if (std::any_of(all.begin(), all.end(), is_same)) return;
    decision_.kept_wal.push_back({{timeline, from, to}, std::move(reason)});
  }

  // The segments of a path from one position on, those at a fork on both timelines: PostgreSQL
  // takes the parent's where the child's is missing.
  void keep_path(const std::vector<TimelineStretch>& path, Lsn begin, Lsn end,
                 const std::string& reason) {
    const Lsn first_byte = begin / size() * size();
    for (const TimelineStretch& stretch : path) {
      if (stretch.end <= first_byte || stretch.begin >= end) continue;
      const Lsn last_byte = std::min(stretch.end, end);
      add_kept(stretch.timeline, std::max(stretch.begin, begin) / size(),
               last_byte == kEndOfTime ? kNoEnd : last_byte / size(), reason);
    }
  }

  void keep_wal_after(const BackupSummary& backup) {
    const std::string reason = fmt::format("backup {} and every moment after it", backup.id);
    for (const auto& [timeline, path] : paths_) {
      if (is_on_path(backup, path)) keep_path(path, backup.start_lsn, kEndOfTime, reason);
    }
    // A backup whose own timeline's history cannot be read.
    if (!paths_.contains(backup.timeline))
      add_kept(backup.timeline, backup.start_lsn / size(), kNoEnd, reason);
    from_ = std::min(from_, backup.start_lsn / size());
  }

  void keep_own_wal(const BackupSummary& backup) {
    const std::string reason = fmt::format("backup {} needs it to be consistent", backup.id);
    const auto path = paths_.find(backup.timeline);
    const Lsn last = std::max(backup.stop_lsn, backup.start_lsn + 1) - 1;
    if (path != paths_.end()) {
      keep_path(path->second, backup.start_lsn, last, reason);
    }
    add_kept(backup.timeline, backup.start_lsn / size(), last / size(), reason);
  }

  // Its ancestors are not known: any timeline may be one of them.
  void keep_unclear_timelines() {
    const std::vector<TimelineId> timelines = known_timelines(rows_);
    for (const TimelineId unclear : timelines) {
      if (paths_.contains(unclear)) continue;
      const std::string reason =
          fmt::format("the history file of timeline {} is missing or damaged", unclear);
      add_kept(unclear, 0, kNoEnd, reason);
      for (const TimelineId timeline : timelines)
        add_kept(timeline, from_, kNoEnd, reason);
    }
  }

  // WAL that no kept backup reaches, of a branch that was left: it goes when it is older than every
  // backup whose WAL stays. A branch that is archived still may have lost its way only for now.
  void keep_recent_branches(Instant oldest_backup) {
    std::map<TimelineId, std::uint64_t> ends;  // of what is reached
    for (const KeptWal& kept : decision_.kept_wal) {
      std::uint64_t& end = ends.try_emplace(kept.range.timeline, 0).first->second;
      end = std::max(end, kept.range.last);
    }
    for (const LogSummary& log : rows_.wal.logs()) {
      const SegmentRange stored = stored_range(log);
      const auto reached = ends.find(log.timeline);
      const bool is_behind = reached == ends.end() || stored.last > reached->second;
      if (!is_behind || log.last_archived_at < oldest_backup) continue;
      const std::uint64_t begin = reached == ends.end() ? 0 : reached->second + 1;
      add_kept(log.timeline, std::max(begin, stored.first), stored.last,
               "no kept backup reaches it, but it was archived after the oldest of them");
    }
  }

  // What is stored of a log: whole segments, and beginnings of others.
  SegmentRange stored_range(const LogSummary& log) const {
    const SegmentName first{log.timeline, log.log, log.first};
    const SegmentName last{log.timeline, log.log, log.last};
    SegmentRange range{log.timeline, first.number(size()), last.number(size())};
    if (log.beginnings == 0) return range;
    const auto loaded = rows_.wal.load(log.timeline, log.log);
    if (loaded->segments.empty()) range.first = kNoEnd;
    for (const SegmentRow& row : loaded->beginnings) {
      range.first = std::min(range.first, row.name.number(size()));
      range.last = std::max(range.last, row.name.number(size()));
    }
    return range;
  }

  void expire_log(const LogSummary& log) {
    std::vector<SegmentRange> kept;
    for (const KeptWal& one : decision_.kept_wal)
      kept.push_back(one.range);
    const SegmentRange stored = stored_range(log);
    for (const SegmentRange& range : subtract_ranges({stored}, kept)) {
      ExpiredWal expired{.range = range};
      if (range == stored) {
        expired.segments = log.segments;
        expired.stored_bytes = log.stored_bytes;
      } else if (!count(log, expired)) {
        continue;  // it went before
      }
      decision_.wal.push_back(expired);
    }
  }

  // False: nothing is stored of the range.
  bool count(const LogSummary& log, ExpiredWal& expired) const {
    const auto is_in_range = [&](const SegmentRow& row) {
      const std::uint64_t number = row.name.number(size());
      return number >= expired.range.first && number <= expired.range.last;
    };
    const auto loaded = rows_.wal.load(log.timeline, log.log);
    for (const SegmentRow& row : loaded->segments) {
      if (!is_in_range(row)) continue;
      ++expired.segments;
      expired.stored_bytes += row.stored_bytes;
    }
    return expired.segments > 0 ||
           std::any_of(loaded->beginnings.begin(), loaded->beginnings.end(), is_in_range);
  }

  const ClusterRows& rows_;
  const RetentionRequest& request_;
  Paths paths_;
  std::map<std::string, Instant> first_moments_;  // by backup
  std::uint64_t from_ = kNoEnd;                   // the first segment of all WAL that stays
  RetentionDecision decision_;
};

// What is not there any more once the decision is carried out, between the pieces that stay.
std::vector<SegmentRange> expired_ranges(const RetentionDecision& decision,
                                         const std::vector<SegmentRange>& kept) {
  std::vector<SegmentRange> expired;
  for (const ExpiredWal& one : decision.wal) {
    const SegmentRange up_to_it{one.range.timeline, 0, one.range.last};
    // Up to what stays before it, and to what stays behind it if anything does.
    SegmentRange range = subtract_ranges({up_to_it}, kept).back();
    std::uint64_t next = kNoEnd;
    for (const SegmentRange& other : kept) {
      if (other.timeline == range.timeline && other.first > range.last)
        next = std::min(next, other.first);
    }
    if (next != kNoEnd) range.last = next - 1;
    expired.push_back(range);
  }
  return join_ranges(std::move(expired));
}

// What is stored of the ranges.
std::vector<SegmentRange> stored_of(const ClusterRows& rows,
                                    const std::vector<SegmentRange>& ranges) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  std::vector<SegmentRange> stored;
  for (const SegmentRange& range : ranges) {
    const auto take = [&](const SegmentRow& row) {
      const std::uint64_t number = row.name.number(size);
      if (number >= range.first && number <= range.last)
        stored.push_back({range.timeline, number, number});
    };
    for (const LogSummary& log : rows.wal.logs()) {
      const std::uint64_t begin = SegmentName{log.timeline, log.log, 0}.number(size);
      const std::uint64_t end = begin + segments_per_log(size);
      if (log.timeline != range.timeline || end <= range.first || begin > range.last) continue;
      const auto loaded = rows.wal.load(log.timeline, log.log);
      std::for_each(loaded->segments.begin(), loaded->segments.end(), take);
      std::for_each(loaded->beginnings.begin(), loaded->beginnings.end(), take);
    }
  }
  return join_ranges(std::move(stored));
}

}  // namespace

const BackupVerdict* RetentionDecision::find(const std::string& id) const {
  const auto found =
      std::find_if(backups.begin(), backups.end(),
                   [&](const BackupVerdict& verdict) { return verdict.backup->id == id; });
  return found == backups.end() ? nullptr : &*found;
}

RetentionDecision decide_retention(const ClusterRows& rows, const RetentionRequest& request) {
  return Retention(rows, request).decide();
}

std::optional<std::string> why_not_removable(const ClusterRows& rows,
                                             const RetentionRequest& request,
                                             const std::string& id) {
  for (const BackupPin& pin : request.pins) {
    if (pin.backup == id) return "it is pinned";
  }
  for (const BackupUse& use : request.uses) {
    if (use.backup == id) return "it is in use by " + use.by;
  }
  for (const auto& [user, used] : request.references) {
    if (user != id && used.contains(id)) return fmt::format("backup {} uses its data", user);
  }
  if (request.is_current && Retention(rows, request).is_last(id))
    return "it is the last usable backup";
  return std::nullopt;
}

std::vector<const BackupSummary*> newest_first(const ClusterRows& rows) {
  return sort_newest_first(rows, known_paths(rows));
}

std::vector<Instant> recorded_moments(const ClusterRows& rows) {
  std::vector<Instant> moments;
  for (const BackupSummary& backup : rows.backups)
    moments.push_back(backup.finished_at);
  const LogSummary* before = nullptr;
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.totals.last_commit) moments.push_back(from_postgres_time(*log.totals.last_commit));
    if (log.segments == 0) continue;
    moments.push_back(log.last_archived_at);
    // A log that took long to fill is no silence: what was archived meanwhile says so.
    const bool follows = before != nullptr && before->timeline == log.timeline &&
                         log.last_archived_at - before->last_archived_at <= kLongestSilence;
    before = &log;
    if (follows) continue;
    const auto loaded = rows.wal.load(log.timeline, log.log);
    for (const SegmentRow& row : loaded->segments)
      moments.push_back(row.archived_at);
  }
  return moments;
}

Instant trusted_now(const std::vector<Instant>& recorded, Instant now) {
  constexpr days kClockAhead{1};
  std::optional<Instant> newest;
  for (const Instant moment : recorded) {
    if (moment <= now) newest = std::max(newest.value_or(moment), moment);
  }
  return newest && now - *newest > kClockAhead ? *newest : now;
}

Instant begin_of_days(std::vector<Instant> recorded, Instant now, unsigned count) {
  Instant at = trusted_now(recorded, now);
  std::sort(recorded.begin(), recorded.end(), std::greater<>());
  std::chrono::microseconds left = days(count);
  for (const Instant moment : recorded) {
    if (moment > at) continue;
    const std::chrono::microseconds gap = at - moment;
    if (gap <= kLongestSilence) {
      if (gap >= left) break;
      left -= gap;
    }
    at = moment;
  }
  return at - left;
}

Expiry expiry_after(const ClusterRows& rows, const RetentionDecision& decision) {
  std::vector<SegmentRange> kept;
  for (const KeptWal& one : decision.kept_wal)
    kept.push_back(one.range);
  Expiry expiry = join(rows.expiry, {.wal = expired_ranges(decision, kept)});
  const std::vector<SegmentRange> but_kept = subtract_ranges(expiry.wal, kept);
  const std::vector<SegmentRange> in_both = subtract_ranges(expiry.wal, but_kept);
  expiry.wal = subtract_ranges(expiry.wal, stored_of(rows, in_both));
  std::erase_if(expiry.backups, [&](const std::string& id) {
    const BackupVerdict* verdict = decision.find(id);
    return verdict != nullptr && verdict->is_kept();
  });
  std::vector<std::string> gone;
  for (const BackupVerdict& verdict : decision.backups) {
    if (!verdict.is_kept()) gone.push_back(verdict.backup->id);
  }
  return join(expiry, {.backups = gone});
}

}  // namespace pitr
