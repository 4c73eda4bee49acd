#include "catalog/target_search.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "wal/transaction_id.h"

namespace pitr {

namespace {

constexpr std::int32_t kWalLevelMinimal = 0;

bool has_commits(const WalTotals& totals) { return totals.commits > 0; }
bool has_checkpoint(const WalTotals& totals) { return totals.next_xid != 0; }

// A log's WAL up to `limit`, as far as it is of the stretch.
std::optional<std::int64_t> last_commit_of(const ClusterRows& rows, const LogSummary& log,
                                           Lsn limit) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  if (!log.totals.last_commit) return std::nullopt;
  const Lsn end = SegmentName{log.timeline, log.log, log.last}.start(size) + size;
  if (end <= limit) return log.totals.last_commit;
  std::optional<std::int64_t> last;
  for (const SegmentRow& row : rows.wal.load(log.timeline, log.log)->segments) {
    if (row.name.start(size) + size <= limit) last = std::max(last, row.index.last_commit);
  }
  return last;
}

// Whether a whole segment of the log between two positions holds a commit.
bool has_commit_between(const ClusterRows& rows, const LogSummary& log, Lsn begin, Lsn end) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const Lsn last = SegmentName{log.timeline, log.log, log.last}.start(size);
  if (log.totals.commits == 0 || last < begin) return false;
  const auto loaded = rows.wal.load(log.timeline, log.log);
  return std::any_of(loaded->segments.begin(), loaded->segments.end(), [&](const SegmentRow& row) {
    const Lsn start = row.name.start(size);
    return start >= begin && start + size <= end && row.index.commits > 0;
  });
}

StandbySettings greatest(const StandbySettings& a, const ParameterChange& b) {
  return {.max_connections = std::max(a.max_connections, b.max_connections),
          .max_worker_processes = std::max(a.max_worker_processes, b.max_worker_processes),
          .max_wal_senders = std::max(a.max_wal_senders, b.max_wal_senders),
          .max_prepared_transactions =
              std::max(a.max_prepared_transactions, b.max_prepared_transactions),
          .max_locks_per_transaction =
              std::max(a.max_locks_per_transaction, b.max_locks_per_transaction)};
}

}  // namespace

namespace {

// From where on the WAL before the backup is stored without a gap.
Lsn unbroken_before(const ClusterRows& rows, const BackupSummary& backup) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const auto path = timeline_path(rows, backup.timeline).value_or(std::vector<TimelineStretch>());
  Lsn begin = backup.start_lsn / size * size;
  while (begin > 0) {
    TimelineId timeline = backup.timeline;
    for (const TimelineStretch& stretch : path) {
      if (stretch.begin / size * size < begin) timeline = stretch.timeline;
    }
    const SegmentName name = SegmentName::containing(timeline, begin - 1, size);
    const LogSummary* log = rows.wal.find_log(name.timeline, name.log);
    if (log == nullptr || !rows.wal.find_whole(name)) return begin;
    const bool is_run = log->is_contiguous() && name.segment >= log->first;
    begin -= is_run ? Lsn{name.segment - log->first + 1} * size : size;
  }
  return begin;
}

}  // namespace

std::optional<Instant> last_commit_in(const ClusterRows& rows, const BackupSummary& backup) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const auto path = timeline_path(rows, backup.timeline).value_or(std::vector<TimelineStretch>());
  std::optional<std::int64_t> greatest;
  // Behind a gap nobody knows what the backup holds from there on, unless a later commit does.
  bool is_known = backup.last_commit_at.has_value();
  const Lsn unbroken = is_known ? 0 : unbroken_before(rows, backup);
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.segments == 0 ||
        SegmentName{log.timeline, log.log, log.first}.start(size) >= backup.start_lsn) {
      continue;
    }
    for (const TimelineStretch& stretch : path) {
      if (stretch.timeline != log.timeline) continue;
      const Lsn end = std::min(stretch.end, backup.start_lsn);
      greatest = std::max(greatest, last_commit_of(rows, log, end));
      is_known = is_known || has_commit_between(rows, log, unbroken, end);
    }
  }
  // What is known may be later than the backup's end, by a clock that was put back.
  if (!is_known && !greatest) return std::nullopt;
  if (!is_known) return std::max(from_postgres_time(*greatest), backup.finished_at);
  if (!greatest) return backup.last_commit_at;
  const Instant before_start = from_postgres_time(*greatest);
  return std::max(backup.last_commit_at.value_or(before_start), before_start);
}

TargetSearch::TargetSearch(const ClusterRows& rows, const PlanRequest& request,
                           const RecoveryCandidate& candidate, const WalReader& reader,
                           SearchMemory& memory)
    : rows_(rows), request_(request), candidate_(candidate), reader_(reader), memory_(memory) {}

bool TargetSearch::find(RecoveryPlan& plan) {
  plan.written = request_.target;
  return find_target(plan) && look_at_the_way(plan);
}

bool TargetSearch::find_target(RecoveryPlan& plan) {
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

bool TargetSearch::refuse(std::string code, std::string message) {
  reason_ = PlanReason{std::move(code), std::move(message)};
  return false;
}

bool TargetSearch::refuse_contained() {
  return refuse("before_backup",
                fmt::format("backup \"{}\" already contains a transaction later than the target",
                            candidate_.backup->id));
}

bool TargetSearch::refuse_gap() {
  if (path().is_damaged()) {
    missing_ = {path().missing().to_string()};
    return refuse("wal_damaged",
                  fmt::format("segment \"{}\" holds an invalid record; recovery cannot enter it",
                              path().missing().to_string()));
  }
  const SegmentSize size = rows_.cluster.identity.segment_size;
  const SegmentName& gone = path().missing();
  if (rows_.expiry.covers(gone.timeline, gone.number(size), gone.number(size))) {
    return refuse("expired",
                  fmt::format("the WAL after backup \"{}\", from \"{}\" on, was removed by "
                              "retention (pitr expire)",
                              candidate_.backup->id, gone.to_string()));
  }
  constexpr std::size_t kMostNamed = 1000;
  const Lsn end = path().behind_gap()->start(size);
  for (Lsn lsn = path().missing().start(size); lsn < end && missing_.size() < kMostNamed;
       lsn += size) {
    TimelineId timeline = path().missing().timeline;
    for (const TimelineStretch& stretch : path().stretches()) {
      if (stretch.begin / size * size <= lsn) timeline = std::max(timeline, stretch.timeline);
    }
    missing_.push_back(SegmentName::containing(timeline, lsn, size).to_string());
  }
  return refuse("wal_gap",
                fmt::format("the WAL has a gap: \"{}\" is missing, \"{}\" is stored",
                            path().missing().to_string(), path().behind_gap()->to_string()));
}

bool TargetSearch::is_past(std::int64_t time) const {
  const std::int64_t target = to_postgres_time(request_.target.time);
  return request_.target.inclusive ? time > target : time >= target;
}

// Those that recovery replays from the segment.
const std::vector<TransactionEnd>& TargetSearch::transactions(const PathSegment& segment) {
  const auto found = read_already_.find(segment.row->key);
  if (found != read_already_.end()) return found->second;
  std::vector<TransactionEnd> all = reader_.transactions(*segment.row);
  std::erase_if(
      all, [&](const TransactionEnd& transaction) { return !segment.replays(transaction.start); });
  return read_already_.emplace(segment.row->key, std::move(all)).first->second;
}

// The first transaction, commit or abort, after redo that ends past the target time.
std::optional<TransactionEnd> TargetSearch::first_past_time() {
  std::optional<TransactionEnd> first;
  path().visit(
      0,
      [this](const WalTotals& totals) {
        return totals.has_transactions() && is_past(totals.max_time);
      },
      [&](const PathSegment& segment) {
        for (const TransactionEnd& transaction : transactions(segment)) {
          if (!first && is_past(transaction.time)) first = transaction;
        }
        return !first;
      });
  return first;
}

// The last commit before, and the first from `lsn` on.
void TargetSearch::set_commits_around(RecoveryPlan& plan, Lsn lsn, std::optional<Lsn> included) {
  const auto contained = [&](const TransactionEnd& t) {
    return t.start < lsn || (included && t.start == *included);
  };
  path().visit(lsn, has_commits, [&](const PathSegment& segment) {
    for (const TransactionEnd& transaction : transactions(segment)) {
      if (!transaction.is_commit) continue;
      if (contained(transaction)) {
        plan.commit_before = transaction;
      } else if (!plan.commit_after) {
        plan.commit_after = transaction;
      }
    }
    return !plan.commit_after;
  });
  if (!plan.commit_before) {
    path().visit_backward(lsn, has_commits, [&](const PathSegment& segment) {
      for (const TransactionEnd& transaction : transactions(segment)) {
        if (transaction.is_commit && contained(transaction)) plan.commit_before = transaction;
      }
      return !plan.commit_before;
    });
  }
  if (!plan.commit_before) plan.commit_before = last_commit_before_redo();
}

// The last commit that the backup's files contain from the beginning.
std::optional<TransactionEnd> TargetSearch::last_commit_before_redo() const {
  const BackupSummary& backup = *candidate_.backup;
  const SegmentSize size = rows_.cluster.identity.segment_size;
  const Lsn unbroken = unbroken_before(rows_, backup);
  std::optional<TransactionEnd> last;
  const auto& logs = rows_.wal.logs();
  for (auto log = logs.rbegin(); log != logs.rend() && !last; ++log) {
    if (log->timeline != backup.timeline || log->totals.commits == 0) continue;
    if (SegmentName{log->timeline, log->log, log->first}.start(size) >= backup.start_lsn) continue;
    const auto rows = rows_.wal.load(log->timeline, log->log);
    for (auto row = rows->segments.rbegin(); row != rows->segments.rend() && !last; ++row) {
      if (row->name.start(size) >= backup.start_lsn || row->index.commits == 0) continue;
      if (row->name.start(size) < unbroken) return last;
      for (const TransactionEnd& transaction : reader_.transactions(*row)) {
        if (transaction.is_commit && transaction.start < backup.start_lsn) last = transaction;
      }
    }
  }
  return last;
}

void TargetSearch::stop_at_commit(RecoveryPlan& plan, Lsn fallback) {
  plan.stop = {.kind = PlannedStop::Kind::kCommit, .lsn = fallback};
  if (plan.commit_before) {
    plan.stop.lsn = plan.commit_before->start;
    plan.stop.time = plan.commit_before->time;
    plan.stop.xid = plan.commit_before->xid;
  } else {
    plan.stop.kind = PlannedStop::Kind::kLsn;
  }
}

bool TargetSearch::find_time(RecoveryPlan& plan) {
  // What the backup itself contains cannot be taken back.
  const BackupSummary& backup = *candidate_.backup;
  if (backup.last_commit_at && is_past(to_postgres_time(*backup.last_commit_at))) {
    return refuse_contained();
  }
  const Instant contained = last_commit_in(rows_, backup).value_or(backup.finished_at);
  if (is_past(to_postgres_time(contained))) return refuse_contained();
  const auto stop = first_past_time();
  if (!stop) return find_end_for_time(plan);
  // PostgreSQL stops before this record, and only once the backup is consistent.
  if (stop->start < stop_lsn()) return refuse_contained();
  set_commits_around(plan, stop->start, std::nullopt);
  stop_at_commit(plan, stop->start);
  stops_before_ = stop->start;
  needed_until_ = end_of(*stop) - 1;
  avoid_removals(plan, stop->start);
  return true;
}

// After the last archived commit PostgreSQL would replay everything and die; and without a target
// it would also replay what is archived between now and its start.
bool TargetSearch::find_end_for_time(RecoveryPlan& plan) {
  if (request_.target.time > request_.now) {
    return refuse("in_the_future", "the target time is in the future");
  }
  if (path().behind_gap()) return refuse_gap();
  if (request_.strict) {
    return refuse("after_last_commit", "no commit after the target is archived yet");
  }
  const Lsn last = path().last_record();
  if (last < stop_lsn()) {
    return refuse("wal_missing", "no record after the end of the backup is archived yet");
  }
  set_commits_around(plan, kEndOfTime, std::nullopt);
  plan.written = last_target();
  plan.stop = {.kind = PlannedStop::Kind::kEndOfWal, .lsn = path().end_of_records()};
  if (plan.commit_before) {
    plan.stop.time = plan.commit_before->time;
    plan.stop.xid = plan.commit_before->xid;
  }
  plan.warnings.push_back(
      plan.commit_before
          ? fmt::format(
                "no commit after the target is archived on timeline {} yet; recovery stops at "
                "its last archived one, at {} (transaction {}). Later WAL was not archived yet",
                timeline(), to_local_text(from_postgres_time(plan.commit_before->time)),
                plan.commit_before->xid)
          : fmt::format(
                "no commit after the target is archived on timeline {} yet; recovery stops at "
                "the end of its archived WAL. Later WAL was not archived yet",
                timeline()));
  needed_until_ = std::max(last, path().end_of_records() - 1);
  avoid_removals(plan, last + 1);
  return true;
}

// Ends recovery at the last record of the path.
RecoveryTarget TargetSearch::last_target() const {
  const auto fork = path().fork_inside();
  return {.kind = RecoveryTarget::Kind::kLsn,
          .lsn = fork.value_or(path().last_record()),
          .inclusive = !fork};
}

bool TargetSearch::find_end(RecoveryPlan& plan) {
  if (path().behind_gap() && !request_.until_gap) return refuse_gap();
  set_commits_around(plan, kEndOfTime, std::nullopt);
  plan.stop = {.kind = PlannedStop::Kind::kEndOfWal, .lsn = path().end_of_records()};
  if (plan.commit_before) {
    plan.stop.time = plan.commit_before->time;
    plan.stop.xid = plan.commit_before->xid;
  }
  if (path().behind_gap()) {
    // pitr-restore would refuse to end recovery at a gap: a target must end it before.
    if (path().last_record() < stop_lsn()) return refuse_gap();
    plan.written = last_target();
    plan.warnings.push_back(fmt::format(
        "recovery ends at a gap: what was committed behind it, where WAL is stored from "
        "\"{}\" on, is left out",
        path().behind_gap()->to_string()));
  }
  if (path().fork_inside()) plan.written = last_target();
  needed_until_ = kEndOfTime;
  if (!request_.end_as_target) return true;
  // Without a record behind the backup's end there is nothing to stop at but that.
  const Lsn last = path().last_record();
  plan.written =
      last < stop_lsn() ? RecoveryTarget{.kind = RecoveryTarget::Kind::kImmediate} : last_target();
  avoid_removals(plan, last + 1);
  return true;
}

bool TargetSearch::find_consistency(RecoveryPlan& plan) {
  plan.stop = {.kind = PlannedStop::Kind::kConsistency, .lsn = stop_lsn()};
  set_commits_around(plan, stop_lsn(), std::nullopt);
  stops_before_ = stop_lsn();
  needed_until_ = stop_lsn() - 1;
  return true;
}

// By what the row itself keeps, without reading its transactions.
bool TargetSearch::may_hold_xid(const SegmentRow& row) const {
  const auto wanted = static_cast<std::uint32_t>(request_.target.xid);
  if (row.open_transaction || !reader_.xids) return true;
  const auto xids = reader_.xids(row);
  return !xids || std::binary_search(xids->begin(), xids->end(), wanted);
}

// The wanted transaction among those of a segment; what else bears its id is noted.
const TransactionEnd* TargetSearch::wanted_of(const PathSegment& segment) {
  const auto wanted = static_cast<std::uint32_t>(request_.target.xid);
  for (const TransactionEnd& transaction : transactions(segment)) {
    const auto& parts = transaction.subtransactions;
    const bool is_part = std::find(parts.begin(), parts.end(), wanted) != parts.end();
    if (transaction.xid != wanted && !is_part) continue;
    if (!is_wanted_epoch(segment)) {
      is_of_two_epochs_ = is_of_two_epochs_ || !is_part;
    } else if (is_part) {
      part_of_ = transaction.xid;
    } else {
      return &transaction;
    }
  }
  return nullptr;
}

std::optional<TransactionEnd> TargetSearch::find_wanted_xid() {
  const auto wanted = static_cast<std::uint32_t>(request_.target.xid);
  std::optional<TransactionEnd> found;
  path().visit(
      0,
      [&](const WalTotals& totals) {
        return totals.has_transactions() && wanted >= totals.min_xid && wanted <= totals.max_xid;
      },
      [&](const PathSegment& segment) {
        if (!may_hold_xid(*segment.row)) return true;
        if (const TransactionEnd* transaction = wanted_of(segment)) found = *transaction;
        return !found;
      });
  return found;
}

bool TargetSearch::find_xid(RecoveryPlan& plan) {
  if (const auto found = find_wanted_xid()) return accept_xid(plan, *found);
  if (part_of_) {
    return refuse("subtransaction",
                  fmt::format("{} is part of transaction {}", request_.target.xid, *part_of_));
  }
  if (path().behind_gap()) return refuse_gap();
  return refuse("xid_not_found",
                fmt::format("transaction {} neither committed nor aborted in the archived WAL "
                            "after backup \"{}\"",
                            request_.target.xid, candidate_.backup->id));
}

// The target may have 64 bits, the WAL has 32: an equal id of another epoch is another one.
bool TargetSearch::is_wanted_epoch(const PathSegment& segment) const {
  if (request_.target.xid <= UINT32_MAX) return true;
  std::uint64_t next_xid = 0;
  path().visit_backward(segment.begin + 1, has_checkpoint, [&](const PathSegment& earlier) {
    next_xid = earlier.row->index.next_xid();
    return false;
  });
  if (next_xid == 0) return true;
  const auto low = static_cast<std::uint32_t>(request_.target.xid);
  return full_transaction_id(low, next_xid) == request_.target.xid;
}

bool TargetSearch::accept_xid(RecoveryPlan& plan, const TransactionEnd& transaction) {
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
  stops_before_ = transaction.start;
  needed_until_ = end_of(transaction) - 1;
  if (!inclusive) avoid_removals(plan, transaction.start);
  if (request_.end_with_last_commit) end_with_last_commit(plan);
  return true;
}

void TargetSearch::end_with_last_commit(RecoveryPlan& plan) const {
  if (!plan.commit_before || plan.commit_before->start < stop_lsn()) return;
  plan.written = {.kind = RecoveryTarget::Kind::kLsn, .lsn = plan.commit_before->start};
}

// Those of the wanted name in all the WAL that the path is a part of.
std::vector<RestorePoint> TargetSearch::all_restore_points() const {
  std::vector<RestorePoint> found;
  path().from_beginning().visit(
      0, [](const WalTotals& totals) { return totals.restore_points; },
      [&](const PathSegment& segment) {
        for (const RestorePoint& point : segment.row->index.restore_points) {
          if (point.name != request_.target.name || !segment.replays(point.start)) continue;
          found.push_back(point);
          if (point.end == 0) found.back().end = path().end_of_record_from(point.start).begin + 1;
        }
        return true;
      });
  return found;
}

std::vector<RestorePoint> TargetSearch::find_restore_points() {
  if (path().empty()) return {};
  const auto [known, is_new] = memory_.restore_points.try_emplace(path().wal());
  if (is_new) known->second = all_restore_points();
  std::vector<RestorePoint> found = known->second;
  std::erase_if(found, [&](const RestorePoint& point) { return point.start < path().start(); });
  return found;
}

bool TargetSearch::find_name(RecoveryPlan& plan) {
  const std::vector<RestorePoint> found = find_restore_points();
  if (found.empty()) {
    if (path().behind_gap()) return refuse_gap();
    return refuse("restore_point_not_found",
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
  stops_before_ = first.start;
  needed_until_ = first.end - 1;
  spare_removals(plan);
  return true;
}

// Only the record that ends the backup makes it consistent; behind it an inclusive target may stop.
bool TargetSearch::ends_backup(Lsn lsn) const {
  if (!request_.target.inclusive || lsn < candidate_.backup->start_lsn) return false;
  return record_at(lsn).end >= stop_lsn();
}

bool TargetSearch::find_lsn(RecoveryPlan& plan) {
  const Lsn lsn = request_.target.lsn;
  if (lsn < stop_lsn() && !ends_backup(lsn)) {
    return refuse("before_backup",
                  fmt::format("{} lies before the end of backup \"{}\" at {}", format_lsn(lsn),
                              candidate_.backup->id, format_lsn(stop_lsn())));
  }
  const Lsn last = path().last_record();
  if (lsn > last) {
    if (path().behind_gap()) return refuse_gap();
    return refuse("after_end", fmt::format("no record at or after {} is archived; the last one "
                                           "begins at {}",
                                           format_lsn(lsn), format_lsn(last)));
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
  // An inclusive target is replayed itself, whatever it is.
  stops_before_ = request_.target.inclusive ? stop.end : stop.start;
  needed_until_ = stop.end - 1;
  if (request_.end_with_last_commit) {
    end_with_last_commit(plan);
  } else {
    spare_removals(plan);
  }
  return true;
}

RecordPlace TargetSearch::record_at(Lsn lsn) const {
  std::optional<RecordPlace> place;
  if (reader_.find_record) {
    path().visit(lsn, {}, [&](const PathSegment& segment) {
      const auto found = reader_.find_record(*segment.row, lsn);
      if (found && found->start < segment.end) place = found;
      return !place;
    });
  }
  if (!place) return {.start = lsn, .end = lsn + 1};
  if (place->end == 0) place->end = path().end_of_record_from(place->start).begin + 1;
  return *place;
}

Lsn TargetSearch::end_of(const TransactionEnd& transaction) const {
  if (transaction.end != 0) return transaction.end;
  return path().end_of_record_from(transaction.start).begin + 1;
}

// Between the last wanted commit and the stop an unwanted transaction may already have removed a
// database's files, and before that have marked it as invalid in place (dropdb() in dbcommands.c
// does, since 15.4). Then recovery must end with the last wanted commit: true.
bool TargetSearch::avoid_removals(RecoveryPlan& plan, Lsn stop) const {
  const Lsn after = std::max(plan.commit_before ? plan.commit_before->start : 0, stop_lsn());
  bool removes = false;
  path().visit(
      after, [](const WalTotals& totals) { return totals.databases || totals.tablespaces; },
      [&](const PathSegment& segment) {
        const auto note = [&](const auto& change) {
          const bool unwanted = change.is_drop && change.start >= after && change.start < stop;
          removes |= unwanted && segment.replays(change.start);
        };
        const SegmentIndex& index = segment.row->index;
        std::for_each(index.databases.begin(), index.databases.end(), note);
        std::for_each(index.tablespaces.begin(), index.tablespaces.end(), note);
        return !removes && segment.begin < stop;
      });
  if (!removes) return false;
  plan.written = {.kind = RecoveryTarget::Kind::kImmediate};
  if (plan.commit_before && plan.commit_before->start >= stop_lsn()) {
    plan.written = {.kind = RecoveryTarget::Kind::kLsn, .lsn = plan.commit_before->start};
  }
  return true;
}

// The same for a target that names a place and not a transaction.
void TargetSearch::spare_removals(RecoveryPlan& plan) {
  if (!avoid_removals(plan, stops_before_)) return;
  stop_at_commit(plan, stop_lsn());
  plan.warnings.push_back(
      "a database or tablespace was being dropped at the target: recovery ends with the last "
      "commit "
      "before, so that no file of it is missing");
}

// What replay meets before it stops, and an operator must know before it starts.
bool TargetSearch::look_at_the_way(RecoveryPlan& plan) {
  if (!pass_parameters(plan)) return false;
  note_tablespaces(plan);
  note_custom_managers(plan);
  plan.cannot_pause = !pause_is_possible();
  return true;
}

// Raised settings stop a server that has lower ones; WAL written under wal_level = minimal has
// holes: CheckRequiredParameterValues() in xlogrecovery.c.
bool TargetSearch::pass_parameters(RecoveryPlan& plan) {
  const StandbySettings& at_backup = candidate_.backup->settings;
  StandbySettings required = at_backup;
  std::optional<Lsn> minimal;
  path().visit(
      0, [](const WalTotals& totals) { return totals.parameters; },
      [&](const PathSegment& segment) {
        for (const ParameterChange& change : segment.row->index.parameters) {
          if (!segment.replays(change.start) || change.start >= stops_before_) continue;
          required = greatest(required, change);
          if (change.wal_level == kWalLevelMinimal && !minimal) minimal = change.start;
        }
        return segment.begin < stops_before_;
      });
  if (minimal) {
    return refuse("wal_level_minimal",
                  fmt::format("the server ran with wal_level = minimal from {} on: that WAL does "
                              "not hold everything, and PostgreSQL refuses it. Choose a moment "
                              "before, or a later backup",
                              format_lsn(*minimal)));
  }
  if (required != at_backup) plan.required_settings = required;
  return true;
}

void TargetSearch::note_tablespaces(RecoveryPlan& plan) const {
  path().visit(
      0, [](const WalTotals& totals) { return totals.tablespaces; },
      [&](const PathSegment& segment) {
        for (const TablespaceChange& change : segment.row->index.tablespaces) {
          // Without a path it lies in the data directory itself (allow_in_place_tablespaces).
          if (change.is_drop || change.path.empty() || !segment.replays(change.start)) continue;
          if (change.start < stops_before_) plan.tablespaces_created.push_back(change);
        }
        return segment.begin < stops_before_;
      });
}

void TargetSearch::note_custom_managers(RecoveryPlan& plan) const {
  std::set<unsigned> managers;
  path().visit(
      0, [](const WalTotals& totals) { return totals.custom_managers; },
      [&](const PathSegment& segment) {
        if (segment.begin > needed_until_) return false;
        const auto& here = segment.row->index.custom_managers;
        managers.insert(here.begin(), here.end());
        return true;
      });
  if (managers.empty()) return;
  plan.warnings.push_back(
      fmt::format("the WAL on the way holds records of an extension's resource manager ({}): the "
                  "server needs that extension in shared_preload_libraries",
                  fmt::join(managers, ", ")));
}

// Hot standby, and with it a pause, begins at a list of running transactions that did not overflow
// (more than 64 subtransactions of one): ProcArrayApplyRecoveryInfo() in procarray.c.
bool TargetSearch::pause_is_possible() const {
  // The id before which all must have ended for an overflowed list to do; nothing: none overflowed.
  std::optional<std::uint32_t> pending;
  bool ready = false;
  path().visit(
      0, [](const WalTotals& totals) { return totals.running; },
      [&](const PathSegment& segment) {
        const auto counts = [&](Lsn start) {
          return segment.replays(start) && start < stops_before_;
        };
        for (const RunningTransactions& running : segment.row->index.running) {
          if (!counts(running.start)) continue;
          ready |= !running.overflowed || running.count == 0;
          // TransactionIdPrecedes(): 32 bits that go round.
          const auto distance =
              static_cast<std::int32_t>(running.oldest_running - pending.value_or(0));
          ready |= pending && distance >= 0;
          if (!pending) pending = running.next_xid;
        }
        for (const Checkpoint& checkpoint : segment.row->index.checkpoints) {
          ready |= checkpoint.is_shutdown && counts(checkpoint.start);
        }
        return !ready && segment.begin < stops_before_;
      });
  return ready || !pending;
}

}  // namespace pitr
