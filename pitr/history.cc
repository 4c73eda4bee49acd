#include "pitr/history.h"

#include <algorithm>

#include <fmt/format.h>

#include "basebackup/relation_map.h"
#include "catalog/wal_path.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/units.h"
#include "pitr/json_output.h"

namespace pitr {

namespace {

const char* kind_of(const HistoryEvent& event) {
  switch (event.kind) {
    case HistoryEvent::Kind::kRestorePoint:
      return "restore_point";
    case HistoryEvent::Kind::kDrop:
      return "drop";
    case HistoryEvent::Kind::kTruncate:
      return "truncate";
    case HistoryEvent::Kind::kRewrite:
      return "rewrite";
    case HistoryEvent::Kind::kCreateDatabase:
      return "create_database";
    case HistoryEvent::Kind::kDropDatabase:
      return "drop_database";
  }
  return "";
}

Json number_or_null(std::uint64_t number) { return number == 0 ? Json(nullptr) : Json(number); }

Json event_as_json(const HistoryEvent& event, const RelationNames& names) {
  Json relations = Json::array();
  for (const MappedRelation& relation : event.relations) {
    const std::string database = names.database_name(relation.database);
    relations.push_back({{"database", json_text(database)},
                         {"schema", json_text(relation.schema)},
                         {"name", json_text(relation.name)},
                         {"oid", number_or_null(relation.oid)},
                         {"filenode", relation.file_number}});
  }
  Json json = {
      {"kind", kind_of(event)},        {"time", to_utc_text(from_postgres_time(event.time))},
      {"lsn", format_lsn(event.lsn)},  {"xid", number_or_null(event.full_xid)},
      {"timeline", event.timeline},    {"segment", event.segment},
      {"name", json_text(event.name)}, {"relations", relations}};
  if (event.database != 0) json["database_oid"] = event.database;
  return json;
}

Json segment_as_json(const HistorySegment& segment) {
  const auto time = [](const std::optional<std::int64_t>& value) {
    return value ? Json(to_utc_text(from_postgres_time(*value))) : Json(nullptr);
  };
  return {{"segment", segment.segment},
          {"commits", segment.commits},
          {"aborts", segment.aborts},
          {"first_commit_at", time(segment.first_commit)},
          {"last_commit_at", time(segment.last_commit)},
          {"bytes", segment.stored_bytes}};
}

std::string subject_of(const HistoryEvent& event, const RelationNames& names) {
  if (event.kind == HistoryEvent::Kind::kRestorePoint) return event.name;
  if (event.database != 0) {
    return event.name.empty() ? std::to_string(event.database) : event.name;
  }
  std::string subjects;
  for (const MappedRelation& relation : event.relations) {
    subjects += (subjects.empty() ? "" : ", ") + describe_relation(relation, names);
  }
  return subjects;
}

// A name may hold any character; a line must not become two.
std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string event_as_text(const HistoryEvent& event, const RelationNames& names) {
  std::string kind = kind_of(event);
  std::replace(kind.begin(), kind.end(), '_', ' ');
  const std::string xid =
      event.full_xid == 0 ? "" : fmt::format("transaction {}, ", event.full_xid);
  return fmt::format(
      "{}  {:<15} {}  ({}timeline {}, {})\n", to_local_text(from_postgres_time(event.time)), kind,
      on_one_line(subject_of(event, names)), xid, event.timeline, format_lsn(event.lsn));
}

// Segments between two events are told in one line.
struct SegmentRun {
  std::string first;
  std::string last;
  std::uint64_t commits = 0;
  std::uint64_t aborts = 0;
  std::optional<std::int64_t> last_commit;

  std::string text() const {
    const std::string names = first == last ? first : first + " to " + last;
    return fmt::format(
        "{}  {:<15} {} in {}{}\n",
        last_commit ? to_local_text(from_postgres_time(*last_commit)) : std::string(32, ' '),
        "commits", commits, names, aborts == 0 ? "" : fmt::format(", and {} aborts", aborts));
  }
};

// Like a log: what happened up to a line's time stands above it.
void print_text(const NamedHistory& history, const ClusterRows& rows, const HistoryRequest& request,
                const HistoryReader& reader) {
  std::size_t next = 0;
  SegmentRun run;
  const auto print_run = [&] {
    if (run.commits + run.aborts > 0) print_output(run.text());
    run = {};
  };
  const auto print_events_before = [&](std::optional<std::int64_t> time) {
    for (; next < history.events.size(); ++next) {
      const HistoryEvent& event = history.events[next];
      if (time && event.time >= *time) return;
      print_run();
      print_output(event_as_text(event, history.names));
    }
  };
  visit_history_segments(rows, request, reader, [&](const HistorySegment& segment) {
    if (next < history.events.size() && segment.last_commit &&
        history.events[next].time <= *segment.last_commit) {
      print_run();
      print_events_before(*segment.last_commit + 1);
    }
    if (run.first.empty()) run.first = segment.segment;
    run.last = segment.segment;
    run.commits += segment.commits;
    run.aborts += segment.aborts;
    run.last_commit = std::max(run.last_commit, segment.last_commit);
  });
  print_run();
  print_events_before(std::nullopt);
}

HistoryRequest parse_request(const HistoryOptions& options) {
  HistoryRequest request;
  const Instant present = now();
  if (!options.from.empty()) request.from = parse_instant(options.from, present);
  if (!options.to.empty()) request.to = parse_instant(options.to, present);
  if (request.from && request.to && *request.to < *request.from) {
    throw Error({.kind = ErrorKind::kUsage, .message = "--to lies before --from"});
  }
  return request;
}

}  // namespace

std::string describe_relation(const MappedRelation& relation, const RelationNames& names) {
  std::string database = names.database_name(relation.database);
  if (database.empty()) database = fmt::format("database {}", relation.database);
  if (relation.name.empty()) return fmt::format("file {} of {}", relation.file_number, database);
  const std::string schema = relation.schema.empty() ? "?" : relation.schema;
  return fmt::format("{}.{}.{}", database, schema, relation.name);
}

NamedHistory read_history(Storage& storage, const ClusterRows& rows,
                          const HistoryRequest& request) {
  NamedHistory history;
  const RawHistory raw =
      collect_history(rows, request, make_history_reader(storage, rows.cluster), history.names);
  read_relation_maps(storage, rows.cluster, history.names);
  history.events = resolve_history(raw, history.names);
  for (const std::string& segment : raw.incomplete) {
    log_warning(
        fmt::format("more happened in {} than its index keeps: not all of it is told", segment));
  }
  for (const UnreadableFile& unreadable : rows.unreadable)
    log_warning(fmt::format("not told, since it cannot be read: {}", unreadable.text()));
  for (const TimelineId timeline : known_timelines(rows)) {
    for (const SegmentGap& gap : find_gaps(rows, timeline)) {
      log_warning(
          fmt::format("not told, since {} segments are missing: what happened between {} "
                      "and {}",
                      gap.missing, gap.after.to_string(), gap.before.to_string()));
    }
  }
  return history;
}

int run_history(Session& session, const HistoryOptions& options) {
  const HistoryRequest request = parse_request(options);
  session.load();
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = session_cluster(session, *storage);
  const ClusterRows rows = session_rows(session, *storage, cluster);
  const NamedHistory history = read_history(*storage, rows, request);
  const HistoryReader reader = make_history_reader(*storage, cluster);
  if (!session.json) {
    print_text(history, rows, request, reader);
    return kSuccess;
  }
  Json events = Json::array();
  for (const HistoryEvent& event : history.events)
    events.push_back(event_as_json(event, history.names));
  Json segments = Json::array();
  visit_history_segments(rows, request, reader, [&](const HistorySegment& segment) {
    segments.push_back(segment_as_json(segment));
  });
  print_json({{"format", 1}, {"events", events}, {"segments", segments}});
  return kSuccess;
}

}  // namespace pitr
