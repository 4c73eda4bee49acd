#include "pitr/info.h"

#include <algorithm>

#include <fmt/format.h>

#include "catalog/recovery_plan.h"
#include "catalog/wal_path.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/units.h"
#include "pitr/json_output.h"
#include "pitr/plan_output.h"
#include "pitr/timeline_chart.h"

namespace pitr {

namespace {

struct Problem {
  std::string code;
  std::string message;
  bool is_error = false;
};

// One timeline, as `info` shows it.
struct TimelineSummary {
  TimelineId id = 0;
  TimelineId parent = 0;  // 0: none, or its history is not known
  Lsn forked_at = 0;
  std::string first_segment;
  std::string last_segment;
  std::uint64_t segment_count = 0;
  std::uint64_t stored_bytes = 0;
  std::optional<Instant> first_commit_at;
  std::optional<Instant> last_commit_at;
  std::vector<SegmentGap> gaps;
};

struct ClusterSummary {
  ClusterRows rows;
  bool current = true;
  std::vector<TimelineSummary> timelines;
  std::vector<ReachableWindow> windows;
  std::vector<Problem> problems;

  std::string status() const {
    if (problems.empty()) return "ok";
    const bool error = std::any_of(problems.begin(), problems.end(),
                                   [](const Problem& problem) { return problem.is_error; });
    return error ? "error" : "warning";
  }
};

void count_commits(TimelineSummary& timeline, std::int64_t first, std::int64_t last) {
  const Instant earliest = from_postgres_time(first);
  const Instant latest = from_postgres_time(last);
  timeline.first_commit_at = std::min(timeline.first_commit_at.value_or(earliest), earliest);
  timeline.last_commit_at = std::max(timeline.last_commit_at.value_or(latest), latest);
}

// The first segment of a timeline begins with its parent's records, which are not its own.
void count_own_commits(Storage& storage, const ClusterRows& rows, const LogSummary& log,
                       TimelineSummary& timeline) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const auto count_totals = [&](const WalTotals& totals) {
    if (!totals.first_commit || !totals.last_commit) return;
    count_commits(timeline, *totals.first_commit, *totals.last_commit);
  };
  const SegmentName first{log.timeline, log.log, log.first};
  if (timeline.forked_at <= first.start(size)) return count_totals(log.totals);
  for (const SegmentRow& row : rows.wal.load(log.timeline, log.log)->segments) {
    if (timeline.forked_at <= row.name.start(size)) {
      count_totals(totals_of(row.index));
      continue;
    }
    if (row.index.commits == 0) continue;
    for (const TransactionEnd& transaction : read_transactions(storage, rows.cluster, row)) {
      if (!transaction.is_commit || transaction.start < timeline.forked_at) continue;
      count_commits(timeline, transaction.time, transaction.time);
    }
  }
}

TimelineSummary summarize(Storage& storage, const ClusterRows& rows, TimelineId id) {
  TimelineSummary timeline{.id = id};
  const auto path = timeline_path(rows, id);
  if (path && path->size() > 1) {
    timeline.parent = (*path)[path->size() - 2].timeline;
    timeline.forked_at = path->back().begin;
  }
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.timeline != id || log.segments == 0) continue;
    if (timeline.first_segment.empty()) {
      timeline.first_segment = SegmentName{id, log.log, log.first}.to_string();
    }
    timeline.last_segment = SegmentName{id, log.log, log.last}.to_string();
    timeline.segment_count += log.segments;
    timeline.stored_bytes += log.stored_bytes;
    count_own_commits(storage, rows, log, timeline);
  }
  timeline.gaps = find_gaps(rows, id);
  return timeline;
}

void add_damage(const LogRows& log, std::vector<Problem>& problems) {
  for (const SegmentRow& row : log.segments) {
    const bool is_listed_as_unreadable = row.stored_bytes == 0;
    if (is_listed_as_unreadable || (!row.index.damaged && !row.open_record_is_damaged)) continue;
    problems.push_back({"damaged_record",
                        fmt::format("a record in {} was invalid when it was "
                                    "archived: recovery ends there",
                                    row.name.to_string()),
                        true});
  }
}

std::vector<Problem> find_problems(const ClusterSummary& cluster) {
  std::vector<Problem> problems;
  if (cluster.rows.backups.empty()) {
    problems.push_back({"no_backup", "there is no base backup: nothing can be restored yet"});
  } else if (cluster.windows.empty()) {
    problems.push_back({"no_usable_backup", "no base backup has all of its WAL", true});
  }
  for (const TimelineSummary& timeline : cluster.timelines) {
    for (const SegmentGap& gap : timeline.gaps) {
      problems.push_back(
          {"wal_gap", fmt::format("{} segments are missing between {} and {}", gap.missing,
                                  gap.after.to_string(), gap.before.to_string())});
    }
    if (timeline.id != 1 && timeline.parent == 0) {
      problems.push_back({"history_missing",
                          fmt::format("the history file of timeline {} is not stored", timeline.id),
                          true});
    }
  }
  for (const LogSummary& log : cluster.rows.wal.logs()) {
    if (log.damaged) add_damage(*cluster.rows.wal.load(log.timeline, log.log), problems);
  }
  for (const UnreadableFile& unreadable : cluster.rows.unreadable) {
    problems.push_back({"unreadable", unreadable.text(), true});
  }
  return problems;
}

bool is_usable(const ClusterSummary& cluster, const BackupSummary& backup) {
  return std::any_of(cluster.windows.begin(), cluster.windows.end(),
                     [&](const ReachableWindow& window) { return window.backup_id == backup.id; });
}

const char* status_of(const ClusterSummary& cluster, const BackupSummary& backup) {
  if (!is_usable(cluster, backup)) return "wal_missing";
  return backup.page_errors.empty() ? "ok" : "page_errors";
}

Json backup_as_json(const ClusterSummary& cluster, const BackupSummary& backup) {
  const SegmentSize size = cluster.rows.cluster.identity.segment_size;
  const auto segment = [&](Lsn lsn) {
    return SegmentName::containing(backup.timeline, lsn, size).to_string();
  };
  return {{"id", backup.id},
          {"type", "full"},
          {"parent", nullptr},
          {"label", backup.label},
          {"method", backup.method},
          {"timeline", backup.timeline},
          {"start_lsn", json_lsn(backup.start_lsn)},
          {"stop_lsn", json_lsn(backup.stop_lsn)},
          {"started_at", to_utc_text(backup.started_at)},
          {"finished_at", to_utc_text(backup.finished_at)},
          {"size_bytes", backup.size_bytes},
          {"stored_bytes", backup.stored_bytes},
          {"first_segment", segment(backup.start_lsn)},
          {"last_segment", segment(backup.stop_lsn - 1)},
          {"status", status_of(cluster, backup)}};
}

Json timeline_as_json(const TimelineSummary& timeline) {
  Json gaps = Json::array();
  for (const SegmentGap& gap : timeline.gaps) {
    gaps.push_back({{"after", gap.after.to_string()},
                    {"before", gap.before.to_string()},
                    {"missing", gap.missing}});
  }
  return {{"id", timeline.id},
          {"parent", timeline.parent == 0 ? Json(nullptr) : Json(timeline.parent)},
          {"forked_at_lsn", json_lsn(timeline.forked_at)},
          {"first_segment", json_text(timeline.first_segment)},
          {"last_segment", json_text(timeline.last_segment)},
          {"segment_count", timeline.segment_count},
          {"stored_bytes", timeline.stored_bytes},
          {"first_commit_at", json_time(timeline.first_commit_at)},
          {"last_commit_at", json_time(timeline.last_commit_at)},
          {"gaps", gaps}};
}

Json window_as_json(const ReachableWindow& window) {
  return {{"timeline", window.timeline},
          {"backup", window.backup_id},
          {"from_lsn", json_lsn(window.from_lsn)},
          {"to_lsn", json_lsn(window.to_lsn)},
          {"from_time", to_utc_text(window.from_time)},
          {"to_time", json_time(window.to_time)}};
}

struct NewestSegment {
  std::string name;
  Instant archived_at;
};

// The segment that was archived last; nothing: none yet.
std::optional<NewestSegment> newest_segment(const ClusterRows& rows) {
  std::optional<NewestSegment> newest;
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.segments == 0 || (newest && log.last_archived_at < newest->archived_at)) continue;
    newest = NewestSegment{SegmentName{log.timeline, log.log, log.last_archived}.to_string(),
                           log.last_archived_at};
  }
  return newest;
}

Json cluster_as_json(const ClusterSummary& cluster) {
  const ClusterRows& rows = cluster.rows;
  Json problems = Json::array();
  for (const Problem& problem : cluster.problems) {
    problems.push_back({{"code", problem.code}, {"message", problem.message}});
  }
  Json backups = Json::array();
  for (const BackupSummary& backup : rows.backups)
    backups.push_back(backup_as_json(cluster, backup));
  Json timelines = Json::array();
  for (const TimelineSummary& timeline : cluster.timelines) {
    timelines.push_back(timeline_as_json(timeline));
  }
  Json windows = Json::array();
  for (const ReachableWindow& window : cluster.windows)
    windows.push_back(window_as_json(window));
  const auto newest = newest_segment(rows);
  return {
      {"name", rows.cluster.key.name},
      {"system_identifier", std::to_string(rows.cluster.key.system_identifier)},
      {"postgres_version", rows.cluster.identity.postgres_version},
      {"wal_segment_size_bytes", rows.cluster.identity.segment_size},
      {"current", cluster.current},
      {"status", cluster.status()},
      {"problems", problems},
      {"backups", backups},
      {"timelines", timelines},
      {"recoverable", windows},
      {"archiving",
       {{"last_segment", newest ? Json(newest->name) : Json(nullptr)},
        {"last_archived_at", newest ? Json(to_utc_text(newest->archived_at)) : Json(nullptr)}}}};
}

// The commits beside a gap, as times.
std::optional<TimeSpan> time_of_gap(const ClusterRows& rows, const SegmentGap& gap) {
  const RowPointer after = rows.wal.find_whole(gap.after);
  const RowPointer before = rows.wal.find_whole(gap.before);
  if (!after || !before || !after->index.last_commit || !before->index.first_commit) {
    return std::nullopt;
  }
  return TimeSpan{from_postgres_time(*after->index.last_commit),
                  from_postgres_time(*before->index.first_commit)};
}

ChartTimeline chart_of(const ClusterSummary& cluster, const TimelineSummary& timeline) {
  ChartTimeline chart{.id = timeline.id, .parent = timeline.parent};
  if (timeline.first_commit_at && timeline.last_commit_at) {
    chart.wal = TimeSpan{*timeline.first_commit_at, *timeline.last_commit_at};
  }
  for (const ReachableWindow& window : cluster.windows) {
    if (window.timeline != timeline.id || !window.to_time || !chart.wal) continue;
    const TimeSpan own{std::max(window.from_time, chart.wal->first), *window.to_time};
    if (own.first <= own.second) chart.recoverable.push_back(own);
  }
  for (const SegmentGap& gap : timeline.gaps) {
    if (const auto span = time_of_gap(cluster.rows, gap)) chart.gaps.push_back(*span);
  }
  for (const BackupSummary& backup : cluster.rows.backups) {
    if (backup.timeline == timeline.id) chart.backups.push_back(backup.finished_at);
  }
  return chart;
}

std::string cluster_as_text(const ClusterSummary& cluster) {
  const ClusterRows& rows = cluster.rows;
  std::string text = fmt::format("cluster {}: {}\n", rows.cluster.key.name, cluster.status());
  text += fmt::format("  PostgreSQL {}, system identifier {}, segments of {}{}\n",
                      rows.cluster.identity.postgres_version, rows.cluster.key.system_identifier,
                      format_bytes(rows.cluster.identity.segment_size),
                      cluster.current ? "" : ", before pg_upgrade");
  for (const Problem& problem : cluster.problems) {
    text += fmt::format("  {}: {}\n", problem.is_error ? "error" : "warning", problem.message);
  }
  for (const BackupSummary& backup : rows.backups) {
    text += fmt::format(
        "  backup {} ({}): {}, stored in {}, timeline {}, {} to {}, {}\n", backup.id, backup.label,
        format_bytes(backup.size_bytes), format_bytes(backup.stored_bytes), backup.timeline,
        format_lsn(backup.start_lsn), format_lsn(backup.stop_lsn), status_of(cluster, backup));
  }
  for (const TimelineSummary& timeline : cluster.timelines) {
    const std::string fork = timeline.parent == 0 ? ""
                                                  : fmt::format(" (from {} at {})", timeline.parent,
                                                                format_lsn(timeline.forked_at));
    text += fmt::format("  timeline {}{}: {} segments, {}", timeline.id, fork,
                        timeline.segment_count, format_bytes(timeline.stored_bytes));
    if (!timeline.first_segment.empty()) {
      text += fmt::format(", {} to {}", timeline.first_segment, timeline.last_segment);
    }
    text += "\n";
  }
  std::vector<ChartTimeline> chart;
  for (const TimelineSummary& timeline : cluster.timelines)
    chart.push_back(chart_of(cluster, timeline));
  constexpr std::size_t kChartWidth = 72;
  text += draw_timelines(chart, kChartWidth);
  if (!cluster.windows.empty()) text += "  recoverable:\n";
  text += windows_as_text(cluster.windows);
  if (const auto newest = newest_segment(rows)) {
    text += fmt::format("  newest archived segment: {}, at {}\n", newest->name,
                        to_local_text(newest->archived_at));
  }
  return text;
}

ClusterSummary summarize(const Session& session, Storage& storage, const ClusterRecord& record,
                         bool current) {
  ClusterSummary cluster{.rows = session_rows(session, storage, record), .current = current};
  for (const TimelineId id : known_timelines(cluster.rows)) {
    cluster.timelines.push_back(summarize(storage, cluster.rows, id));
  }
  cluster.windows = reachable_windows(cluster.rows);
  cluster.problems = find_problems(cluster);
  return cluster;
}

// Of several records with one name the last is the current one.
bool is_current(const std::vector<ClusterRecord>& records, const ClusterRecord& record) {
  const auto last = std::find_if(records.rbegin(), records.rend(), [&](const ClusterRecord& other) {
    return other.key.name == record.key.name;
  });
  return last->key == record.key;
}

}  // namespace

int run_info(Session& session) {
  session.load();
  const auto storage = open_storage(session.config);
  const std::vector<ClusterRecord> records = list_clusters(*storage);
  Json clusters = Json::array();
  std::string text;
  bool found = session.cluster.empty();
  for (const ClusterRecord& record : records) {
    if (!session.cluster.empty() && record.key.name != session.cluster) continue;
    found = true;
    const ClusterSummary cluster =
        summarize(session, *storage, record, is_current(records, record));
    if (session.json) {
      clusters.push_back(cluster_as_json(cluster));
    } else {
      text += cluster_as_text(cluster);
    }
  }
  if (!found) find_cluster(*storage, session.cluster, std::nullopt);  // says that there is none
  if (session.json) {
    print_json(
        {{"format", 1},
         {"generated_at", to_utc_text(now())},
         {"repository", Json::array({{{"url", session.config.repository.url}, {"status", "ok"}}})},
         {"clusters", clusters}});
  } else {
    print_output(records.empty() ? "The repository holds no cluster yet. Run: pitr init\n" : text);
  }
  return kSuccess;
}

}  // namespace pitr
