#include "catalog/wal_rows.h"

#include <algorithm>
#include <tuple>

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::uint16_t kSummaryVersion = 1;

bool by_position(const SegmentRow& a, const SegmentRow& b) {
  return std::tie(a.name, a.key) < std::tie(b.name, b.key);
}

bool before(const SegmentRow& row, const SegmentName& name) { return row.name < name; }

auto position_of(const LogSummary& log) { return std::tie(log.timeline, log.log); }

template <typename Number>
void put_optional(ByteWriter& writer, const std::optional<Number>& number) {
  writer.put(static_cast<std::uint8_t>(number.has_value()));
  writer.put(number.value_or(0));
}

std::optional<std::int64_t> get_optional(ByteReader& reader) {
  const bool there = reader.get<std::uint8_t>() != 0;
  const auto number = reader.get<std::int64_t>();
  return there ? std::optional(number) : std::nullopt;
}

void put_totals(ByteWriter& writer, const WalTotals& totals) {
  writer.put(totals.commits);
  writer.put(totals.aborts);
  writer.put(totals.min_time);
  writer.put(totals.max_time);
  put_optional(writer, totals.first_commit);
  put_optional(writer, totals.last_commit);
  writer.put(totals.min_xid);
  writer.put(totals.max_xid);
  writer.put(totals.next_xid);
  for (const bool flag :
       {totals.restore_points, totals.tablespaces, totals.databases, totals.parameters,
        totals.running, totals.custom_managers, totals.relation_changes}) {
    writer.put(static_cast<std::uint8_t>(flag));
  }
}

WalTotals get_totals(ByteReader& reader) {
  WalTotals totals{.commits = reader.get<std::uint64_t>()};
  totals.aborts = reader.get<std::uint64_t>();
  totals.min_time = reader.get<std::int64_t>();
  totals.max_time = reader.get<std::int64_t>();
  totals.first_commit = get_optional(reader);
  totals.last_commit = get_optional(reader);
  totals.min_xid = reader.get<std::uint32_t>();
  totals.max_xid = reader.get<std::uint32_t>();
  totals.next_xid = reader.get<std::uint64_t>();
  for (bool* flag :
       {&totals.restore_points, &totals.tablespaces, &totals.databases, &totals.parameters,
        &totals.running, &totals.custom_managers, &totals.relation_changes}) {
    *flag = reader.get<std::uint8_t>() != 0;
  }
  return totals;
}

template <typename Number>
std::optional<Number> least(std::optional<Number> a, std::optional<Number> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

WalTotals totals_of(const SegmentIndex& index) {
  return {.commits = index.commits,
          .aborts = index.aborts,
          .min_time = index.min_time,
          .max_time = index.max_time,
          .first_commit = index.first_commit,
          .last_commit = index.last_commit,
          .min_xid = index.min_xid,
          .max_xid = index.max_xid,
          .next_xid = index.next_xid(),
          .restore_points = !index.restore_points.empty(),
          .tablespaces = !index.tablespaces.empty(),
          .databases = !index.databases.empty(),
          .parameters = !index.parameters.empty(),
          .running = !index.running.empty() || !index.checkpoints.empty(),
          .custom_managers = !index.custom_managers.empty(),
          .relation_changes = index.has_relation_changes};
}

void WalTotals::add(const WalTotals& later) {
  if (later.has_transactions()) {
    min_time = has_transactions() ? std::min(min_time, later.min_time) : later.min_time;
    max_time = has_transactions() ? std::max(max_time, later.max_time) : later.max_time;
  }
  commits += later.commits;
  aborts += later.aborts;
  first_commit = least(first_commit, later.first_commit);
  last_commit = std::max(last_commit, later.last_commit);  // nothing is less than any
  if (later.min_xid != 0) min_xid = min_xid == 0 ? later.min_xid : std::min(min_xid, later.min_xid);
  max_xid = std::max(max_xid, later.max_xid);
  if (later.next_xid != 0) next_xid = later.next_xid;
  restore_points |= later.restore_points;
  tablespaces |= later.tablespaces;
  databases |= later.databases;
  parameters |= later.parameters;
  running |= later.running;
  custom_managers |= later.custom_managers;
  relation_changes |= later.relation_changes;
}

LogSummary summarize(TimelineId timeline, std::uint32_t log, const LogRows& rows) {
  LogSummary summary{.timeline = timeline,
                     .log = log,
                     .segments = static_cast<std::uint32_t>(rows.segments.size()),
                     .beginnings = static_cast<std::uint32_t>(rows.beginnings.size())};
  bool all_usable = true;
  for (const SegmentRow& row : rows.segments) {
    const SegmentIndex& index = row.index;
    summary.damaged |= index.damaged || row.open_record_is_damaged;
    all_usable &= index.complete && !index.damaged && !row.open_record_is_damaged;
    summary.stored_bytes += row.stored_bytes;
    if (row.archived_at >= summary.last_archived_at) {
      summary.last_archived_at = row.archived_at;
      summary.last_archived = row.name.segment;
    }
    if (index.last_record != 0) summary.last_record = index.last_record;
    if (index.end_of_records != 0) summary.end_of_records = index.end_of_records;
    summary.totals.add(totals_of(index));
  }
  if (!rows.segments.empty()) {
    summary.first = rows.segments.front().name.segment;
    summary.last = rows.segments.back().name.segment;
  }
  summary.unbroken = all_usable && summary.is_contiguous() && rows.beginnings.empty();
  return summary;
}

std::vector<std::byte> encode_log_summary(const LogSummary& summary) {
  ByteWriter writer;
  writer.put(kSummaryVersion);
  writer.put(summary.timeline);
  writer.put(summary.log);
  writer.put(summary.segments);
  writer.put(summary.first);
  writer.put(summary.last);
  writer.put(summary.beginnings);
  writer.put(static_cast<std::uint8_t>(summary.unbroken));
  writer.put(static_cast<std::uint8_t>(summary.damaged));
  writer.put(summary.stored_bytes);
  writer.put(static_cast<std::int64_t>(summary.last_archived_at.time_since_epoch().count()));
  writer.put(summary.last_archived);
  writer.put(summary.last_record);
  writer.put(summary.end_of_records);
  put_totals(writer, summary.totals);
  return writer.take();
}

LogSummary decode_log_summary(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = reader.get<std::uint16_t>();
  LogSummary summary{.timeline = reader.get<TimelineId>(), .log = reader.get<std::uint32_t>()};
  summary.segments = reader.get<std::uint32_t>();
  summary.first = reader.get<std::uint32_t>();
  summary.last = reader.get<std::uint32_t>();
  summary.beginnings = reader.get<std::uint32_t>();
  summary.unbroken = reader.get<std::uint8_t>() != 0;
  summary.damaged = reader.get<std::uint8_t>() != 0;
  summary.stored_bytes = reader.get<std::uint64_t>();
  summary.last_archived_at = Instant(Instant::duration(reader.get<std::int64_t>()));
  summary.last_archived = reader.get<std::uint32_t>();
  summary.last_record = reader.get<Lsn>();
  summary.end_of_records = reader.get<Lsn>();
  summary.totals = get_totals(reader);
  if (version != kSummaryVersion || !reader.ok() || reader.remaining() != 0) {
    throw Error({.kind = ErrorKind::kCorrupt, .message = "the summary of a log is damaged"});
  }
  return summary;
}

void complete_open_record(SegmentRow& row, const JoinedRecord& record,
                          std::vector<std::string> keys, unsigned version) {
  row.open_record_completed = true;
  row.open_record_is_damaged = !record.is_valid();
  RelationChanges changes;
  RecordVisitor visitor = row.index.collector();
  visitor.on_transaction_end = [&, count = visitor.on_transaction_end](const TransactionEnd& t) {
    count(t);
    row.open_transaction = std::make_shared<const TransactionEnd>(t);
    if (t.is_commit && !t.dropped_files.empty()) changes.drops.push_back(t);
  };
  visitor.on_lock = [&](const RelationLock& lock) { changes.locks.push_back(lock); };
  visitor.on_relation_name = [&](const RelationName& name) { changes.names.push_back(name); };
  visitor.on_file_creation = [&](const FileCreation& creation) {
    const bool stands_for_relation = creation.fork == Fork::kMain || creation.fork == Fork::kInit;
    if (!stands_for_relation) return;
    changes.created.push_back(
        {.start = creation.start, .xid = creation.xid, .file = creation.file});
  };
  record.visit(version, visitor);
  if (row.open_transaction && record.is_cut()) {
    // Any transaction may be among its subtransactions, and a prepared one's own id comes last.
    row.open_record_in = std::move(keys);
    row.index.min_xid = 1;
    row.index.max_xid = UINT32_MAX;
    row.index.has_relation_changes = true;
  }
  if (changes.empty()) return;
  row.index.has_relation_changes = true;
  row.open_changes = std::make_shared<const RelationChanges>(std::move(changes));
}

void complete_open_records(std::vector<SegmentRow>& segments,
                           const std::vector<SegmentRow>& following, SegmentSize size,
                           unsigned version) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].open_record_completed) continue;
    JoinedRecord record(segments[i].index);
    SegmentName name = segments[i].name;
    std::vector<std::string> keys;
    // A record may span any number of segments.
    for (std::size_t j = i + 1; record.is_open() && !record.is_whole(); ++j) {
      const bool inside = j < segments.size();
      if (!inside && j - segments.size() >= following.size()) break;
      const SegmentRow& next = inside ? segments[j] : following[j - segments.size()];
      if (next.name != name.next(size) || !record.join(next.index)) break;
      name = next.name;
      keys.push_back(next.key);
    }
    if (!record.is_open() || !record.is_whole()) continue;
    complete_open_record(segments[i], record, std::move(keys), version);
  }
}

namespace {

std::uint64_t key_of(TimelineId timeline, std::uint32_t log) {
  return std::uint64_t{timeline} << 32 | log;
}

}  // namespace

WalRows::WalRows(std::vector<LogSummary> logs, Loader loader)
    : logs_(std::move(logs)), loader_(std::move(loader)) {
  note_keys();
}

void WalRows::note_keys() {
  keys_.clear();
  keys_.reserve(logs_.size());
  for (const LogSummary& log : logs_)
    keys_.push_back(key_of(log.timeline, log.log));
}

const LogSummary* WalRows::find_log(TimelineId timeline, std::uint32_t log) const {
  const auto found = std::lower_bound(keys_.begin(), keys_.end(), key_of(timeline, log));
  if (found == keys_.end() || *found != key_of(timeline, log)) return nullptr;
  return &logs_[static_cast<std::size_t>(found - keys_.begin())];
}

std::shared_ptr<const LogRows> WalRows::load(TimelineId timeline, std::uint32_t log) const {
  const LogKey key(timeline, log);
  if (const auto found = added_.find(key); found != added_.end()) return found->second;
  if (const auto found = loaded_.find(key); found != loaded_.end()) return found->second;
  if (find_log(timeline, log) == nullptr || !loader_) return std::make_shared<LogRows>();
  if (loaded_.size() >= kMostLoaded) loaded_.clear();
  return loaded_[key] = std::make_shared<const LogRows>(loader_(timeline, log));
}

RowPointer WalRows::find_whole(const SegmentName& name) const {
  const auto rows = load(name.timeline, name.log);
  const auto found = std::lower_bound(rows->segments.begin(), rows->segments.end(), name, before);
  if (found == rows->segments.end() || found->name != name) return nullptr;
  return {rows, &*found};
}

RowPointer WalRows::find_longest_beginning(const SegmentName& name) const {
  const LogSummary* log = find_log(name.timeline, name.log);
  if (log == nullptr || log->beginnings == 0) return nullptr;
  const auto rows = load(name.timeline, name.log);
  const SegmentRow* longest = nullptr;
  for (const SegmentRow& row : rows->beginnings) {
    if (row.name != name) continue;
    if (longest == nullptr || row.index.valid_end > longest->index.valid_end) longest = &row;
  }
  return longest == nullptr ? nullptr : RowPointer(rows, longest);
}

std::optional<SegmentName> WalRows::next_stored(const SegmentName& name) const {
  for (const LogSummary& log : logs_) {
    if (log.timeline != name.timeline || log.log < name.log) continue;
    const auto rows = load(log.timeline, log.log);
    std::optional<SegmentName> next;
    for (const auto* list : {&rows->segments, &rows->beginnings}) {
      const auto found = std::lower_bound(list->begin(), list->end(), name, before);
      if (found != list->end() && (!next || found->name < *next)) next = found->name;
    }
    if (next) return next;
  }
  return std::nullopt;
}

void WalRows::add(SegmentRow row, SegmentSize size, unsigned version) {
  const LogKey key(row.name.timeline, row.name.log);
  LogRows rows = *load(key.first, key.second);
  auto& list = row.kind == StoredWalName::Kind::kSegment ? rows.segments : rows.beginnings;
  list.insert(std::upper_bound(list.begin(), list.end(), row, by_position), std::move(row));
  const bool begins_log = !rows.segments.empty() && rows.segments.front().name.segment == 0;
  keep(key, std::move(rows), size, version);
  if (!begins_log || key.second == 0) return;
  // A record that the log before leaves open may end in this one.
  const LogKey before(key.first, key.second - 1);
  const auto previous = load(before.first, before.second);
  if (previous->segments.empty()) return;
  const SegmentRow& last = previous->segments.back();
  if (last.index.open_record != 0 && !last.open_record_completed) {
    keep(before, *previous, size, version);
  }
}

void WalRows::keep(const LogKey& key, LogRows rows, SegmentSize size, unsigned version) {
  complete_open_records(rows.segments, load(key.first, key.second + 1)->segments, size, version);
  const LogSummary summary = summarize(key.first, key.second, rows);
  added_[key] = std::make_shared<const LogRows>(std::move(rows));
  const auto place = std::lower_bound(
      logs_.begin(), logs_.end(), summary,
      [](const LogSummary& a, const LogSummary& b) { return position_of(a) < position_of(b); });
  if (place != logs_.end() && place->timeline == key.first && place->log == key.second) {
    *place = summary;
  } else {
    logs_.insert(place, summary);
    note_keys();
  }
}

}  // namespace pitr
