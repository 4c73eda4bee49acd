// What the archived WAL says happened: restore points, relations dropped, truncated or rewritten,
// databases created and dropped. docs/history.md explains what a record can and cannot tell.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/cluster_rows.h"
#include "catalog/recovery_plan.h"
#include "catalog/relation_names.h"

namespace pitr {

struct HistoryEvent {
  enum class Kind { kRestorePoint, kDrop, kTruncate, kRewrite, kCreateDatabase, kDropDatabase };

  Kind kind = Kind::kRestorePoint;
  std::int64_t time = 0;  // TimestampTz: of the commit, or of the restore point
  Lsn lsn = 0;            // of the commit's record, or of the restore point's
  std::uint32_t xid = 0;  // 0: none
  std::uint64_t full_xid = 0;
  TimelineId timeline = 0;
  std::string segment;
  std::string name;  // of the restore point or database; empty: not known
  std::uint32_t database = 0;
  Lsn removed_at = 0;  // of a dropped database: its files went at this record, before the commit
  std::vector<MappedRelation> relations;  // tables and their like, not their indexes
};

// One transaction that dropped files, with the evidence of what it did.
struct RelationEvidence {
  TransactionEnd commit;
  std::vector<RelationLock> locks;
  std::vector<CreatedFile> created;
  std::vector<RelationName> new_rows;  // of pg_class
};

// What can be said without names, from `from` to `to` (both inclusive, on any timeline).
struct RawHistory {
  struct Event {
    HistoryEvent event;
    RelationEvidence evidence;  // where relations were dropped
  };
  std::vector<Event> events;            // by timeline, then LSN
  std::vector<std::string> incomplete;  // segments that changed more than their index keeps
};

struct HistoryRequest {
  std::optional<Instant> from;
  std::optional<Instant> to;
};

// What is read again of the segments that have something to tell.
struct HistoryReader {
  std::function<std::vector<TransactionEnd>(const SegmentRow& row)> transactions;
  // See read_xids(); null: every segment that may hold an id is read.
  std::function<std::optional<std::vector<std::uint32_t>>(const SegmentRow& row)> xids;
  std::function<RelationChanges(const SegmentRow& row)> relation_changes;
  std::function<ChangedBlocks(const SegmentRow& row)> changed_blocks;
};

// The storage must outlive it.
HistoryReader make_history_reader(Storage& storage, const ClusterRecord& cluster);

// Adds the names that the WAL itself has, and says which others are wanted. Evidence that lies more
// than a log (4 GiB) before `from` is not looked for.
RawHistory collect_history(const ClusterRows& rows, const HistoryRequest& request,
                           const HistoryReader& reader, RelationNames& names);

// By time, then LSN.
std::vector<HistoryEvent> resolve_history(const RawHistory& raw, const RelationNames& names);

// One archived segment, without what is its parent timeline's.
struct HistorySegment {
  std::string segment;
  std::uint64_t commits = 0;
  std::uint64_t aborts = 0;
  std::optional<std::int64_t> first_commit;
  std::optional<std::int64_t> last_commit;
  std::uint64_t stored_bytes = 0;
};

// Visits those that hold something of the wanted time, by timeline, then number.
void visit_history_segments(const ClusterRows& rows, const HistoryRequest& request,
                            const HistoryReader& reader,
                            const std::function<void(const HistorySegment&)>& visit);

}  // namespace pitr
