#include "catalog/history.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "catalog/wal_path.h"
#include "wal/transaction_id.h"

namespace pitr {

namespace {

using FileKey = std::pair<std::uint32_t, std::uint32_t>;  // database, file number

// A table, or what is like one: its index and its TOAST table come and go with it.
bool is_of_its_own(char kind) { return kind != 'i' && kind != 'I' && kind != 't'; }
bool has_heap(char kind) { return kind == 'r' || kind == 'm' || kind == 't'; }

// The WAL of one timeline, from its fork on, in LSN order.
class TimelineHistory {
 public:
  TimelineHistory(const ClusterRows& rows, const HistoryRequest& request,
                  const HistoryReader& reader, RelationNames& names, TimelineId timeline)
      : rows_(rows), request_(request), reader_(reader), names_(names), timeline_(timeline) {
    const auto path = timeline_path(rows, timeline);
    if (path) begin_ = path->back().begin;
  }

  void collect(RawHistory& history) {
    const auto& logs = rows_.wal.logs();
    for (const LogSummary& log : logs) {
      if (log.timeline != timeline_ || is_long_before(log)) continue;
      const WalTotals& totals = log.totals;
      if (totals.next_xid != 0 || totals.restore_points || totals.databases ||
          totals.relation_changes) {
        collect_log(log, history);
      }
    }
  }

 private:
  // More than one log before anything that is asked for: its evidence is not looked for.
  bool is_long_before(const LogSummary& log) const {
    if (!request_.from) return false;
    const std::int64_t from = to_postgres_time(*request_.from);
    const LogSummary* next = rows_.wal.find_log(log.timeline, log.log + 1);
    const auto is_before = [&](const LogSummary& summary) {
      return summary.totals.has_transactions() && summary.totals.max_time < from &&
             !summary.totals.restore_points;
    };
    return is_before(log) && next != nullptr && is_before(*next);
  }

  bool is_wanted(std::int64_t time) const {
    return (!request_.from || time >= to_postgres_time(*request_.from)) &&
           (!request_.to || time <= to_postgres_time(*request_.to));
  }

  void collect_log(const LogSummary& log, RawHistory& history) {
    const auto rows = rows_.wal.load(log.timeline, log.log);
    for (std::size_t i = 0; i < rows->segments.size(); ++i) {
      const SegmentRow& row = rows->segments[i];
      if (row.index.next_xid() != 0) next_xid_ = row.index.next_xid();
      for (const RestorePoint& point : row.index.restore_points) {
        if (point.start < begin_ || !is_wanted(point.time)) continue;
        history.events.push_back({.event = {.kind = HistoryEvent::Kind::kRestorePoint,
                                            .time = point.time,
                                            .lsn = point.start,
                                            .timeline = timeline_,
                                            .segment = row.name.to_string(),
                                            .name = point.name},
                                  .evidence = {}});
      }
      for (const DatabaseChange& change : row.index.databases) {
        if (change.start >= begin_) add_database(*rows, i, change, history);
      }
      if (row.index.has_relation_changes) add_relations(row, history);
    }
  }

  // The record is written before the commit, which alone makes it count.
  void add_database(const LogRows& rows, std::size_t at, const DatabaseChange& change,
                    RawHistory& history) {
    constexpr std::size_t kMostRead = 8;
    for (std::size_t i = at; i < rows.segments.size() && i < at + kMostRead; ++i) {
      for (const TransactionEnd& transaction : reader_.transactions(rows.segments[i])) {
        if (transaction.xid != change.xid || transaction.start < change.start) continue;
        if (!transaction.is_commit || !is_wanted(transaction.time)) return;
        history.events.push_back(
            {.event = make_event(change.is_drop ? HistoryEvent::Kind::kDropDatabase
                                                : HistoryEvent::Kind::kCreateDatabase,
                                 transaction, rows.segments[i].name),
             .evidence = {}});
        history.events.back().event.database = change.oid;
        return;
      }
    }
  }

  HistoryEvent make_event(HistoryEvent::Kind kind, const TransactionEnd& transaction,
                          const SegmentName& segment) const {
    return {.kind = kind,
            .time = transaction.time,
            .lsn = transaction.start,
            .xid = transaction.xid,
            .full_xid = full_transaction_id(transaction.xid, next_xid_),
            .timeline = timeline_,
            .segment = segment.to_string()};
  }

  void add_relations(const SegmentRow& row, RawHistory& history) {
    RelationChanges changes = reader_.relation_changes(row);
    for (const RelationName& name : changes.names) {
      if (name.start >= begin_) names_.add(name);
      open_[name.xid].new_rows.push_back(name);
    }
    for (const RelationLock& lock : changes.locks)
      open_[lock.xid].locks.push_back(lock);
    for (const CreatedFile& created : changes.created)
      open_[created.creation.xid].created.push_back(created);
    for (const TransactionEnd& drop : changes.drops) {
      RelationEvidence evidence = take_evidence(drop);
      if (drop.start < begin_ || !is_wanted(drop.time)) continue;
      measure_created(evidence, row);
      for (const RelationFile& file : drop.dropped_files)
        names_.want(file.database, file.number);
      for (const RelationLock& lock : evidence.locks)
        names_.want(lock.database, lock.relation);
      history.events.push_back(
          {.event = make_event(HistoryEvent::Kind::kDrop, drop, row.name), .evidence = evidence});
    }
    // Of transactions whose end dropped nothing the evidence is never taken.
    constexpr std::size_t kMostOpen = 100'000;
    while (open_.size() > kMostOpen)
      open_.erase(open_.begin());
  }

  // A file that is empty where its segment ends may be filled in the segments up to the commit's.
  void measure_created(RelationEvidence& evidence, const SegmentRow& commit_row) const {
    const SegmentSize size = rows_.cluster.identity.segment_size;
    for (CreatedFile& created : evidence.created) {
      auto name = SegmentName::containing(timeline_, created.creation.start, size);
      while (created.length <= 1 && name < commit_row.name) {
        name = name.next(size);
        const RowPointer row = rows_.wal.find_whole(name);
        if (!row) break;
        for (const ChangedFork& fork : reader_.changed_blocks(*row).forks) {
          if (fork.file != created.creation.file || fork.fork != Fork::kMain) continue;
          if (!fork.blocks.empty())
            created.length = std::max(created.length, fork.blocks.back() + 1);
        }
      }
    }
  }

  // Locks are taken and files made under the ids of subtransactions, too.
  RelationEvidence take_evidence(const TransactionEnd& commit) {
    RelationEvidence evidence{.commit = commit};
    const auto take = [&](std::uint32_t xid) {
      const auto found = open_.find(xid);
      if (found == open_.end()) return;
      const auto append = [](auto& list, const auto& more) {
        list.insert(list.end(), more.begin(), more.end());
      };
      append(evidence.locks, found->second.locks);
      append(evidence.created, found->second.created);
      append(evidence.new_rows, found->second.new_rows);
      open_.erase(found);
    };
    take(commit.xid);
    for (const std::uint32_t xid : commit.subtransactions)
      take(xid);
    return evidence;
  }

  const ClusterRows& rows_;
  const HistoryRequest& request_;
  const HistoryReader& reader_;
  RelationNames& names_;
  TimelineId timeline_;
  Lsn begin_ = 0;  // records before it are the parent's
  std::uint64_t next_xid_ = 0;
  std::map<std::uint32_t, RelationEvidence> open_;  // by (sub)transaction
};

// Decides what one transaction did to the relations whose files it dropped.
class RelationVerdict {
 public:
  // `successors` are the files that truncated relations got.
  RelationVerdict(const RelationEvidence& evidence, const RelationNames& names,
                  const std::map<FileKey, MappedRelation>& successors, Instant at)
      : evidence_(evidence), names_(names), successors_(successors), at_(at) {
    for (const RelationFile& file : evidence.commit.dropped_files) {
      if (!was_created_here(file)) add_dropped(file);
    }
    for (const CreatedFile& created : evidence.created) {
      if (is_dropped_again(created.creation.file) || is_of_a_new_relation(created)) continue;
      replacements_.push_back(created);
    }
  }

  // Whose the new files are from now on. Of a relation that alone was truncated the first one is
  // its own; files that no row of pg_class names are those of indexes and TOAST tables.
  void note_successors(const std::vector<HistoryEvent>& events,
                       std::map<FileKey, MappedRelation>& successors) const {
    for (const CreatedFile& created : replacements_) {
      const RelationFile& file = created.creation.file;
      successors[{file.database, file.number}] = {.database = file.database,
                                                  .file_number = file.number,
                                                  .kind = created.length == 0 ? 't' : 'i'};
    }
    if (events.size() != 1 || replacements_.empty()) return;
    const HistoryEvent& event = events.front();
    if (event.relations.size() != 1) return;
    const RelationFile& file = replacements_.front().creation.file;
    successors[{file.database, file.number}] = event.relations.front();
  }

  // Several events, where a transaction both dropped and rewrote.
  std::vector<HistoryEvent> events(const HistoryEvent& base) const {
    std::map<HistoryEvent::Kind, HistoryEvent> by_kind;
    for (const MappedRelation& relation : dropped_) {
      if (!is_of_its_own(relation.kind)) continue;
      const HistoryEvent::Kind kind = verdict_on(relation);
      HistoryEvent& event = by_kind.try_emplace(kind, base).first->second;
      event.kind = kind;
      event.relations.push_back(relation);
    }
    std::vector<HistoryEvent> events;
    events.reserve(by_kind.size());
    for (auto& [kind, event] : by_kind)
      events.push_back(std::move(event));
    return events;
  }

 private:
  bool was_created_here(const RelationFile& file) const {
    return std::any_of(evidence_.created.begin(), evidence_.created.end(),
                       [&](const CreatedFile& created) { return created.creation.file == file; });
  }

  bool is_dropped_again(const RelationFile& file) const {
    const auto& files = evidence_.commit.dropped_files;
    return std::find(files.begin(), files.end(), file) != files.end();
  }

  // CREATE TABLE beside a DROP: its row in pg_class names the file. The transient table of a
  // rewrite has one, too, and its name tells whose place it takes.
  bool is_of_a_new_relation(const CreatedFile& created) const {
    return std::any_of(evidence_.new_rows.begin(), evidence_.new_rows.end(),
                       [&](const RelationName& row) {
                         return row.database == created.creation.file.database &&
                                row.file_number == created.creation.file.number &&
                                !owner_of_transient_table(row.name);
                       });
  }

  void add_dropped(const RelationFile& file) {
    const Lsn lsn = evidence_.commit.start;
    auto relation = names_.by_file(file.database, file.number, lsn, at_);
    const auto successor = successors_.find({file.database, file.number});
    if (!relation && successor != successors_.end()) relation = successor->second;
    // A relation that was never rewritten has its OID as file number.
    if (!relation && is_locked(file.database, file.number)) {
      relation = names_.by_oid(file.database, file.number, lsn, at_);
    }
    if (!relation) relation = MappedRelation{.database = file.database, .file_number = file.number};
    relation->file_number = file.number;
    dropped_.push_back(*relation);
  }

  bool is_locked(std::uint32_t database, std::uint32_t oid) const {
    return std::any_of(evidence_.locks.begin(), evidence_.locks.end(),
                       [&](const RelationLock& lock) {
                         return lock.database == database && lock.relation == oid;
                       });
  }

  bool has_transient_table(const MappedRelation& relation) const {
    return std::any_of(evidence_.new_rows.begin(), evidence_.new_rows.end(),
                       [&](const RelationName& row) {
                         return row.database == relation.database &&
                                owner_of_transient_table(row.name) == relation.oid;
                       });
  }

  HistoryEvent::Kind verdict_on(const MappedRelation& relation) const {
    if (replacements_.empty()) return HistoryEvent::Kind::kDrop;
    if (has_transient_table(relation)) return HistoryEvent::Kind::kRewrite;
    // New files for every heap whose old file went, all of them empty but for indexes' first pages.
    const auto heaps = std::count_if(dropped_.begin(), dropped_.end(), [](const auto& one) {
      return has_heap(one.kind) || one.kind == 0;
    });
    const auto empty = std::count_if(replacements_.begin(), replacements_.end(),
                                     [](const auto& one) { return one.length == 0; });
    const bool others_are_first_pages =
        std::all_of(replacements_.begin(), replacements_.end(),
                    [](const CreatedFile& one) { return one.length <= 1; });
    const bool all_known = std::all_of(dropped_.begin(), dropped_.end(),
                                       [](const auto& one) { return one.kind != 0; });
    const bool matches =
        all_known ? empty == heaps : replacements_.size() == dropped_.size() && empty > 0;
    if (others_are_first_pages && matches) return HistoryEvent::Kind::kTruncate;
    return HistoryEvent::Kind::kRewrite;  // what is ambiguous is called so
  }

  const RelationEvidence& evidence_;
  const RelationNames& names_;
  const std::map<FileKey, MappedRelation>& successors_;
  Instant at_;
  std::vector<MappedRelation> dropped_;
  std::vector<CreatedFile> replacements_;
};

}  // namespace

HistoryReader make_history_reader(Storage& storage, const ClusterRecord& cluster) {
  return {.transactions =
              [&storage, cluster](const SegmentRow& row) {
                return read_transactions(storage, cluster, row);
              },
          .relation_changes =
              [&storage, cluster](const SegmentRow& row) {
                return read_relation_changes(storage, cluster, row);
              },
          .changed_blocks =
              [&storage, cluster](const SegmentRow& row) {
                return read_changed_blocks(storage, cluster, row);
              }};
}

RawHistory collect_history(const ClusterRows& rows, const HistoryRequest& request,
                           const HistoryReader& reader, RelationNames& names) {
  RawHistory history;
  for (const TimelineId timeline : known_timelines(rows))
    TimelineHistory(rows, request, reader, names, timeline).collect(history);
  return history;
}

std::vector<HistoryEvent> resolve_history(const RawHistory& raw, const RelationNames& names) {
  std::vector<HistoryEvent> events;
  std::map<FileKey, MappedRelation> successors;
  for (const auto& [event, evidence] : raw.events) {
    if (event.kind != HistoryEvent::Kind::kDrop) {
      events.push_back(event);
      if (event.database != 0) events.back().name = names.database_name(event.database);
      continue;
    }
    const Instant at = from_postgres_time(event.time);
    const RelationVerdict verdict(evidence, names, successors, at);
    const std::vector<HistoryEvent> found = verdict.events(event);
    verdict.note_successors(found, successors);
    events.insert(events.end(), found.begin(), found.end());
  }
  std::stable_sort(events.begin(), events.end(), [](const HistoryEvent& a, const HistoryEvent& b) {
    return std::tie(a.time, a.lsn) < std::tie(b.time, b.lsn);
  });
  return events;
}

namespace {

// A segment's index without the parent timeline's records, which its first segment begins with.
SegmentIndex own_index(const SegmentRow& row, Lsn fork, SegmentSize size,
                       const HistoryReader& reader) {
  if (row.name.start(size) >= fork) return row.index;
  SegmentIndex own;
  for (const TransactionEnd& transaction : reader.transactions(row)) {
    if (transaction.start >= fork) own.add(transaction);
  }
  return own;
}

}  // namespace

void visit_history_segments(const ClusterRows& rows, const HistoryRequest& request,
                            const HistoryReader& reader,
                            const std::function<void(const HistorySegment&)>& visit) {
  const auto overlaps = [&](const WalTotals& totals) {
    if (!totals.has_transactions()) return !request.from && !request.to;
    return (!request.from || totals.max_time >= to_postgres_time(*request.from)) &&
           (!request.to || totals.min_time <= to_postgres_time(*request.to));
  };
  for (const LogSummary& log : rows.wal.logs()) {
    if (!overlaps(log.totals)) continue;
    const auto path = timeline_path(rows, log.timeline);
    const Lsn fork = path ? path->back().begin : 0;
    for (const SegmentRow& row : rows.wal.load(log.timeline, log.log)->segments) {
      const SegmentIndex own = own_index(row, fork, rows.cluster.identity.segment_size, reader);
      if (!overlaps(totals_of(own))) continue;
      visit({.segment = row.name.to_string(),
             .commits = own.commits,
             .aborts = own.aborts,
             .first_commit = own.first_commit,
             .last_commit = own.last_commit,
             .stored_bytes = row.stored_bytes});
    }
  }
}

}  // namespace pitr
