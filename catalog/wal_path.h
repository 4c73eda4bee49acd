// The WAL that a recovery reads: from a backup's start along a timeline path, segment by segment,
// as PostgreSQL will ask for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/cluster_rows.h"
#include "wal/timeline_history.h"

namespace pitr {

// Every timeline that the repository knows, by WAL or by history file, least first.
std::vector<TimelineId> known_timelines(const ClusterRows& rows);

// Nothing when the history file of the timeline is missing or damaged.
std::optional<std::vector<TimelineStretch>> timeline_path(const ClusterRows& rows,
                                                          TimelineId timeline);

// A backup is of a path when it was taken on one of its stretches and ended before the fork.
bool is_on_path(const BackupSummary& backup, const std::vector<TimelineStretch>& stretches);

// Between stored whole segments.
struct SegmentGap {
  SegmentName after;
  SegmentName before;
  std::uint64_t missing = 0;
};
// Of one timeline, and those of the path to it that a recovery from some backup would meet.
std::vector<SegmentGap> find_gaps(const ClusterRows& rows, TimelineId timeline);

// Some WAL that keeps pitr-restore from calling a segment absent: a later segment of its timeline,
// or the beginning of one, or WAL of a timeline that forked off behind it. Rows that `counts` says
// no to do not count.
std::optional<SegmentName> later_wal(const ClusterRows& rows, const SegmentName& segment,
                                     const std::function<bool(const SegmentRow& row)>& counts);

// One segment of the path. Records before `begin` or from `end` on are not replayed from it.
struct PathSegment {
  RowPointer row;
  Lsn begin = 0;
  Lsn end = 0;

  bool replays(Lsn record) const { return record >= begin && record < end; }
};

// Consecutive segments of one log, or a single one that stands in for another.
struct PathPiece {
  TimelineId timeline = 0;
  std::uint32_t log = 0;
  std::uint32_t first = 0;  // numbers in the log
  std::uint32_t last = 0;
  Lsn begin = 0;  // of the first segment
  Lsn end = 0;    // of the last segment, or of what is replayed of it
  RowPointer only;

  std::uint64_t segment_count() const { return std::uint64_t{last} - first + 1; }
};

// A stretch of WAL without a gap.
struct UnbrokenWal {
  std::vector<TimelineStretch> stretches;
  std::vector<PathPiece> pieces;
  // The first segment that is missing, and some WAL that goes on from it: of the path, or else what
  // later_wal() finds.
  SegmentName missing;
  std::optional<SegmentName> behind_gap;
  bool damaged = false;  // `missing` is stored, and recovery cannot enter it

  bool covers(Lsn lsn) const {
    return !pieces.empty() && pieces.front().begin <= lsn && lsn < pieces.back().end;
  }
};

// From one position to the end of the unbroken WAL. The rows must outlive it. Not thread-safe.
class WalPath {
 public:
  WalPath(const ClusterRows& rows, std::shared_ptr<const UnbrokenWal> wal, Lsn start);

  const std::vector<TimelineStretch>& stretches() const { return wal_->stretches; }
  // The unbroken WAL that paths with different starts may share.
  const UnbrokenWal* wal() const { return wal_.get(); }
  // The same from its very beginning.
  WalPath from_beginning() const { return {*rows_, wal_, wal_->pieces.front().begin}; }
  bool empty() const;
  Lsn start() const { return start_; }
  const SegmentName& missing() const { return wal_->missing; }
  const std::optional<SegmentName>& behind_gap() const { return wal_->behind_gap; }
  bool is_damaged() const { return wal_->damaged; }

  // Visits the segments that hold something from `from` on and that `wanted` says yes to (it is
  // asked with the sum of many first), in WAL order, until `visit` returns false.
  using Wanted = std::function<bool(const WalTotals& totals)>;
  using Visit = std::function<bool(const PathSegment& segment)>;
  void visit(Lsn from, const Wanted& wanted, const Visit& visit) const;
  // Those that begin before `before`, newest first.
  void visit_backward(Lsn before, const Wanted& wanted, const Visit& visit) const;

  // What the segments that begin at or before `until` hold; a log that is cut counts segment by
  // segment.
  struct Extent {
    SegmentName first;
    SegmentName last;
    std::uint64_t segments = 0;
    std::uint64_t stored_bytes = 0;
    std::uint64_t next_xid = 0;  // of the last checkpoint; 0: none
  };
  Extent extent(Lsn until) const;

  // The segment that holds a position of the path. The path is not empty.
  PathSegment segment_at(Lsn lsn) const;
  // The segment where a record that begins in the one at `start` and ends in a later one ends.
  PathSegment end_of_record_from(Lsn start) const;

  Lsn last_record() const;     // start of the last whole record, at most; 0: none
  Lsn end_of_records() const;  // end of the last whole record, at most; 0: none
  bool has_wal_up_to(Lsn lsn) const;

  // The fork, where a parent's segment stands in for its child's and has records behind it: only a
  // target keeps recovery from replaying those.
  std::optional<Lsn> fork_inside() const;

 private:
  PathSegment segment_of(const PathPiece& piece, std::uint32_t number) const;
  PathSegment last_segment() const;
  // The numbers of a piece that hold something from `from` on.
  std::uint32_t first_number(const PathPiece& piece, Lsn from) const;
  bool passes(const PathPiece& piece, const Wanted& wanted) const;

  const ClusterRows* rows_;
  std::shared_ptr<const UnbrokenWal> wal_;
  Lsn start_;
};

// All WAL along one timeline path, wherever a backup may begin. The rows must outlive it.
class TimelineWal {
 public:
  TimelineWal(const ClusterRows& rows, std::vector<TimelineStretch> stretches);

  const std::vector<TimelineStretch>& stretches() const { return stretches_; }
  // A damaged segment ends it: recovery cannot go beyond.
  WalPath from(Lsn start);

 private:
  const ClusterRows& rows_;
  std::vector<TimelineStretch> stretches_;
  std::vector<std::shared_ptr<const UnbrokenWal>> known_;
};

}  // namespace pitr
