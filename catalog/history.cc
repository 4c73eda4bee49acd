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

// What is stored of a log, segment by segment: the whole one, else its longest beginning.
std::vector<const SegmentRow*> rows_of(const LogRows& log) {
  std::map<SegmentName, const SegmentRow*> by_name;
  for (const SegmentRow& row : log.beginnings) {
    const SegmentRow*& longest = by_name[row.name];
    if (longest == nullptr || row.index.valid_end > longest->index.valid_end) longest = &row;
  }
  for (const SegmentRow& row : log.segments)
    by_name[row.name] = &row;
  std::vector<const SegmentRow*> rows;
  rows.reserve(by_name.size());
  for (const auto& [name, row] : by_name)
    rows.push_back(row);
  return rows;
}

// The WAL of one timeline, from its fork on, in LSN order.
class TimelineHistory {
 public:
  TimelineHistory(const ClusterRows& rows, const HistoryRequest& request,
                  const HistoryReader& reader, RelationNames& names, TimelineId timeline)
      : rows_(rows), request_(request), reader_(reader), names_(names), timeline_(timeline) {
    const auto path = timeline_path(rows, timeline);
    if (!path) return;
    begin_ = path->back().begin;
    if (path->size() > 1) take_over((*path)[path->size() - 2]);
  }

  void collect(RawHistory& history) {
    const auto& logs = rows_.wal.logs();
    for (const LogSummary& log : logs) {
      if (log.timeline != timeline_ || is_long_before(log)) continue;
      const WalTotals& totals = log.totals;
      if (totals.next_xid != 0 || totals.restore_points || totals.databases ||
          totals.relation_changes || log.beginnings > 0) {
        collect_log(log, history);
      }
    }
  }

 private:
  // A transaction prepared on the parent may end here: its evidence from the last log before the
  // fork.
  void take_over(const TimelineStretch& parent) {
    if (parent.end == 0) return;
    const SegmentName fork = SegmentName::containing(parent.timeline, parent.end - 1,
                                                     rows_.cluster.identity.segment_size);
    const auto rows = rows_.wal.load(fork.timeline, fork.log);
    for (const SegmentRow* row : rows_of(*rows)) {
      if (fork < row->name || !row->index.has_relation_changes) continue;
      const RelationChanges changes = reader_.relation_changes(*row);
      note_evidence(changes, parent.end);
      for (const TransactionEnd& drop : changes.drops) {
        if (drop.start < parent.end) take_evidence(drop);
      }
    }
  }

  // What transactions did before `end`.
  void note_evidence(const RelationChanges& changes, Lsn end) {
    for (const RelationName& name : changes.names) {
      if (name.start < end) open_[name.xid].new_rows.push_back(name);
    }
    for (const RelationLock& lock : changes.locks)
      open_[lock.xid].locks.push_back(lock);
    for (const CreatedFile& created : changes.created) {
      if (created.start < end) open_[created.xid].created.push_back(created);
    }
  }

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
    for (const SegmentRow* stored : rows_of(*rows)) {
      const SegmentRow& row = *stored;
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
        if (change.start >= begin_) add_database(row, change, history);
      }
      if (row.index.has_relation_changes) add_relations(row, history);
    }
  }

  // The record is written before the commit, which alone makes it count.
  void add_database(const SegmentRow& row, const DatabaseChange& change, RawHistory& history) {
    for (const LogSummary& log : rows_.wal.logs()) {
      const bool may_hold = log.timeline == timeline_ && log.log >= row.name.log &&
                            change.xid >= log.totals.min_xid && change.xid <= log.totals.max_xid;
      if (!may_hold && log.beginnings == 0) continue;
      const auto rows = rows_.wal.load(log.timeline, log.log);
      for (const SegmentRow* candidate : rows_of(*rows)) {
        if (candidate->name < row.name || candidate->name.timeline != timeline_) continue;
        const auto end = find_end(*candidate, change);
        if (end) return add_database_event(*end, candidate->name, change, history);
      }
    }
  }

  std::optional<TransactionEnd> find_end(const SegmentRow& row,
                                         const DatabaseChange& change) const {
    if (change.xid < row.index.min_xid || change.xid > row.index.max_xid) return std::nullopt;
    const bool can_ask = reader_.xids && !row.open_transaction;
    const auto xids = can_ask ? reader_.xids(row) : std::nullopt;
    if (xids && !std::binary_search(xids->begin(), xids->end(), change.xid)) return std::nullopt;
    for (const TransactionEnd& transaction : reader_.transactions(row)) {
      if (transaction.xid == change.xid && transaction.start > change.start) return transaction;
    }
    return std::nullopt;
  }

  void add_database_event(const TransactionEnd& end, const SegmentName& segment,
                          const DatabaseChange& change, RawHistory& history) const {
    if (!end.is_commit || !is_wanted(end.time)) return;
    HistoryEvent event = make_event(
        change.is_drop ? HistoryEvent::Kind::kDropDatabase : HistoryEvent::Kind::kCreateDatabase,
        end, segment);
    event.database = change.oid;
    if (change.is_drop) event.removed_at = change.start;
    history.events.push_back({.event = std::move(event), .evidence = {}});
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
    const RelationChanges changes = reader_.relation_changes(row);
    if (changes.omitted) history.incomplete.push_back(row.name.to_string());
    for (const RelationName& name : changes.names) {
      if (name.start >= begin_) names_.add(name);
    }
    note_evidence(changes, kEndOfTime);
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
      auto name = SegmentName::containing(timeline_, created.start, size);
      while (created.length <= 1 && name < commit_row.name) {
        name = name.next(size);
        const RowPointer row = rows_.wal.find_whole(name);
        if (!row) break;
        for (const ChangedFork& fork : reader_.changed_blocks(*row).forks) {
          if (fork.file != created.file || fork.fork != Fork::kMain) continue;
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
    name_by_lock();
    for (const CreatedFile& created : evidence.created) {
      if (is_dropped_again(created.file) || is_of_a_new_relation(created)) continue;
      replacements_.push_back(created);
    }
  }

  // Whose the new files are from now on. Of a relation that alone was truncated the first one is
  // its own; files that no row of pg_class names are those of indexes and TOAST tables.
  void note_successors(const std::vector<HistoryEvent>& events,
                       std::map<FileKey, MappedRelation>& successors) const {
    if (is_several()) return;  // whose is whose, the locks of a later transaction tell
    for (const CreatedFile& created : replacements_) {
      const RelationFile& file = created.file;
      successors[{file.database, file.number}] = {.database = file.database,
                                                  .file_number = file.number,
                                                  .kind = created.length == 0 ? 't' : 'i'};
    }
    if (events.size() != 1 || replacements_.empty()) return;
    const HistoryEvent& event = events.front();
    if (event.relations.size() != 1) return;
    const RelationFile& file = replacements_.front().file;
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
                       [&](const CreatedFile& created) { return created.file == file; });
  }

  bool is_dropped_again(const RelationFile& file) const {
    const auto& files = evidence_.commit.dropped_files;
    return std::find(files.begin(), files.end(), file) != files.end();
  }

  // CREATE TABLE beside a DROP: its row in pg_class names the file. The transient table of a
  // rewrite has one, too, and its name tells whose place it takes.
  bool is_of_a_new_relation(const CreatedFile& created) const {
    return std::any_of(
        evidence_.new_rows.begin(), evidence_.new_rows.end(), [&](const RelationName& row) {
          return row.database == created.file.database && row.file_number == created.file.number &&
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

  // A relation whose file no map and no row of pg_class knows, since it was truncated or rewritten
  // after them: whoever drops it locks it by its OID. Other relations may be locked, too (those
  // that a foreign key refers to), so this counts only where one alone can be meant. The other
  // unknown files are then those of its indexes and its TOAST table.
  void name_by_lock() {
    std::optional<MappedRelation> only;
    for (const RelationLock& lock : evidence_.locks) {
      const auto relation =
          names_.by_oid(lock.database, lock.relation, evidence_.commit.start, at_);
      if (!relation) return;
      const bool is_table = has_heap(relation->kind) && relation->kind != 't';
      if (!is_table || (only && only->oid == relation->oid)) continue;
      if (only || is_among_dropped(*relation)) return;
      only = relation;
    }
    for (MappedRelation& dropped : dropped_) {
      if (dropped.kind != 0 || !only) continue;
      if (only->name.empty()) {
        dropped.kind = 'i';
        continue;
      }
      only->file_number = dropped.file_number;
      dropped = *only;
      only->name.clear();
    }
  }

  bool is_among_dropped(const MappedRelation& relation) const {
    return std::any_of(dropped_.begin(), dropped_.end(), [&](const MappedRelation& one) {
      return one.database == relation.database && one.oid == relation.oid;
    });
  }

  // The file that a later map says the relation has, if this transaction made it.
  const CreatedFile* replacement_of(std::uint32_t file_number) const {
    const auto found = std::find_if(
        replacements_.begin(), replacements_.end(),
        [&](const CreatedFile& created) { return created.file.number == file_number; });
    return found == replacements_.end() ? nullptr : &*found;
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

  bool is_several() const {
    return std::count_if(dropped_.begin(), dropped_.end(),
                         [](const auto& one) { return is_of_its_own(one.kind); }) > 1;
  }

  HistoryEvent::Kind verdict_on(const MappedRelation& relation) const {
    if (replacements_.empty()) return HistoryEvent::Kind::kDrop;
    if (has_transient_table(relation)) return HistoryEvent::Kind::kRewrite;
    const auto later =
        relation.oid == 0 ? std::nullopt : names_.after(relation.database, relation.oid, at_);
    if (later && !later->is_there && is_several()) return HistoryEvent::Kind::kDrop;
    if (const CreatedFile* own = later ? replacement_of(later->file_number) : nullptr) {
      return own->length == 0 ? HistoryEvent::Kind::kTruncate : HistoryEvent::Kind::kRewrite;
    }
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
          .xids = [&storage,
                   cluster](const SegmentRow& row) { return read_xids(storage, cluster, row); },
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
    if (!overlaps(log.totals) && log.beginnings == 0) continue;
    const auto path = timeline_path(rows, log.timeline);
    const Lsn fork = path ? path->back().begin : 0;
    const auto loaded = rows.wal.load(log.timeline, log.log);
    for (const SegmentRow* stored : rows_of(*loaded)) {
      const SegmentRow& row = *stored;
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
