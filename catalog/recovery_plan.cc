#include "catalog/recovery_plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "catalog/target_search.h"
#include "common/error.h"

namespace pitr {

namespace {

// Only those whose own WAL is there: newest backup first, but behind all others those that hold
// pages which fail their checksums.
std::vector<RecoveryCandidate> candidates_on(const ClusterRows& rows, TimelineId timeline,
                                             const std::string& backup_id) {
  std::vector<RecoveryCandidate> candidates;
  const auto stretches = timeline_path(rows, timeline);
  if (!stretches) return candidates;
  // From the oldest on, so that the WAL is followed once and the newer ones share it.
  TimelineWal wal(rows, *stretches);
  for (const BackupSummary& backup : rows.backups) {
    if (!backup_id.empty() && backup.id != backup_id) continue;
    if (!is_on_path(backup, *stretches)) continue;
    WalPath path = wal.from(backup.start_lsn);
    if (path.has_wal_up_to(backup.stop_lsn)) candidates.push_back({&backup, std::move(path)});
  }
  std::reverse(candidates.begin(), candidates.end());
  std::stable_partition(
      candidates.begin(), candidates.end(),
      [](const RecoveryCandidate& candidate) { return candidate.backup->page_errors.empty(); });
  return candidates;
}

void describe_candidate(RecoveryPlan& plan, const RecoveryCandidate& candidate, TimelineId timeline,
                        Lsn needed_until) {
  plan.backup = candidate.backup;
  plan.timeline = timeline;
  for (const TimelineStretch& stretch : candidate.path.stretches()) {
    plan.timeline_path.push_back(stretch.timeline);
  }
  const WalPath::Extent extent = candidate.path.extent(needed_until);
  plan.unusable_wal_behind = candidate.path.behind_gap().has_value();
  plan.first_segment = extent.first.to_string();
  plan.last_segment = extent.last.to_string();
  plan.segment_count = extent.segments;
  plan.bytes_to_fetch = candidate.backup->stored_bytes + extent.stored_bytes;
  plan.next_xid = extent.next_xid;
  if (!candidate.backup->page_errors.empty()) {
    plan.warnings.push_back(
        fmt::format("base backup \"{}\" holds {} pages that fail their checksums",
                    candidate.backup->id, candidate.backup->page_errors.size()));
  }
}

bool leads_to(const ClusterRows& rows, const BackupSummary& backup, TimelineId timeline) {
  const auto stretches = timeline_path(rows, timeline);
  return stretches && is_on_path(backup, *stretches);
}

const BackupSummary* find_backup(const ClusterRows& rows, const std::string& id) {
  const auto found = std::find_if(rows.backups.begin(), rows.backups.end(),
                                  [&](const BackupSummary& backup) { return backup.id == id; });
  return found == rows.backups.end() ? nullptr : &*found;
}

std::vector<TimelineId> timelines_to_try(const ClusterRows& rows, const PlanRequest& request) {
  if (request.timeline) return std::vector<TimelineId>(1, *request.timeline);
  std::vector<TimelineId> timelines = known_timelines(rows);
  std::reverse(timelines.begin(), timelines.end());
  const BackupSummary* wanted = find_backup(rows, request.backup_id);
  if (wanted != nullptr && !request.newest_timeline) {
    std::erase_if(timelines,
                  [&](TimelineId timeline) { return !leads_to(rows, *wanted, timeline); });
  }
  // The end of the WAL means that of the newest timeline, not of an abandoned one.
  const bool only_newest =
      request.newest_timeline || request.target.kind == RecoveryTarget::Kind::kEnd;
  if (only_newest && !timelines.empty()) {
    timelines.erase(timelines.begin() + 1, timelines.end());
  }
  return timelines;
}

// A reason that names a gap or the future says more than that nothing was found behind a backup,
// and that more than that the backup does not serve.
int weight_of(const PlanReason& reason) {
  if (reason.code == "before_backup") return 0;
  return reason.code.ends_with("_not_found") ? 1 : 2;
}

bool says_more(const PlanReason& reason, const std::optional<PlanReason>& known) {
  return !known || weight_of(reason) > weight_of(*known);
}

std::string why_no_candidate(const ClusterRows& rows, const PlanRequest& request) {
  if (rows.backups.empty()) return "there is no base backup";
  const BackupSummary* wanted = find_backup(rows, request.backup_id);
  if (!request.backup_id.empty() && wanted == nullptr) {
    return fmt::format("there is no backup \"{}\"", request.backup_id);
  }
  if (request.timeline && !timeline_path(rows, *request.timeline)) {
    return fmt::format("the history file of timeline {} is not in the repository",
                       *request.timeline);
  }
  if (request.timeline) {
    return fmt::format("no usable base backup lies on the path to timeline {}", *request.timeline);
  }
  const std::vector<TimelineId> timelines = known_timelines(rows);
  if (wanted != nullptr && request.newest_timeline && !timelines.empty() &&
      !leads_to(rows, *wanted, timelines.back())) {
    return fmt::format("backup \"{}\" does not lie on the path to timeline {}, the newest",
                       wanted->id, timelines.back());
  }
  if (wanted != nullptr) {
    return fmt::format("the repository lacks WAL of backup \"{}\" itself", wanted->id);
  }
  return "no base backup has all of its WAL in the repository";
}

void add_nearest(RecoveryPlan& plan, const ClusterRows& rows, const PlanRequest& request) {
  plan.windows = reachable_windows(rows);
  const RecoveryTarget& target = request.target;
  for (const ReachableWindow& window : plan.windows) {
    // Where a transaction or a name that is not there would be, nobody knows: then the last moment.
    bool is_before = true;
    bool is_after = false;
    if (target.kind == RecoveryTarget::Kind::kTime) {
      is_before = window.to_time && *window.to_time <= target.time;
      is_after = window.from_time > target.time;
    } else if (target.kind == RecoveryTarget::Kind::kLsn) {
      is_before = window.to_lsn <= target.lsn;
      is_after = window.from_lsn > target.lsn;
    }
    if (is_before && window.to_time) {
      plan.nearest_before =
          std::max(plan.nearest_before.value_or(*window.to_time), *window.to_time);
    }
    if (is_after) {
      plan.nearest_after =
          std::min(plan.nearest_after.value_or(window.from_time), window.from_time);
    }
  }
}

// The first candidate of a timeline that serves; without one `refusal` says why not.
std::optional<RecoveryPlan> plan_on(const ClusterRows& rows, const PlanRequest& request,
                                    const WalReader& reader, TimelineId timeline,
                                    RecoveryPlan& refusal) {
  SearchMemory memory;
  for (const RecoveryCandidate& candidate : candidates_on(rows, timeline, request.backup_id)) {
    TargetSearch search(rows, request, candidate, reader, memory);
    RecoveryPlan plan{.target = request.target};
    if (search.find(plan)) {
      describe_candidate(plan, candidate, timeline, search.needed_until());
      return plan;
    }
    if (says_more(*search.reason(), refusal.reason)) {
      refusal.reason = search.reason();
      refusal.missing = search.missing();
    }
  }
  return std::nullopt;
}

// A time may lie on several timelines: after a recovery to an earlier moment the old one's later
// commits are still there. And where the newest one ends, another may go on.
void name_other_timelines(RecoveryPlan& plan, const ClusterRows& rows, const PlanRequest& request,
                          const WalReader& reader) {
  const bool may_lie_on_several = request.target.kind == RecoveryTarget::Kind::kTime ||
                                  request.target.kind == RecoveryTarget::Kind::kEnd;
  if (!may_lie_on_several || request.timeline) return;
  for (const TimelineId timeline : known_timelines(rows)) {
    if (timeline == plan.timeline) continue;
    RecoveryPlan refusal;
    std::optional<RecoveryPlan> other;
    try {
      other = plan_on(rows, request, reader, timeline, refusal);
    } catch (const Error&) {
      // What cannot be read there the plan does not need.
    }
    const bool is_same_stop = !other || other->commit_before == plan.commit_before;
    if (is_same_stop || !other->commit_before) continue;
    const bool ends = other->stop.kind == PlannedStop::Kind::kEndOfWal;
    const bool goes_on =
        plan.stop.kind == PlannedStop::Kind::kEndOfWal &&
        (!plan.commit_before || other->commit_before->time > plan.commit_before->time);
    if (ends && !goes_on) continue;
    plan.warnings.push_back(
        fmt::format("{} timeline {}{} where recovery would stop after transaction {} of {}: "
                    "--timeline {} chooses it",
                    ends ? "later commits are on" : "the target lies on", timeline,
                    ends ? "," : ", too,", other->commit_before->xid,
                    to_local_text(from_postgres_time(other->commit_before->time)), timeline));
  }
}

}  // namespace

WalReader make_wal_reader(Storage& storage, const ClusterRecord& cluster) {
  return {.transactions =
              [&storage, cluster](const SegmentRow& row) {
                return read_transactions(storage, cluster, row);
              },
          .xids = [&storage,
                   cluster](const SegmentRow& row) { return read_xids(storage, cluster, row); },
          .find_record = [&storage, cluster](
                             const SegmentRow& row,
                             Lsn lsn) { return find_record(storage, cluster, row, lsn); }};
}

namespace {

// A timeline whose history is not known may be the one that was meant: what an older one holds of
// that time is then another past. Nothing where the request itself names the timeline.
std::optional<PlanReason> why_timelines_are_unclear(const ClusterRows& rows,
                                                    const PlanRequest& request) {
  if (request.timeline) return std::nullopt;
  for (const TimelineId timeline : known_timelines(rows)) {
    if (timeline_path(rows, timeline)) continue;
    return PlanReason{
        "history_missing",
        fmt::format("timeline {} has WAL or backups, and its history file is missing or cannot be "
                    "read; --timeline chooses another one",
                    timeline)};
  }
  return std::nullopt;
}

// What lies before everything that is kept may have been there once.
void tell_of_expiry(PlanReason& reason, const ClusterRows& rows, const PlanRequest& request) {
  if (rows.expiry.wal.empty() && rows.expiry.backups.empty()) return;
  const std::string removed =
      fmt::format("retention (pitr expire, last at {})", to_local_text(rows.expiry.expired_at));
  if (rows.expiry.covers_backup(request.backup_id)) {
    reason = {"expired",
              fmt::format("backup \"{}\" was removed by {}", request.backup_id, removed)};
  } else if (reason.code == "before_backup" && request.backup_id.empty()) {
    reason = {"expired", fmt::format("no backup that is kept reaches back so far; older backups "
                                     "and WAL were removed by {}",
                                     removed)};
  } else if (reason.code.ends_with("_not_found")) {
    reason.message += "; older WAL was removed by " + removed;
  }
}

}  // namespace

RecoveryPlan plan_recovery(const ClusterRows& rows, const PlanRequest& request,
                           const WalReader& reader) {
  RecoveryPlan refusal{.target = request.target, .written = request.target};
  if (auto unclear = why_timelines_are_unclear(rows, request)) {
    refusal.reason = std::move(unclear);
    add_nearest(refusal, rows, request);
    return refusal;
  }
  for (const TimelineId timeline : timelines_to_try(rows, request)) {
    const bool gap_on_newer_timeline = refusal.reason && refusal.reason->code.starts_with("wal_");
    auto plan = plan_on(rows, request, reader, timeline, refusal);
    if (!plan) continue;
    // Where a newer timeline should reach the target but has a gap, the end of an abandoned one is
    // not the moment that was asked for.
    if (gap_on_newer_timeline && plan->stop.kind == PlannedStop::Kind::kEndOfWal) continue;
    name_other_timelines(*plan, rows, request, reader);
    return *plan;
  }
  if (!refusal.reason) refusal.reason = PlanReason{"no_backup", why_no_candidate(rows, request)};
  tell_of_expiry(*refusal.reason, rows, request);
  add_nearest(refusal, rows, request);
  return refusal;
}

namespace {

// Where WAL begins that no recovery crosses: written under wal_level = minimal.
std::optional<Lsn> first_minimal(const WalPath& path) {
  std::optional<Lsn> first;
  path.visit(
      0, [](const WalTotals& totals) { return totals.parameters; },
      [&](const PathSegment& segment) {
        for (const ParameterChange& change : segment.row->index.parameters) {
          const bool is_minimal = change.wal_level == 0 && segment.replays(change.start);
          if (is_minimal && !first) first = change.start;
        }
        return !first;
      });
  return first;
}

// The greatest commit time in the segments of the path that end at or before `until`, if it is
// later than `from`.
std::optional<Instant> last_commit_after(const WalPath& path, Instant from, Lsn until) {
  std::optional<Instant> greatest;
  const std::int64_t least = to_postgres_time(from);
  const auto is_later = [&](const WalTotals& totals) {
    return totals.last_commit && *totals.last_commit > least &&
           (!greatest || *totals.last_commit > to_postgres_time(*greatest));
  };
  path.visit_backward(kEndOfTime, is_later, [&](const PathSegment& segment) {
    if (segment.row->index.end_of_records > std::min(segment.end, until)) return true;
    greatest = from_postgres_time(*segment.row->index.last_commit);
    return true;
  });
  return greatest;
}

}  // namespace

std::vector<ReachableWindow> reachable_windows(const ClusterRows& rows) {
  std::vector<ReachableWindow> windows;
  for (const TimelineId timeline : known_timelines(rows)) {
    for (const RecoveryCandidate& candidate : candidates_on(rows, timeline, "")) {
      const BackupSummary& backup = *candidate.backup;
      ReachableWindow window{
          .timeline = timeline,
          .backup_id = backup.id,
          .from_lsn = backup.stop_lsn,
          .to_lsn = std::max(candidate.path.end_of_records(), backup.stop_lsn),
          .from_time = last_commit_in(rows, backup).value_or(backup.finished_at)};
      const auto minimal = first_minimal(candidate.path);
      if (minimal) window.to_lsn = std::max(backup.stop_lsn, std::min(window.to_lsn, *minimal));
      window.to_time =
          last_commit_after(candidate.path, window.from_time, minimal.value_or(kEndOfTime));
      windows.push_back(window);
    }
  }
  return windows;
}

}  // namespace pitr
