// Where recovery from one backup along one timeline path would stop for a target.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/recovery_plan.h"
#include "catalog/wal_path.h"

namespace pitr {

// A backup with the WAL that follows it on one timeline path.
struct RecoveryCandidate {
  const BackupSummary* backup = nullptr;
  WalPath path;
};

// The greatest commit time at or before the backup's stop LSN, as far as rows tell.
std::optional<Instant> last_commit_in(const ClusterRows& rows, const BackupSummary& backup);

// What the searches of one plan find out about WAL that they share.
struct SearchMemory {
  std::map<const UnbrokenWal*, std::vector<RestorePoint>> restore_points;  // of the wanted name
};

// One search. Everything given must outlive it. Not thread-safe.
class TargetSearch {
 public:
  TargetSearch(const ClusterRows& rows, const PlanRequest& request,
               const RecoveryCandidate& candidate, const WalReader& reader, SearchMemory& memory);

  // Sets stop, written target, commits and what lies on the way; false when this candidate does not
  // serve: reason() says why.
  bool find(RecoveryPlan& plan);

  const std::optional<PlanReason>& reason() const { return reason_; }
  const std::vector<std::string>& missing() const { return missing_; }
  // The last byte of WAL that recovery needs.
  Lsn needed_until() const { return needed_until_; }

 private:
  bool find_target(RecoveryPlan& plan);
  bool find_end(RecoveryPlan& plan);
  bool find_consistency(RecoveryPlan& plan);
  bool find_time(RecoveryPlan& plan);
  bool find_end_for_time(RecoveryPlan& plan);
  bool find_xid(RecoveryPlan& plan);
  bool find_name(RecoveryPlan& plan);
  bool find_lsn(RecoveryPlan& plan);

  bool refuse(std::string code, std::string message);
  bool refuse_contained();
  bool refuse_gap();

  const WalPath& path() const { return candidate_.path; }
  Lsn stop_lsn() const { return candidate_.backup->stop_lsn; }
  TimelineId timeline() const { return path().stretches().back().timeline; }
  bool is_past(std::int64_t time) const;
  const std::vector<TransactionEnd>& transactions(const PathSegment& segment);
  std::optional<TransactionEnd> first_past_time();
  std::optional<TransactionEnd> find_wanted_xid();
  bool may_hold_xid(const SegmentRow& row) const;
  const TransactionEnd* wanted_of(const PathSegment& segment);
  bool is_wanted_epoch(const PathSegment& segment) const;
  bool accept_xid(RecoveryPlan& plan, const TransactionEnd& transaction);
  std::vector<RestorePoint> all_restore_points() const;
  std::vector<RestorePoint> find_restore_points();
  RecordPlace record_at(Lsn lsn) const;
  Lsn end_of(const TransactionEnd& transaction) const;
  RecoveryTarget last_target() const;

  void set_commits_around(RecoveryPlan& plan, Lsn lsn, std::optional<Lsn> included);
  std::optional<TransactionEnd> last_commit_before_redo() const;
  void stop_at_commit(RecoveryPlan& plan, Lsn fallback);
  void end_with_last_commit(RecoveryPlan& plan) const;
  bool avoid_removals(RecoveryPlan& plan, Lsn stop) const;
  void spare_removals(RecoveryPlan& plan);
  bool ends_backup(Lsn lsn) const;
  bool look_at_the_way(RecoveryPlan& plan);
  bool pass_parameters(RecoveryPlan& plan);
  void note_tablespaces(RecoveryPlan& plan) const;
  void note_custom_managers(RecoveryPlan& plan) const;
  bool pause_is_possible() const;

  const ClusterRows& rows_;
  const PlanRequest& request_;
  const RecoveryCandidate& candidate_;
  const WalReader& reader_;
  SearchMemory& memory_;
  std::map<std::string, std::vector<TransactionEnd>> read_already_;  // by key
  std::optional<PlanReason> reason_;
  std::vector<std::string> missing_;
  std::optional<std::uint32_t> part_of_;  // the target xid is that of its subtransaction
  bool is_of_two_epochs_ = false;
  Lsn stops_before_ = kEndOfTime;  // records from here on are not replayed
  Lsn needed_until_ = 0;
};

}  // namespace pitr
