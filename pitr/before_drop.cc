#include "pitr/before_drop.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "catalog/wal_path.h"
#include "common/error.h"
#include "common/log.h"
#include "common/units.h"
#include "pitr/history.h"
#include "pitr/plan_output.h"

namespace pitr {

namespace {

[[noreturn]] void throw_finding(std::string code, std::string message, std::string detail) {
  throw Error({.kind = ErrorKind::kFinding,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = "pitr history lists what was dropped; --before-xid takes a transaction "
                       "from it.",
               .code = std::move(code)});
}

// "t", "public.t" and "app.public.t" all mean app.public.t.
bool is_named(const std::string& full_name, const std::string& what) {
  return full_name == what || full_name.ends_with("." + what);
}

// Of a schema or database that is younger than every map of names.
bool has_unknown_place(const std::string& full_name) {
  return full_name.find("?.") != std::string::npos;
}

using Stretches = std::vector<TimelineStretch>;

bool is_on(const Stretches& path, const HistoryEvent& event) {
  return std::any_of(path.begin(), path.end(), [&](const TimelineStretch& stretch) {
    return stretch.timeline == event.timeline && event.lsn < stretch.end;
  });
}

struct Match {
  const HistoryEvent* event = nullptr;
  std::string subject;
};

std::vector<Match> find_matches(const NamedHistory& history, const std::string& what) {
  const auto oid = parse_number(what, 10);
  std::vector<Match> matches;
  for (const HistoryEvent& event : history.events) {
    if (event.kind == HistoryEvent::Kind::kDropDatabase) {
      if (event.name == what || (oid && *oid == event.database)) {
        matches.push_back({&event, event.name.empty() ? fmt::format("database {}", event.database)
                                                      : "database " + event.name});
      }
      continue;
    }
    if (event.kind == HistoryEvent::Kind::kRestorePoint ||
        event.kind == HistoryEvent::Kind::kCreateDatabase) {
      continue;
    }
    for (const MappedRelation& relation : event.relations) {
      const std::string name = describe_relation(relation, history.names);
      if (!is_named(name, what) && (!oid || *oid != relation.oid)) continue;
      // Two of one name in places that no map knows may be two tables.
      matches.push_back({&event, has_unknown_place(name)
                                     ? fmt::format("{} (OID {})", name, relation.oid)
                                     : name});
    }
  }
  return matches;
}

std::string describe(const Match& match) {
  return fmt::format("{} by transaction {} of {}, timeline {}", match.subject,
                     match.event->full_xid, to_local_text(from_postgres_time(match.event->time)),
                     match.event->timeline);
}

// Relations of that name whose schema or database is younger than every map of names.
std::string drops_of_unknown_place(const NamedHistory& history, const std::string& what) {
  const std::string own_name = what.substr(what.rfind('.') + 1);
  std::vector<std::string> described;
  std::vector<std::string> options;
  for (const HistoryEvent& event : history.events) {
    if (event.kind != HistoryEvent::Kind::kDrop) continue;
    for (const MappedRelation& relation : event.relations) {
      const std::string name = describe_relation(relation, history.names);
      if (!has_unknown_place(name) || !name.ends_with("." + own_name)) continue;
      described.push_back(describe({&event, name}));
      options.push_back(fmt::format("--before-drop {}", relation.oid));
    }
  }
  if (described.empty()) return {};
  return fmt::format("{} may be it: no map of names knows more. Name it by its OID: {}",
                     fmt::join(described, ", or "), fmt::join(options, ", or "));
}

}  // namespace

std::vector<std::string> target_before_drop(PlanRequest& request, const std::string& what,
                                            Storage& storage, const ClusterRows& rows) {
  if (request.timeline && !timeline_path(rows, *request.timeline)) {
    const std::string message = fmt::format("timeline {} is not known", *request.timeline);
    require_all_read(rows, message);
    throw_finding("timeline_unknown", message, "Its history file is not in the repository.");
  }
  const NamedHistory history = read_history(storage, rows, {});
  std::vector<Match> matches = find_matches(history, what);
  if (request.timeline) {
    const auto path = timeline_path(rows, *request.timeline).value_or(Stretches());
    std::erase_if(matches, [&](const Match& match) { return !is_on(path, *match.event); });
  }
  const auto is_drop = [](const Match& match) {
    return match.event->kind == HistoryEvent::Kind::kDrop ||
           match.event->kind == HistoryEvent::Kind::kDropDatabase;
  };
  std::vector<Match> drops;
  std::copy_if(matches.begin(), matches.end(), std::back_inserter(drops), is_drop);
  if (drops.empty()) {
    const std::string perhaps = drops_of_unknown_place(history, what);
    const std::string message = fmt::format("the archived WAL holds no drop of \"{}\"", what);
    require_all_read(rows, message);
    throw_finding("drop_not_found", message,
                  !perhaps.empty() ? perhaps
                  : matches.empty()
                      ? ""
                      : "It was truncated or rewritten: " + describe(matches.back()) + ".");
  }
  std::set<std::string> subjects;
  for (const Match& drop : drops)
    subjects.insert(drop.subject);
  if (subjects.size() > 1) {
    throw_finding("drop_ambiguous", fmt::format("\"{}\" means more than one thing", what),
                  fmt::format("Dropped were: {}.", fmt::join(subjects, ", ")));
  }
  const Match& last = drops.back();  // by time
  std::vector<std::string> warnings;
  if (drops.size() > 1) {
    warnings.push_back(fmt::format(
        "\"{}\" was dropped {} times; recovery stops before the last time", what, drops.size()));
  }
  log_info("before the drop of " + describe(last));
  request.target = {
      .kind = RecoveryTarget::Kind::kXid, .xid = last.event->full_xid, .inclusive = false};
  if (last.event->removed_at != 0) {
    // Before the record that removed its files, and not only before its commit.
    request.target = {
        .kind = RecoveryTarget::Kind::kLsn, .lsn = last.event->removed_at, .inclusive = false};
  }
  request.end_with_last_commit = true;
  if (!request.timeline && !request.newest_timeline) request.timeline = last.event->timeline;
  return warnings;
}

}  // namespace pitr
