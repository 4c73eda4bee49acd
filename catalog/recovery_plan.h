// Decides, before anything is touched, whether a moment can be reached and from what.
//
// Pure over the rows and what the reader returns: the transactions of the one or two segments that
// the rows point to. The rules are those of "Recovery targets" and "Timelines" in PostgreSQL's
// documentation and xlogrecovery.c; docs/recovery.md explains them to operators.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/cluster_rows.h"
#include "catalog/wal_contents.h"

namespace pitr {

struct RecoveryTarget {
  enum class Kind { kEnd, kTime, kLsn, kXid, kName, kImmediate };

  Kind kind = Kind::kEnd;
  Instant time;
  Lsn lsn = 0;
  std::uint64_t xid = 0;
  std::string name;
  bool inclusive = true;
};

struct PlanRequest {
  RecoveryTarget target;
  std::string backup_id;               // empty: the best one
  std::optional<TimelineId> timeline;  // nothing: the newest on which the target can be reached
  bool newest_timeline = false;        // the newest of all, whether it reaches the target or not
  bool until_gap = false;              // the end of the WAL may be a gap
  // With an exclusive transaction or LSN: end with the last commit before it, so that a paused
  // server does not hold the locks of what comes then.
  bool end_with_last_commit = false;
  // The end of the WAL as a target at which a server can pause: WAL that arrives later stays out.
  bool end_as_target = false;
  bool strict = false;  // refuse a time after the last archived commit
  Instant now;
};

struct PlanReason {
  std::string code;
  std::string message;
};

// Where recovery stops: the last commit that the recovered cluster contains, or what else ends it.
struct PlannedStop {
  enum class Kind { kCommit, kRestorePoint, kLsn, kConsistency, kEndOfWal };

  Kind kind = Kind::kEndOfWal;
  Lsn lsn = 0;
  std::optional<std::int64_t> time;  // TimestampTz
  std::optional<std::uint32_t> xid;
};

// A moment in the time between two reachable commits.
struct ReachableWindow {
  TimelineId timeline = 0;
  std::string backup_id;
  Lsn from_lsn = 0;
  Lsn to_lsn = 0;
  Instant from_time;
  std::optional<Instant> to_time;  // the last commit; nothing: none was archived after the backup
};

struct RecoveryPlan {
  RecoveryTarget target;             // as asked for
  RecoveryTarget written;            // as PostgreSQL will be told: it never dies on this one
  std::optional<PlanReason> reason;  // why not; nothing: reachable
  std::vector<std::string> warnings;
  PlannedStop stop;
  const BackupSummary* backup = nullptr;  // of the rows
  TimelineId timeline = 0;
  std::vector<TimelineId> timeline_path;
  std::string first_segment;
  std::string last_segment;
  std::uint64_t segment_count = 0;
  std::vector<std::string> missing;
  std::vector<TablespaceChange> tablespaces_created;  // on the path: replay uses these very paths
  // What the server must be given at least, where the path raises it above the backup's.
  std::optional<StandbySettings> required_settings;
  // No hot standby by then: PostgreSQL would promote where it was told to pause.
  bool cannot_pause = false;
  std::uint64_t bytes_to_fetch = 0;
  // A gap or a damaged segment lies behind the stop: PostgreSQL must not read ahead into it.
  bool unusable_wal_behind = false;
  std::uint64_t next_xid = 0;  // of the last checkpoint before the stop: see full_transaction_id()
  std::optional<TransactionEnd> commit_before;
  std::optional<TransactionEnd> commit_after;
  std::optional<Instant> nearest_before;
  std::optional<Instant> nearest_after;
  std::vector<ReachableWindow> windows;  // filled where the target cannot be reached

  bool reachable() const { return !reason.has_value(); }
};

// What a plan reads again, of the one or two segments that the rows point to.
struct WalReader {
  // See read_transactions().
  std::function<std::vector<TransactionEnd>(const SegmentRow& row)> transactions;
  // See read_xids(); null: every segment that may hold an id is read.
  std::function<std::optional<std::vector<std::uint32_t>>(const SegmentRow& row)> xids = {};
  // See find_record(); null: a target LSN is taken for the start of a record.
  std::function<std::optional<RecordPlace>(const SegmentRow& row, Lsn lsn)> find_record = {};
};

// The storage must outlive it.
WalReader make_wal_reader(Storage& storage, const ClusterRecord& cluster);

// The rows must outlive the plan.
RecoveryPlan plan_recovery(const ClusterRows& rows, const PlanRequest& request,
                           const WalReader& reader);

// What can be reached, per backup and timeline.
std::vector<ReachableWindow> reachable_windows(const ClusterRows& rows);

}  // namespace pitr
