#include "catalog/recovery_plan.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "wal/transaction_id.h"

namespace pitr {

namespace {

// A backup with the WAL that follows it on one timeline path.
struct Candidate {
  const BackupSummary* backup;
  WalPath path;
};

bool has_wal_up_to(const WalPath& path, Lsn lsn) {
  return !path.segments.empty() && path.segments.back().row->index.valid_end >= lsn;
}

// A backup is of the path when it was taken on one of its stretches and ended before the fork.
bool is_on_path(const BackupSummary& backup, const std::vector<TimelineStretch>& stretches) {
  return std::any_of(stretches.begin(), stretches.end(), [&](const TimelineStretch& stretch) {
    return stretch.timeline == backup.timeline && backup.start_lsn >= stretch.begin &&
           backup.stop_lsn <= stretch.end;
  });
}

// Newest backup first; only those whose own WAL is there.
std::vector<Candidate> candidates_on(const ClusterRows& rows, TimelineId timeline,
                                     const std::string& backup_id) {
  std::vector<Candidate> candidates;
  const auto stretches = timeline_path(rows, timeline);
  if (!stretches) return candidates;
  for (auto backup = rows.backups.rbegin(); backup != rows.backups.rend(); ++backup) {
    if (!backup_id.empty() && backup->id != backup_id) continue;
    if (!is_on_path(*backup, *stretches)) continue;
    WalPath path = follow_wal(rows, *stretches, backup->start_lsn);
    if (has_wal_up_to(path, backup->stop_lsn)) candidates.push_back({&*backup, std::move(path)});
  }
  return candidates;
}

// The greatest commit time at or before the backup's stop LSN.
std::optional<Instant> last_commit_before(const ClusterRows& rows, const BackupSummary& backup) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const auto path = timeline_path(rows, backup.timeline).value_or(std::vector<TimelineStretch>());
  std::optional<Instant> greatest = backup.last_commit_at;
  for (const SegmentRow& row : rows.segments) {
    const Lsn end = row.name.start(size) + size;
    const bool on_path = std::any_of(path.begin(), path.end(), [&](const TimelineStretch& stretch) {
      return stretch.timeline == row.name.timeline && end <= stretch.end;
    });
    if (!on_path || !row.index.last_commit || end > backup.start_lsn) continue;
    const Instant commit = from_postgres_time(*row.index.last_commit);
    greatest = std::max(greatest.value_or(commit), commit);
  }
  return greatest;
}

// Looks for the stop of one target on one candidate's path.
class Search {
 public:
  Search(const ClusterRows& rows, const PlanRequest& request, const Candidate& candidate,
         const TransactionReader& read, const RecordFinder& find, const RecordFinder& find_removal)
      : rows_(rows),
        request_(request),
        candidate_(candidate),
        read_(read),
        find_(find),
        find_removal_(find_removal) {}

  // Sets stop, written target and commits of the plan; false when this candidate does not serve.
  bool find(RecoveryPlan& plan) {
    plan.written = request_.target;
    switch (request_.target.kind) {
      case RecoveryTarget::Kind::kEnd:
        return find_end(plan);
      case RecoveryTarget::Kind::kImmediate:
        return find_consistency(plan);
      case RecoveryTarget::Kind::kTime:
        return find_time(plan);
      case RecoveryTarget::Kind::kXid:
        return find_xid(plan);
      case RecoveryTarget::Kind::kName:
        return find_name(plan);
      case RecoveryTarget::Kind::kLsn:
        return find_lsn(plan);
    }
    return false;
  }

  const std::optional<PlanReason>& reason() const { return reason_; }
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  const std::vector<PathSegment>& segments() const { return candidate_.path.segments; }
  Lsn stop_lsn() const { return candidate_.backup->stop_lsn; }

  bool refuse(std::string code, std::string message) {
    reason_ = PlanReason{std::move(code), std::move(message)};
    return false;
  }

  // The transactions that recovery replays from segment `i`.
  const std::vector<TransactionEnd>& transactions(std::size_t i) {
    const auto found = read_already_.find(i);
    if (found != read_already_.end()) return found->second;
    const PathSegment& segment = segments()[i];
    const SegmentRow* next = i + 1 < segments().size() ? segments()[i + 1].row : nullptr;
    std::vector<TransactionEnd> all = read_(*segment.row, next);
    std::erase_if(all, [&](const TransactionEnd& transaction) {
      return transaction.start < segment.begin || transaction.start >= segment.end;
    });
    return read_already_.emplace(i, std::move(all)).first->second;
  }

  // A record that begins in segment i and ends in the next is in neither index.
  std::optional<TransactionEnd> joined(std::size_t i) const {
    if (i + 1 >= segments().size()) return std::nullopt;
    return joined_transaction(segments()[i].row->index, segments()[i + 1].row->index,
                              rows_.cluster.identity.postgres_version);
  }

  bool is_past(std::int64_t time) const {
    const std::int64_t target = to_postgres_time(request_.target.time);
    return request_.target.inclusive ? time > target : time >= target;
  }

  // Whether a transaction of segment i may end past the target time: by the index, without reading.
  bool may_pass_time(std::size_t i) const {
    const SegmentIndex& index = segments()[i].row->index;
    if (index.has_transactions() && is_past(index.max_time)) return true;
    const auto straddling = joined(i);
    return straddling && is_past(straddling->time);
  }

  // The first transaction, commit or abort, after redo that ends past the target time.
  std::optional<TransactionEnd> first_past_time() {
    for (std::size_t i = 0; i < segments().size(); ++i) {
      if (!may_pass_time(i)) continue;
      for (const TransactionEnd& transaction : transactions(i)) {
        if (is_past(transaction.time)) return transaction;
      }
    }
    return std::nullopt;
  }

  // The last commit before, and the first from `lsn` on.
  void set_commits_around(RecoveryPlan& plan, Lsn lsn, std::optional<Lsn> included) {
    const auto contained = [&](const TransactionEnd& t) {
      return t.start < lsn || (included && t.start == *included);
    };
    const SegmentSize size = rows_.cluster.identity.segment_size;
    for (std::size_t i = 0; i < segments().size(); ++i) {
      const Lsn begin = segments()[i].row->name.start(size);
      if (begin + size <= lsn) continue;
      if (begin > lsn && plan.commit_after) break;
      if (segments()[i].row->index.commits == 0 && !joined(i)) continue;
      for (const TransactionEnd& transaction : transactions(i)) {
        if (!transaction.is_commit) continue;
        if (contained(transaction)) {
          plan.commit_before = transaction;
        } else if (!plan.commit_after) {
          plan.commit_after = transaction;
        }
      }
    }
    for (std::size_t i = segments().size(); i > 0 && !plan.commit_before; --i) {
      if (segments()[i - 1].row->name.start(size) > lsn) continue;
      if (segments()[i - 1].row->index.commits == 0 && !joined(i - 1)) continue;
      for (const TransactionEnd& transaction : transactions(i - 1)) {
        if (transaction.is_commit && contained(transaction)) plan.commit_before = transaction;
      }
    }
    if (!plan.commit_before) plan.commit_before = last_commit_before_redo();
  }

  // The last commit that the backup's files contain from the beginning.
  std::optional<TransactionEnd> last_commit_before_redo() {
    const BackupSummary& backup = *candidate_.backup;
    const SegmentSize size = rows_.cluster.identity.segment_size;
    std::optional<TransactionEnd> last;
    for (auto row = rows_.segments.rbegin(); row != rows_.segments.rend() && !last; ++row) {
      if (row->name.timeline != backup.timeline || row->name.start(size) >= backup.start_lsn) {
        continue;
      }
      if (row->index.commits == 0) continue;
      for (const TransactionEnd& transaction : read_(*row, nullptr)) {
        if (transaction.is_commit && transaction.start < backup.start_lsn) last = transaction;
      }
    }
    return last;
  }

  void stop_at_commit(RecoveryPlan& plan, Lsn fallback) {
    plan.stop = {.kind = PlannedStop::Kind::kCommit, .lsn = fallback};
    if (plan.commit_before) {
      plan.stop.lsn = plan.commit_before->start;
      plan.stop.time = plan.commit_before->time;
      plan.stop.xid = plan.commit_before->xid;
    } else {
      plan.stop.kind = PlannedStop::Kind::kLsn;
    }
  }

  bool find_time(RecoveryPlan& plan) {
    // What the backup itself contains cannot be taken back.
    const BackupSummary& backup = *candidate_.backup;
    const Instant contained = last_commit_before(rows_, backup).value_or(backup.finished_at);
    if (is_past(to_postgres_time(contained))) return refuse_contained();
    const auto stop = first_past_time();
    if (!stop) return find_end_for_time(plan);
    // PostgreSQL stops before this record, and only once the backup is consistent.
    if (stop->start < stop_lsn()) return refuse_contained();
    set_commits_around(plan, stop->start, std::nullopt);
    stop_at_commit(plan, stop->start);
    needed_until_ = end_of(*stop) - 1;
    avoid_removals(plan, stop->start);
    return true;
  }

  bool refuse_contained() {
    return refuse("before_backup",
                  fmt::format("backup \"{}\" already contains a transaction later than the target",
                              candidate_.backup->id));
  }

  // After the last archived commit PostgreSQL would replay everything and die; and without a target
  // it would also replay what is archived between now and its start.
  bool find_end_for_time(RecoveryPlan& plan) {
    if (request_.target.time > request_.now) {
      return refuse("in_the_future", "the target time is in the future");
    }
    if (candidate_.path.behind_gap) return refuse_gap();
    if (request_.strict) {
      return refuse("after_last_commit", "no commit after the target is archived yet");
    }
    const Lsn last = candidate_.path.last_record();
    if (last < stop_lsn()) {
      return refuse("wal_missing", "no record after the end of the backup is archived yet");
    }
    set_commits_around(plan, kEndOfTime, std::nullopt);
    plan.written = last_target();
    plan.stop = {.kind = PlannedStop::Kind::kEndOfWal, .lsn = candidate_.path.end_of_records()};
    if (plan.commit_before) {
      plan.stop.time = plan.commit_before->time;
      plan.stop.xid = plan.commit_before->xid;
    }
    plan.warnings.push_back(
        plan.commit_before
            ? fmt::format("no commit after the target is archived yet; recovery stops at the last "
                          "archived one, at {} (transaction {}). Later WAL was not archived yet",
                          to_local_text(from_postgres_time(plan.commit_before->time)),
                          plan.commit_before->xid)
            : "no commit after the target is archived yet; recovery stops at the end of the "
              "archived WAL. Later WAL was not archived yet");
    needed_until_ = last;
    avoid_removals(plan, last + 1);
    return true;
  }

  // Ends recovery at the last record of the path.
  RecoveryTarget last_target() const {
    const auto fork = candidate_.path.fork_inside();
    return {.kind = RecoveryTarget::Kind::kLsn,
            .lsn = fork.value_or(candidate_.path.last_record()),
            .inclusive = !fork};
  }

  bool find_end(RecoveryPlan& plan) {
    if (candidate_.path.behind_gap && !request_.until_gap) return refuse_gap();
    set_commits_around(plan, kEndOfTime, std::nullopt);
    plan.stop = {.kind = PlannedStop::Kind::kEndOfWal, .lsn = candidate_.path.end_of_records()};
    if (plan.commit_before) {
      plan.stop.time = plan.commit_before->time;
      plan.stop.xid = plan.commit_before->xid;
    }
    if (candidate_.path.behind_gap) {
      // pitr-restore would refuse to end recovery at a gap: a target must end it before.
      const Lsn last = candidate_.path.last_record();
      if (last < stop_lsn()) return refuse_gap();
      plan.written = last_target();
    }
    if (candidate_.path.fork_inside()) plan.written = last_target();
    needed_until_ = kEndOfTime;
    return true;
  }

  bool find_consistency(RecoveryPlan& plan) {
    plan.stop = {.kind = PlannedStop::Kind::kConsistency, .lsn = stop_lsn()};
    set_commits_around(plan, stop_lsn(), std::nullopt);
    needed_until_ = stop_lsn() - 1;
    return true;
  }

  // The wanted transaction among those of segment i; what else bears its id is noted.
  const TransactionEnd* find_wanted(std::size_t i) {
    const auto wanted = static_cast<std::uint32_t>(request_.target.xid);
    for (const TransactionEnd& transaction : transactions(i)) {
      if (transaction.xid == wanted && is_wanted_epoch(i)) return &transaction;
      if (transaction.xid == wanted) is_of_two_epochs_ = true;
      const auto& parts = transaction.subtransactions;
      if (std::find(parts.begin(), parts.end(), wanted) != parts.end()) part_of_ = transaction.xid;
    }
    return nullptr;
  }

  bool find_xid(RecoveryPlan& plan) {
    for (std::size_t i = 0; i < segments().size(); ++i) {
      if (!segments()[i].row->index.has_transactions() && !joined(i)) continue;
      if (const TransactionEnd* found = find_wanted(i)) return accept_xid(plan, *found);
    }
    if (part_of_) {
      return refuse("subtransaction",
                    fmt::format("{} is part of transaction {}", request_.target.xid, *part_of_));
    }
    if (candidate_.path.behind_gap) return refuse_gap();
    return refuse("xid_not_found",
                  fmt::format("transaction {} neither committed nor aborted in the archived WAL "
                              "after backup \"{}\"",
                              request_.target.xid, candidate_.backup->id));
  }

  // The target may have 64 bits, the WAL has 32: an equal id of another epoch is another one.
  bool is_wanted_epoch(std::size_t i) const {
    if (request_.target.xid <= UINT32_MAX) return true;
    for (std::size_t j = i + 1; j > 0; --j) {
      const std::uint64_t next_xid = segments()[j - 1].row->index.next_xid;
      if (next_xid == 0) continue;
      const auto low = static_cast<std::uint32_t>(request_.target.xid);
      return full_transaction_id(low, next_xid) == request_.target.xid;
    }
    return true;
  }

  bool accept_xid(RecoveryPlan& plan, const TransactionEnd& transaction) {
    if (transaction.start < stop_lsn()) {
      return refuse("before_backup", fmt::format("transaction {} ended before backup \"{}\" did",
                                                 request_.target.xid, candidate_.backup->id));
    }
    const bool inclusive = request_.target.inclusive;
    // PostgreSQL compares 32 bits: it would stop at the first of them.
    if (is_of_two_epochs_) {
      plan.written = {
          .kind = RecoveryTarget::Kind::kLsn, .lsn = transaction.start, .inclusive = inclusive};
    }
    set_commits_around(plan, transaction.start,
                       inclusive ? std::optional(transaction.start) : std::nullopt);
    stop_at_commit(plan, transaction.start);
    if (!transaction.is_commit) {
      plan.warnings.push_back(fmt::format("transaction {} was aborted", request_.target.xid));
    }
    // PostgreSQL reads the record to its end, also when it stops before it.
    needed_until_ = end_of(transaction) - 1;
    if (!inclusive) avoid_removals(plan, transaction.start);
    return true;
  }

  bool find_name(RecoveryPlan& plan) {
    std::vector<RestorePoint> found;
    for (std::size_t i = 0; i < segments().size(); ++i) {
      const PathSegment& segment = segments()[i];
      const auto take = [&](const RestorePoint& point) {
        const bool on_path = point.start >= segment.begin && point.start < segment.end;
        if (on_path && point.name == request_.target.name) found.push_back(point);
      };
      for (const RestorePoint& point : segment.row->index.restore_points)
        take(point);
      if (i + 1 == segments().size()) break;
      visit_joined_record(segment.row->index, segments()[i + 1].row->index,
                          rows_.cluster.identity.postgres_version, {.on_restore_point = take});
    }
    for (RestorePoint& point : found) {
      if (point.end == 0) point.end = end_of_open_record(segment_of(point.start));
    }
    if (found.empty()) {
      if (candidate_.path.behind_gap) return refuse_gap();
      return refuse(
          "restore_point_not_found",
          fmt::format("no restore point \"{}\" is in the archived WAL after backup \"{}\"",
                      request_.target.name, candidate_.backup->id));
    }
    const RestorePoint& first = found.front();
    if (first.end < stop_lsn()) {
      return refuse("before_backup",
                    fmt::format("restore point \"{}\" lies before the end of backup \"{}\"",
                                request_.target.name, candidate_.backup->id));
    }
    if (found.size() > 1) {
      plan.warnings.push_back(
          fmt::format("restore point \"{}\" exists {} times; recovery stops at the one at {} of {}",
                      request_.target.name, found.size(), format_lsn(first.start),
                      to_local_text(from_postgres_time(first.time))));
    }
    set_commits_around(plan, first.start, std::nullopt);
    plan.stop = {.kind = PlannedStop::Kind::kRestorePoint, .lsn = first.start, .time = first.time};
    needed_until_ = first.end - 1;
    return true;
  }

  bool find_lsn(RecoveryPlan& plan) {
    const Lsn lsn = request_.target.lsn;
    if (lsn < stop_lsn()) {
      return refuse("before_backup",
                    fmt::format("{} lies before the end of backup \"{}\" at {}", format_lsn(lsn),
                                candidate_.backup->id, format_lsn(stop_lsn())));
    }
    if (lsn > candidate_.path.last_record()) {
      if (candidate_.path.behind_gap) return refuse_gap();
      return refuse("after_end",
                    fmt::format("no record at or after {} is archived; the last one "
                                "begins at {}",
                                format_lsn(lsn), format_lsn(candidate_.path.last_record())));
    }
    // Recovery stops at the first record that starts at or after the target.
    const RecordPlace stop = record_at(lsn);
    set_commits_around(plan, stop.start,
                       request_.target.inclusive ? std::optional(stop.start) : std::nullopt);
    plan.stop = {.kind = PlannedStop::Kind::kLsn, .lsn = stop.start};
    if (plan.commit_before) {
      plan.stop.time = plan.commit_before->time;
      plan.stop.xid = plan.commit_before->xid;
    }
    needed_until_ = stop.end - 1;
    return true;
  }

  RecordPlace record_at(Lsn lsn) const {
    const SegmentSize size = rows_.cluster.identity.segment_size;
    for (std::size_t i = 0; find_ && i < segments().size(); ++i) {
      if (segments()[i].row->name.start(size) + size <= lsn) continue;
      const auto found = find_(*segments()[i].row, lsn);
      if (!found || found->start >= segments()[i].end) continue;
      return {.start = found->start, .end = found->end != 0 ? found->end : end_of_open_record(i)};
    }
    return {.start = lsn, .end = lsn + 1};
  }

  Lsn end_of(const TransactionEnd& transaction) const {
    return transaction.end != 0 ? transaction.end
                                : end_of_open_record(segment_of(transaction.start));
  }

  // Between the last wanted commit and the stop an unwanted transaction may already have removed a
  // database's files, and before that have marked it as invalid in place (dropdb() in dbcommands.c
  // does, since 15.4). Then recovery must end with the last wanted commit.
  void avoid_removals(RecoveryPlan& plan, Lsn stop) const {
    const Lsn after = std::max(plan.commit_before ? plan.commit_before->start : 0, stop_lsn());
    const SegmentSize size = rows_.cluster.identity.segment_size;
    for (std::size_t i = segment_of(after); find_removal_ && i < segments().size(); ++i) {
      if (segments()[i].row->name.start(size) >= stop) return;
      const auto removal = find_removal_(*segments()[i].row, after);
      if (!removal || removal->start >= stop) continue;
      plan.written = {.kind = RecoveryTarget::Kind::kImmediate};
      if (plan.commit_before && plan.commit_before->start >= stop_lsn()) {
        plan.written = {.kind = RecoveryTarget::Kind::kLsn, .lsn = plan.commit_before->start};
      }
      return;
    }
  }

  std::size_t segment_of(Lsn lsn) const {
    const SegmentSize size = rows_.cluster.identity.segment_size;
    std::size_t i = 0;
    while (i + 1 < segments().size() && segments()[i].row->name.start(size) + size <= lsn)
      ++i;
    return i;
  }

  // A record may span any number of segments; the one in which it ends is needed, too.
  Lsn end_of_open_record(std::size_t i) const {
    const SegmentSize size = rows_.cluster.identity.segment_size;
    std::size_t last = i + 1;
    while (last + 1 < segments().size() && segments()[last].row->index.first_record == 0)
      ++last;
    return segments()[std::min(last, segments().size() - 1)].row->name.start(size) + 1;
  }

  bool refuse_gap() {
    if (candidate_.path.damaged) {
      missing_ = {candidate_.path.missing.to_string()};
      return refuse("wal_damaged",
                    fmt::format("segment \"{}\" holds an invalid record; recovery cannot enter it",
                                candidate_.path.missing.to_string()));
    }
    constexpr std::size_t kMostNamed = 1000;
    const SegmentSize size = rows_.cluster.identity.segment_size;
    for (SegmentName name = candidate_.path.missing;
         name < *candidate_.path.behind_gap && missing_.size() < kMostNamed;
         name = name.next(size)) {
      missing_.push_back(name.to_string());
    }
    return refuse("wal_gap", fmt::format("the WAL has a gap: \"{}\" is missing, \"{}\" is stored",
                                         candidate_.path.missing.to_string(),
                                         candidate_.path.behind_gap->to_string()));
  }

 public:
  // The last byte of WAL that recovery needs.
  Lsn needed_until() const { return needed_until_; }

 private:
  const ClusterRows& rows_;
  const PlanRequest& request_;
  const Candidate& candidate_;
  const TransactionReader& read_;
  const RecordFinder& find_;
  const RecordFinder& find_removal_;
  std::map<std::size_t, std::vector<TransactionEnd>> read_already_;
  std::optional<PlanReason> reason_;
  std::vector<std::string> missing_;
  std::optional<std::uint32_t> part_of_;  // the target xid is that of its subtransaction
  bool is_of_two_epochs_ = false;
  Lsn needed_until_ = 0;
};

void note_tablespace(RecoveryPlan& plan, const PathSegment& segment,
                     const TablespaceCreation& creation, Lsn needed_until) {
  if (creation.start < segment.begin || creation.start >= segment.end) return;
  if (creation.start <= needed_until) plan.tablespaces_created.push_back(creation);
}

void describe_candidate(RecoveryPlan& plan, const Candidate& candidate, TimelineId timeline,
                        Lsn needed_until, const ClusterIdentity& cluster) {
  const SegmentSize size = cluster.segment_size;
  const unsigned version = cluster.postgres_version;
  plan.backup = candidate.backup;
  plan.timeline = timeline;
  for (const TimelineStretch& stretch : candidate.path.stretches) {
    plan.timeline_path.push_back(stretch.timeline);
  }
  plan.bytes_to_fetch = candidate.backup->stored_bytes;
  plan.unusable_wal_behind = candidate.path.behind_gap.has_value();
  for (const PathSegment& segment : candidate.path.segments) {
    if (segment.row->name.start(size) > needed_until) break;
    if (plan.first_segment.empty()) plan.first_segment = segment.row->name.to_string();
    plan.last_segment = segment.row->name.to_string();
    ++plan.segment_count;
    plan.bytes_to_fetch += segment.row->stored_bytes;
    if (segment.row->index.next_xid != 0) plan.next_xid = segment.row->index.next_xid;
    for (const TablespaceCreation& creation : segment.row->index.tablespaces) {
      note_tablespace(plan, segment, creation, needed_until);
    }
    if (&segment != &candidate.path.segments.back()) {
      visit_joined_record(segment.row->index, (&segment + 1)->row->index, version,
                          {.on_tablespace_creation = [&](const TablespaceCreation& creation) {
                            note_tablespace(plan, segment, creation, needed_until);
                          }});
    }
  }
}

std::vector<TimelineId> timelines_to_try(const ClusterRows& rows, const PlanRequest& request) {
  if (request.timeline) return std::vector<TimelineId>(1, *request.timeline);
  std::vector<TimelineId> timelines = known_timelines(rows);
  std::reverse(timelines.begin(), timelines.end());
  // The end of the WAL means that of the newest timeline, not of an abandoned one.
  const bool only_newest =
      request.newest_timeline || request.target.kind == RecoveryTarget::Kind::kEnd;
  if (only_newest && !timelines.empty()) {
    timelines.erase(timelines.begin() + 1, timelines.end());
  }
  return timelines;
}

// A reason that names a gap or the future says more than that a backup does not serve.
bool says_more(const PlanReason& reason, const std::optional<PlanReason>& known) {
  if (!known) return true;
  return known->code == "before_backup" && reason.code != "before_backup";
}

std::string why_no_candidate(const ClusterRows& rows, const PlanRequest& request) {
  if (rows.backups.empty()) return "there is no base backup";
  if (!request.backup_id.empty() &&
      std::none_of(rows.backups.begin(), rows.backups.end(),
                   [&](const BackupSummary& backup) { return backup.id == request.backup_id; })) {
    return fmt::format("there is no backup \"{}\"", request.backup_id);
  }
  if (request.timeline && !timeline_path(rows, *request.timeline)) {
    return fmt::format("the history file of timeline {} is not in the repository",
                       *request.timeline);
  }
  if (request.timeline) {
    return fmt::format("no usable base backup lies on the path to timeline {}", *request.timeline);
  }
  return "no base backup has all of its WAL in the repository";
}

void add_nearest(RecoveryPlan& plan, const ClusterRows& rows, const PlanRequest& request) {
  plan.windows = reachable_windows(rows);
  for (const ReachableWindow& window : plan.windows) {
    if (window.to_time && (request.target.kind != RecoveryTarget::Kind::kTime ||
                           *window.to_time <= request.target.time)) {
      plan.nearest_before =
          std::max(plan.nearest_before.value_or(*window.to_time), *window.to_time);
    }
    if (request.target.kind == RecoveryTarget::Kind::kTime &&
        window.from_time > request.target.time) {
      plan.nearest_after =
          std::min(plan.nearest_after.value_or(window.from_time), window.from_time);
    }
  }
}

}  // namespace

RecoveryPlan plan_recovery(const ClusterRows& rows, const PlanRequest& request,
                           const TransactionReader& read, const RecordFinder& find,
                           const RecordFinder& find_removal) {
  std::optional<PlanReason> reason;
  std::vector<std::string> missing;
  for (const TimelineId timeline : timelines_to_try(rows, request)) {
    const bool gap_on_newer_timeline = reason && reason->code.starts_with("wal_");
    for (const Candidate& candidate : candidates_on(rows, timeline, request.backup_id)) {
      Search search(rows, request, candidate, read, find, find_removal);
      RecoveryPlan plan{.target = request.target};
      const bool found = search.find(plan);
      // Where a newer timeline should reach the target but has a gap, the end of an abandoned one
      // is not the moment that was asked for.
      if (found && gap_on_newer_timeline && plan.stop.kind == PlannedStop::Kind::kEndOfWal) {
        continue;
      }
      if (found) {
        describe_candidate(plan, candidate, timeline, search.needed_until(), rows.cluster.identity);
        return plan;
      }
      if (says_more(*search.reason(), reason)) {
        reason = search.reason();
        missing = search.missing();
      }
    }
  }
  RecoveryPlan plan{.target = request.target, .written = request.target};
  plan.reason = reason ? *reason : PlanReason{"no_backup", why_no_candidate(rows, request)};
  plan.missing = std::move(missing);
  add_nearest(plan, rows, request);
  return plan;
}

namespace {

// The greatest commit time on the path, if it is later than `from`.
std::optional<Instant> last_commit_after(const WalPath& path, Instant from) {
  std::optional<Instant> greatest;
  for (const PathSegment& segment : path.segments) {
    const auto& last = segment.row->index.last_commit;
    if (!last || segment.row->index.end_of_records > segment.end) continue;
    const Instant commit = from_postgres_time(*last);
    if (commit > from) greatest = std::max(greatest.value_or(commit), commit);
  }
  return greatest;
}

}  // namespace

std::vector<ReachableWindow> reachable_windows(const ClusterRows& rows) {
  std::vector<ReachableWindow> windows;
  for (const TimelineId timeline : known_timelines(rows)) {
    for (const Candidate& candidate : candidates_on(rows, timeline, "")) {
      const BackupSummary& backup = *candidate.backup;
      ReachableWindow window{
          .timeline = timeline,
          .backup_id = backup.id,
          .from_lsn = backup.stop_lsn,
          .to_lsn = std::max(candidate.path.end_of_records(), backup.stop_lsn),
          .from_time = last_commit_before(rows, backup).value_or(backup.finished_at)};
      window.to_time = last_commit_after(candidate.path, window.from_time);
      windows.push_back(window);
    }
  }
  return windows;
}

}  // namespace pitr
