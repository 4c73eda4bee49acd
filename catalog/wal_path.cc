#include "catalog/wal_path.h"

#include <algorithm>
#include <set>

#include "common/error.h"

namespace pitr {

std::vector<TimelineId> known_timelines(const ClusterRows& rows) {
  std::set<TimelineId> timelines;
  for (const LogSummary& log : rows.wal.logs())
    timelines.insert(log.timeline);
  for (const HistoryFile& history : rows.histories)
    timelines.insert(history.timeline);
  for (const BackupSummary& backup : rows.backups)
    timelines.insert(backup.timeline);
  return {timelines.begin(), timelines.end()};
}

std::optional<std::vector<TimelineStretch>> timeline_path(const ClusterRows& rows,
                                                          TimelineId timeline) {
  if (timeline == 1) return parse_timeline_history(1, "");
  for (const HistoryFile& history : rows.histories) {
    if (history.timeline != timeline) continue;
    try {
      return parse_timeline_history(timeline, history.contents);
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

bool is_on_path(const BackupSummary& backup, const std::vector<TimelineStretch>& stretches) {
  return std::any_of(stretches.begin(), stretches.end(), [&](const TimelineStretch& stretch) {
    return stretch.timeline == backup.timeline && backup.start_lsn >= stretch.begin &&
           backup.stop_lsn <= stretch.end;
  });
}

namespace {

// Whether retention has removed all of it: up to a fork from one timeline, then from the other.
bool is_expired(const ClusterRows& rows, const SegmentName& first, const SegmentName& behind) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const std::uint64_t end = std::max(behind.number(size), first.number(size) + 1);
  for (std::uint64_t number = first.number(size); number < end; ++number) {
    if (!rows.expiry.covers(first.timeline, number, number) &&
        !rows.expiry.covers(behind.timeline, number, number)) {
      return false;
    }
  }
  return true;
}

std::vector<SegmentGap> gaps_within(const ClusterRows& rows, TimelineId timeline) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  std::vector<SegmentGap> gaps;
  std::optional<SegmentName> previous;
  const auto pass = [&](const SegmentName& first, const SegmentName& last) {
    const bool is_gap =
        previous && previous->next(size) != first &&
        !rows.expiry.covers(timeline, previous->number(size) + 1, first.number(size) - 1);
    if (is_gap) {
      gaps.push_back({.after = *previous,
                      .before = first,
                      .missing = first.number(size) - previous->number(size) - 1});
    }
    previous = last;
  };
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.timeline != timeline || log.segments == 0) continue;
    if (log.is_contiguous()) {
      pass({timeline, log.log, log.first}, {timeline, log.log, log.last});
      continue;
    }
    for (const SegmentRow& row : rows.wal.load(timeline, log.log)->segments)
      pass(row.name, row.name);
  }
  return gaps;
}

// Those that the path to a timeline shows, from each backup on: where it changes from one timeline
// to the next, and in front of the beginning of a segment, none need be missing between two whole
// ones.
void add_gaps_of_path(const ClusterRows& rows, TimelineId timeline, std::vector<SegmentGap>& gaps) {
  const auto stretches = timeline_path(rows, timeline);
  if (!stretches) return;
  const SegmentSize size = rows.cluster.identity.segment_size;
  TimelineWal wal(rows, *stretches);
  for (const BackupSummary& backup : rows.backups) {
    if (!is_on_path(backup, *stretches)) continue;
    const WalPath path = wal.from(backup.start_lsn);
    if (path.is_damaged() || !path.behind_gap()) continue;
    const SegmentName& missing = path.missing();
    const SegmentName& behind = *path.behind_gap();
    const bool is_known = std::any_of(gaps.begin(), gaps.end(),
                                      [&](const SegmentGap& gap) { return gap.before == behind; });
    // One within the parent is told of there, and one in front of a child with the child.
    const bool is_parents = missing.timeline != timeline && behind.timeline == missing.timeline;
    const bool is_of_path = std::any_of(
        stretches->begin(), stretches->end(),
        [&](const TimelineStretch& stretch) { return stretch.timeline == behind.timeline; });
    if (is_known || is_parents || !is_of_path || is_expired(rows, missing, behind)) continue;
    const std::uint64_t number = missing.number(size);
    gaps.push_back({.after = SegmentName::containing(missing.timeline, (number - 1) * size, size),
                    .before = behind,
                    .missing = std::max(behind.number(size), number + 1) - number});
  }
}

// One from `from` on, of its timeline, that counts.
std::optional<SegmentName> any_stored(const ClusterRows& rows, const SegmentName& from,
                                      const std::function<bool(const SegmentRow& row)>& counts) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.timeline != from.timeline || log.log < from.log) continue;
    const auto loaded = rows.wal.load(log.timeline, log.log);
    for (const auto* list : {&loaded->segments, &loaded->beginnings}) {
      for (const SegmentRow& row : *list) {
        if (row.name.number(size) >= from.number(size) && counts(row)) return row.name;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<SegmentGap> find_gaps(const ClusterRows& rows, TimelineId timeline) {
  std::vector<SegmentGap> gaps = gaps_within(rows, timeline);
  add_gaps_of_path(rows, timeline, gaps);
  return gaps;
}

std::optional<SegmentName> later_wal(const ClusterRows& rows, const SegmentName& segment,
                                     const std::function<bool(const SegmentRow& row)>& counts) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  auto later = any_stored(rows, segment.next(size), counts);
  const Lsn end = segment.start(size) + size;
  for (const HistoryFile& history : rows.histories) {
    if (later) break;
    const auto path = timeline_path(rows, history.timeline);
    if (!path || history.timeline == segment.timeline) continue;
    const bool forked_behind =
        std::any_of(path->begin(), path->end(), [&](const TimelineStretch& stretch) {
          return stretch.timeline == segment.timeline && stretch.begin < end && stretch.end >= end;
        });
    if (forked_behind) later = any_stored(rows, {history.timeline, 0, 0}, counts);
  }
  return later;
}

WalPath::WalPath(const ClusterRows& rows, std::shared_ptr<const UnbrokenWal> wal, Lsn start)
    : rows_(&rows), wal_(std::move(wal)), start_(start) {}

bool WalPath::empty() const { return !wal_->covers(start_); }

PathSegment WalPath::segment_of(const PathPiece& piece, std::uint32_t number) const {
  const SegmentSize size = rows_->cluster.identity.segment_size;
  const SegmentName name{piece.timeline, piece.log, number};
  RowPointer row = piece.only ? piece.only : rows_->wal.find_whole(name);
  if (!row) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = "stored segment \"" + name.to_string() + "\" vanished"});
  }
  const Lsn begin = piece.begin + Lsn{number - piece.first} * size;
  return {.row = std::move(row),
          .begin = std::max(start_, begin),
          .end = std::min(piece.end, begin + size)};
}

std::uint32_t WalPath::first_number(const PathPiece& piece, Lsn from) const {
  const SegmentSize size = rows_->cluster.identity.segment_size;
  from = std::max(from, start_);
  if (from <= piece.begin) return piece.first;
  return piece.first + static_cast<std::uint32_t>((from - piece.begin) / size);
}

bool WalPath::passes(const PathPiece& piece, const Wanted& wanted) const {
  if (!wanted) return true;
  if (piece.only) return wanted(totals_of(piece.only->index));
  const LogSummary* log = rows_->wal.find_log(piece.timeline, piece.log);
  return log == nullptr || wanted(log->totals);
}

void WalPath::visit(Lsn from, const Wanted& wanted, const Visit& visit) const {
  for (const PathPiece& piece : wal_->pieces) {
    if (piece.end <= std::max(from, start_) || !passes(piece, wanted)) continue;
    for (std::uint32_t i = first_number(piece, from); i <= piece.last; ++i) {
      const PathSegment segment = segment_of(piece, i);
      if (wanted && !wanted(totals_of(segment.row->index))) continue;
      if (!visit(segment)) return;
    }
  }
}

void WalPath::visit_backward(Lsn before, const Wanted& wanted, const Visit& visit) const {
  const SegmentSize size = rows_->cluster.identity.segment_size;
  for (auto piece = wal_->pieces.rbegin(); piece != wal_->pieces.rend(); ++piece) {
    if (piece->end <= start_) return;
    if (piece->begin >= before || !passes(*piece, wanted)) continue;
    for (std::uint32_t i = piece->last + 1; i > first_number(*piece, start_); --i) {
      if (piece->begin + Lsn{i - 1 - piece->first} * size >= before) continue;
      const PathSegment segment = segment_of(*piece, i - 1);
      if (wanted && !wanted(totals_of(segment.row->index))) continue;
      if (!visit(segment)) return;
    }
  }
}

WalPath::Extent WalPath::extent(Lsn until) const {
  const SegmentSize size = rows_->cluster.identity.segment_size;
  Extent extent;
  const auto count = [&](const SegmentName& first, const SegmentName& last, std::uint64_t segments,
                         std::uint64_t bytes, std::uint64_t next_xid) {
    if (extent.segments == 0) extent.first = first;
    extent.last = last;
    extent.segments += segments;
    extent.stored_bytes += bytes;
    if (next_xid != 0) extent.next_xid = next_xid;
  };
  for (const PathPiece& piece : wal_->pieces) {
    if (piece.end <= start_) continue;
    if (piece.begin > until) break;
    const LogSummary* log = rows_->wal.find_log(piece.timeline, piece.log);
    const bool is_whole_log = !piece.only && log != nullptr &&
                              log->segments == piece.segment_count() && piece.begin >= start_ &&
                              piece.begin + (piece.segment_count() - 1) * size <= until;
    if (is_whole_log) {
      count({piece.timeline, piece.log, piece.first}, {piece.timeline, piece.log, piece.last},
            log->segments, log->stored_bytes, log->totals.next_xid);
      continue;
    }
    for (std::uint32_t i = first_number(piece, start_); i <= piece.last; ++i) {
      if (piece.begin + Lsn{i - piece.first} * size > until) break;
      const PathSegment segment = segment_of(piece, i);
      count(segment.row->name, segment.row->name, 1, segment.row->stored_bytes,
            segment.row->index.next_xid());
    }
  }
  return extent;
}

PathSegment WalPath::segment_at(Lsn lsn) const {
  lsn = std::max(lsn, start_);
  for (const PathPiece& piece : wal_->pieces) {
    if (lsn < piece.end) return segment_of(piece, std::min(first_number(piece, lsn), piece.last));
  }
  return last_segment();
}

PathSegment WalPath::end_of_record_from(Lsn start) const {
  const SegmentSize size = rows_->cluster.identity.segment_size;
  std::optional<PathSegment> found;
  visit(start / size * size + size, {}, [&](const PathSegment& segment) {
    found = segment;
    return segment.row->index.first_record == 0;  // the record goes on, or ends at the very end
  });
  return found.value_or(last_segment());
}

PathSegment WalPath::last_segment() const {
  return segment_of(wal_->pieces.back(), wal_->pieces.back().last);
}

Lsn WalPath::last_record() const {
  Lsn last = 0;
  visit_backward(kEndOfTime, {}, [&](const PathSegment& segment) {
    Lsn record = segment.row->index.last_record;
    // One that ends in a later segment, which may hold no record of its own.
    const bool is_joined =
        segment.row->open_record_completed && !segment.row->open_record_is_damaged;
    if (is_joined && segment.row->index.open_record < segment.end) {
      record = segment.row->index.open_record;
    }
    if (record != 0) last = std::min(record, segment.end - 1);
    return record == 0;
  });
  return last;
}

Lsn WalPath::end_of_records() const {
  Lsn last = 0;
  visit_backward(kEndOfTime, {}, [&](const PathSegment& segment) {
    const Lsn end = segment.row->index.end_of_records;
    if (end != 0) last = std::min(end, segment.end);
    return end == 0;
  });
  return last;
}

bool WalPath::has_wal_up_to(Lsn lsn) const {
  if (empty()) return false;
  // Of a segment that is followed by another every byte is WAL.
  if (lsn < wal_->pieces.back().begin) return true;
  return last_segment().row->index.valid_end >= lsn;
}

std::optional<Lsn> WalPath::fork_inside() const {
  if (empty()) return std::nullopt;
  const PathSegment last = last_segment();
  return last.row->index.end_of_records > last.end ? std::optional(last.end) : std::nullopt;
}

namespace {

// Follows the WAL from one position on, as far as it is unbroken.
class WalFollower {
 public:
  WalFollower(const ClusterRows& rows, const std::vector<TimelineStretch>& stretches, Lsn start)
      : rows_(rows), size_(rows.cluster.identity.segment_size), position_(start / size_ * size_) {
    wal_.stretches = stretches;
  }

  UnbrokenWal follow() {
    while (take_log() || take_segment()) {
    }
    return std::move(wal_);
  }

 private:
  // The newest stretch that has begun in the segment at the position.
  std::size_t stretch_here() const {
    std::size_t i = wal_.stretches.size() - 1;
    while (i > 0 && wal_.stretches[i].begin / size_ * size_ > position_)
      --i;
    return i;
  }

  // What is left of a log that is unbroken, at once; false where it must be looked at closely.
  bool take_log() {
    const std::size_t here = stretch_here();
    const TimelineStretch& stretch = wal_.stretches[here];
    const SegmentName name = SegmentName::containing(stretch.timeline, position_, size_);
    const LogSummary* log = rows_.wal.find_log(name.timeline, name.log);
    if (log == nullptr || !log->unbroken || name.segment < log->first || name.segment > log->last) {
      return false;
    }
    std::uint32_t last = log->last;
    if (here + 1 < wal_.stretches.size()) {
      const Lsn fork_segment = wal_.stretches[here + 1].begin / size_ * size_;
      const std::uint64_t before_fork = (fork_segment - position_) / size_;
      last =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(last, name.segment + before_fork - 1));
    }
    const Lsn end = position_ + (Lsn{last} - name.segment + 1) * size_;
    append({.timeline = name.timeline,
            .log = name.log,
            .first = name.segment,
            .last = last,
            .begin = position_,
            .end = end,
            .only = nullptr});
    position_ = end;
    return true;
  }

  // False: the path ends here.
  bool take_segment() {
    // PostgreSQL asks the newest timeline of the path that has begun in this segment, then its
    // ancestors: the first segment of a timeline also holds its parent's records up to the fork.
    RowPointer found;
    Lsn end = kEndOfTime;
    const std::size_t here = stretch_here();
    const TimelineId wanted = wal_.stretches[here].timeline;
    for (std::size_t i = here + 1; i > 0 && !found; --i) {
      const TimelineStretch& stretch = wal_.stretches[i - 1];
      const SegmentName name = SegmentName::containing(stretch.timeline, position_, size_);
      found = rows_.wal.find_whole(name);
      if (!found) found = rows_.wal.find_longest_beginning(name);
      end = stretch.end;
      // A parent's segment stands in only for the one that holds the fork.
      if (stretch.begin < position_) break;
    }
    const SegmentName name = SegmentName::containing(wanted, position_, size_);
    if (!found) return end_at_gap(name);
    // pitr-restore refuses it: recovery would end inside, as if the WAL did.
    if (found->index.damaged) return end_at_damage(found->name);
    const bool stands_in = found->kind != StoredWalName::Kind::kSegment || !found->index.complete ||
                           found->name.timeline != wanted;
    append({.timeline = found->name.timeline,
            .log = found->name.log,
            .first = found->name.segment,
            .last = found->name.segment,
            .begin = position_,
            .end = std::min(end, position_ + size_),
            .only = stands_in ? found : nullptr});
    position_ += size_;
    if (found->open_record_is_damaged) return end_at_damage(name.next(size_));
    if (!stands_in) return true;
    wal_.missing = name;  // the whole of it
    find_behind_gap(name.next(size_));
    return false;
  }

  bool end_at_damage(const SegmentName& name) {
    wal_.missing = wal_.behind_gap.emplace(name);
    wal_.damaged = true;
    return false;
  }

  bool end_at_gap(const SegmentName& name) {
    wal_.missing = name;
    find_behind_gap(name);
    return false;
  }

  // From `name` on, or, where the path goes on there, on a later timeline.
  void find_behind_gap(const SegmentName& name) {
    wal_.behind_gap = rows_.wal.next_stored(name);
    for (const TimelineStretch& stretch : wal_.stretches) {
      if (wal_.behind_gap || stretch.begin < position_ || stretch.timeline == name.timeline)
        continue;
      wal_.behind_gap =
          rows_.wal.next_stored(SegmentName::containing(stretch.timeline, stretch.begin, size_));
    }
    if (wal_.behind_gap) return;
    wal_.behind_gap = later_wal(rows_, wal_.missing, [](const SegmentRow&) { return true; });
  }

  void append(PathPiece piece) {
    if (!wal_.pieces.empty()) {
      PathPiece& last = wal_.pieces.back();
      const bool goes_on = !last.only && !piece.only && last.timeline == piece.timeline &&
                           last.log == piece.log && last.last + 1 == piece.first;
      if (goes_on) {
        last.last = piece.last;
        last.end = piece.end;
        return;
      }
      if (last.timeline != piece.timeline || piece.only) complete_last(piece);
    }
    wal_.pieces.push_back(std::move(piece));
  }

  // A record that begins in the parent's last segment may end in the child's first one, and one of
  // a whole segment in a tail: where the next whole segment is not stored, only the path knows.
  void complete_last(const PathPiece& next) {
    PathPiece& last = wal_.pieces.back();
    const SegmentName name{last.timeline, last.log, last.last};
    const RowPointer row = last.only ? last.only : rows_.wal.find_whole(name);
    const RowPointer following =
        next.only ? next.only : rows_.wal.find_whole({next.timeline, next.log, next.first});
    if (!row || !following || row->open_record_completed || row->index.open_record == 0) return;
    JoinedRecord record(row->index);
    if (!record.join(following->index) || !record.is_whole()) return;
    auto completed = std::make_shared<SegmentRow>(*row);
    complete_open_record(*completed, record, {following->key},
                         rows_.cluster.identity.postgres_version);
    PathPiece own = last;
    own.first = own.last;
    own.begin = next.begin - size_;
    own.only = std::move(completed);
    if (last.first == last.last) {
      last = std::move(own);
      return;
    }
    --last.last;
    last.end = own.begin;
    wal_.pieces.push_back(std::move(own));
  }

  const ClusterRows& rows_;
  SegmentSize size_;
  Lsn position_;
  UnbrokenWal wal_;
};

}  // namespace

TimelineWal::TimelineWal(const ClusterRows& rows, std::vector<TimelineStretch> stretches)
    : rows_(rows), stretches_(std::move(stretches)) {}

WalPath TimelineWal::from(Lsn start) {
  for (const auto& wal : known_) {
    if (wal->covers(start)) return {rows_, wal, start};
  }
  known_.push_back(
      std::make_shared<const UnbrokenWal>(WalFollower(rows_, stretches_, start).follow()));
  return {rows_, known_.back(), start};
}

}  // namespace pitr
