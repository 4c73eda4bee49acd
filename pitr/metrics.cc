#include "pitr/metrics.h"

#include <cmath>

#include <sys/stat.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "io/file.h"

namespace pitr {

namespace {

using Families = std::vector<MetricFamily>;

std::string escape_label(const std::string& value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string value_as_text(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  constexpr double kExact = 9007199254740992;  // beyond it not every whole number is a double
  const bool is_whole = std::trunc(value) == value && std::abs(value) < kExact;
  return is_whole ? fmt::format("{}", static_cast<std::int64_t>(value)) : fmt::format("{}", value);
}

std::optional<double> number(const std::optional<std::uint64_t>& value) {
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

double number(std::uint64_t value) { return static_cast<double>(value); }

double number(Instant instant) {
  return std::chrono::duration<double>(instant.time_since_epoch()).count();
}

std::optional<double> number(const std::optional<Instant>& instant) {
  return instant ? std::optional<double>(number(*instant)) : std::nullopt;
}

double yes(bool value) { return value ? 1 : 0; }

void add_scrape(const Observation& seen, Families& all) {
  all.push_back({"pitr_build_info",
                 "gauge",
                 "The version of pitr; always 1.",
                 {{{{"version", PITR_VERSION}}, 1}}});
  all.push_back({"pitr_up",
                 "gauge",
                 "Whether everything that was asked has answered.",
                 {{{}, yes(seen.failures.empty())}}});
  all.push_back({"pitr_scrape_duration_seconds",
                 "gauge",
                 "How long it took to find all of this.",
                 {{{}, seen.seconds}}});
  all.push_back({"pitr_scrape_timestamp_seconds",
                 "gauge",
                 "When all of this was found.",
                 {{{}, number(seen.at)}}});
  all.push_back({"pitr_repository_up",
                 "gauge",
                 "Whether the repository can be read and knows the cluster.",
                 {{{}, yes(seen.repository.has_value())}}});
  all.push_back({"pitr_server_up",
                 "gauge",
                 "Whether the PostgreSQL server answers.",
                 {{{}, yes(seen.server.has_value())}}});
  if (!seen.space) return;
  all.push_back({"pitr_repository_free_bytes",
                 "gauge",
                 "Free space on the volume of the repository, without what is kept for root.",
                 {{{}, number(seen.space->free_bytes)}}});
  all.push_back({"pitr_repository_volume_bytes",
                 "gauge",
                 "Size of the repository's volume.",
                 {{{}, number(seen.space->size_bytes)}}});
}

void add_backups(const ObservedRepository& repository, Families& all) {
  MetricFamily finished{"pitr_backup_last_timestamp_seconds",
                        "gauge",
                        "When the newest published base backup was finished.",
                        {}};
  MetricFamily size{
      "pitr_backup_last_size_bytes", "gauge", "What the newest base backup restores to.", {}};
  MetricFamily stored{"pitr_backup_last_stored_bytes",
                      "gauge",
                      "What the newest base backup takes in the repository.",
                      {}};
  MetricFamily duration{
      "pitr_backup_last_duration_seconds", "gauge", "How long the newest base backup took.", {}};
  for (const auto& [type, backup] : repository.last_backups) {
    const MetricLabels labels = {{"type", type}};
    finished.samples.push_back({labels, number(backup.finished_at)});
    size.samples.push_back({labels, number(backup.size_bytes)});
    stored.samples.push_back({labels, number(backup.stored_bytes)});
    duration.samples.push_back({labels, number(backup.finished_at) - number(backup.started_at)});
  }
  for (MetricFamily* family : {&finished, &size, &stored, &duration})
    all.push_back(std::move(*family));
  all.push_back(
      {"pitr_backups", "gauge", "Published base backups.", {{{}, number(repository.backups)}}});
  all.push_back({"pitr_backups_usable",
                 "gauge",
                 "Published base backups that have all the WAL they need.",
                 {{{}, number(repository.usable_backups)}}});
}

void add_timelines(const ObservedRepository& repository, Families& all) {
  MetricFamily segments{"pitr_wal_segments", "gauge", "Archived whole segments.", {}};
  MetricFamily gaps{"pitr_wal_gaps", "gauge", "Places where archived segments are missing.", {}};
  MetricFamily missing{"pitr_wal_missing_segments", "gauge", "Segments missing in the gaps.", {}};
  MetricFamily from{"pitr_recoverable_from_timestamp_seconds",
                    "gauge",
                    "The oldest moment from which on every one up to the newest can be reached.",
                    {}};
  MetricFamily to{"pitr_recoverable_to_timestamp_seconds",
                  "gauge",
                  "The newest moment that can be reached: the last archived commit.",
                  {}};
  std::uint64_t wal_bytes = 0;
  for (const ObservedTimeline& timeline : repository.timelines) {
    const MetricLabels labels = {{"timeline", std::to_string(timeline.id)}};
    segments.samples.push_back({labels, number(timeline.segments)});
    gaps.samples.push_back({labels, number(timeline.gaps)});
    missing.samples.push_back({labels, number(timeline.missing_segments)});
    from.samples.push_back({labels, number(timeline.recoverable_from)});
    to.samples.push_back({labels, number(timeline.recoverable_to)});
    wal_bytes += timeline.stored_bytes;
  }
  for (MetricFamily* family : {&segments, &gaps, &missing, &from, &to})
    all.push_back(std::move(*family));
  all.push_back({"pitr_repository_stored_bytes",
                 "gauge",
                 "What this cluster takes in the repository: WAL and base backups.",
                 {{{{"kind", "wal"}}, number(wal_bytes)},
                  {{{"kind", "backup"}}, number(repository.backups_stored_bytes)}}});
  all.push_back({"pitr_repository_unreadable_files",
                 "gauge",
                 "Stored files that are damaged, as far as a look at their ends tells.",
                 {{{}, number(repository.unreadable_files)}}});
}

void add_archiving(const Observation& seen, Families& all) {
  const ArchiveLag lag = archive_lag(seen);
  if (seen.repository) {
    all.push_back({"pitr_archive_last_timestamp_seconds",
                   "gauge",
                   "When the newest segment was archived.",
                   {{{}, number(seen.repository->last_archived_at)}}});
  }
  all.push_back({"pitr_archive_lag_seconds",
                 "gauge",
                 "Since when the first whole segment waits to be archived; 0: none waits.",
                 {{{}, lag.seconds}}});
  all.push_back({"pitr_archive_lag_bytes",
                 "gauge",
                 "WAL that the server has written and the repository does not hold.",
                 {{{}, number(lag.bytes)}}});
  all.push_back({"pitr_archive_lag_segments",
                 "gauge",
                 "Whole segments that the server has written and the repository does not hold.",
                 {{{}, number(lag.segments)}}});
  if (seen.ready_files) {
    all.push_back({"pitr_archive_ready_files",
                   "gauge",
                   "WAL files that wait to be archived.",
                   {{{}, number(seen.ready_files->count)}}});
  }
}

void add_server(const ObservedServer& server, Families& all) {
  const ArchiverState& archiver = server.archiver;
  all.push_back({"pitr_server_in_recovery",
                 "gauge",
                 "Whether the server is a standby.",
                 {{{}, yes(server.position.in_recovery)}}});
  all.push_back({"pitr_server_timeline",
                 "gauge",
                 "The timeline that the server is on.",
                 {{{}, number(std::uint64_t{server.position.timeline})}}});
  all.push_back({"pitr_server_wal_position_bytes",
                 "gauge",
                 "Up to where the server has written or received WAL.",
                 {{{}, number(server.position.lsn)}}});
  all.push_back({"pitr_archiver_archived_total",
                 "counter",
                 "WAL files archived, as the server counts (pg_stat_archiver).",
                 {{{}, static_cast<double>(archiver.archived_count)}}});
  all.push_back({"pitr_archiver_failed_total",
                 "counter",
                 "Failed attempts to archive, as the server counts (pg_stat_archiver).",
                 {{{}, static_cast<double>(archiver.failed_count)}}});
  all.push_back({"pitr_archiver_failing",
                 "gauge",
                 "Whether the last attempt to archive failed.",
                 {{{}, yes(archiver.is_failing)}}});
  all.push_back({"pitr_archiver_last_failure_timestamp_seconds",
                 "gauge",
                 "When an attempt to archive failed last.",
                 {{{}, number(archiver.last_failed_at)}}});
}

// The newest end of each command with each outcome.
void add_commands(const Observation& seen, Families& all) {
  MetricFamily ended{"pitr_command_last_timestamp_seconds",
                     "gauge",
                     "When a command of the audit log ended last with this outcome.",
                     {}};
  std::map<std::pair<std::string, std::string>, Instant> newest;
  for (const AuditEntry& entry : seen.audit)
    newest[{entry.command, entry.outcome}] = entry.ended_at;
  for (const auto& [what, at] : newest) {
    ended.samples.push_back({{{"command", what.first}, {"outcome", what.second}}, number(at)});
  }
  all.push_back(std::move(ended));
}

void add_verify(const AuditEntry& verify, Families& all) {
  all.push_back({"pitr_verify_last_timestamp_seconds",
                 "gauge",
                 "When the last verification that came to an answer ended.",
                 {{{}, number(verify.ended_at)}}});
  all.push_back({"pitr_verify_ok",
                 "gauge",
                 "Whether the last verification found no problem.",
                 {{{}, yes(verify.outcome == "ok")}}});
  all.push_back({"pitr_verify_problems",
                 "gauge",
                 "Problems that the last verification found.",
                 {{{}, number_in(verify.did, "problems")}}});
}

void add_drill(const AuditEntry& drill, Families& all) {
  all.push_back({"pitr_drill_last_timestamp_seconds",
                 "gauge",
                 "When the last rehearsal that came to an answer ended.",
                 {{{}, number(drill.ended_at)}}});
  all.push_back({"pitr_drill_ok",
                 "gauge",
                 "Whether the last rehearsal was good.",
                 {{{}, yes(drill.outcome == "ok")}}});
  all.push_back({"pitr_drill_recovery_seconds",
                 "gauge",
                 "How long the last rehearsal took to recover (RTO).",
                 {{{}, number_in(drill.did, "recovery_seconds")}}});
  all.push_back({"pitr_drill_distance_seconds",
                 "gauge",
                 "From the last commit to the last rehearsal's target: what would be lost (RPO).",
                 {{{}, number_in(drill.did, "distance_seconds")}}});
}

// An expire by the policy tells of every system identifier of the name.
void add_expire(const Observation& seen, const AuditEntry& expire, Families& all) {
  all.push_back({"pitr_expire_last_timestamp_seconds",
                 "gauge",
                 "When the last expire that came to its end ended.",
                 {{{}, number(expire.ended_at)}}});
  const auto clusters = expire.did.find("clusters");
  if (clusters == expire.did.end() || !clusters->is_array()) return;
  double backups = 0;
  double segments = 0;
  for (const Json& cluster : *clusters) {
    if (!cluster.is_object()) continue;
    const Json identifier = cluster.value("system_identifier", Json());
    if (seen.system_identifier && identifier != std::to_string(*seen.system_identifier)) continue;
    backups += number(cluster.value("backups", Json::array()).size());
    const Json ranges = cluster.value("wal", Json::array());
    for (const Json& range : ranges)
      if (range.is_object()) segments += number_in(range, "segments").value_or(0);
  }
  all.push_back({"pitr_expire_last_removed_backups",
                 "gauge",
                 "Base backups that the last expire removed.",
                 {{{}, backups}}});
  all.push_back({"pitr_expire_last_removed_segments",
                 "gauge",
                 "Segments that the last expire removed.",
                 {{{}, segments}}});
}

}  // namespace

std::string family_as_text(const MetricFamily& family, const MetricLabels& common) {
  std::string lines;
  for (const MetricSample& sample : family.samples) {
    if (!sample.value || std::isnan(*sample.value)) continue;
    std::string labels;
    for (const MetricLabels* some : {&common, &sample.labels}) {
      for (const auto& [name, value] : *some)
        labels += fmt::format("{}{}=\"{}\"", labels.empty() ? "" : ",", name, escape_label(value));
    }
    lines +=
        labels.empty() ? std::string(family.name) : fmt::format("{}{{{}}}", family.name, labels);
    lines += fmt::format(" {}\n", value_as_text(*sample.value));
  }
  if (lines.empty()) return lines;
  return fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{3}", family.name, family.help, family.type,
                     lines);
}

std::string metrics_as_text(const Observation& observation) {
  Families all;
  add_scrape(observation, all);
  if (observation.repository) {
    add_backups(*observation.repository, all);
    add_timelines(*observation.repository, all);
  }
  add_archiving(observation, all);
  if (observation.server) add_server(*observation.server, all);
  add_commands(observation, all);
  if (const auto* verify = observation.last_answer("verify")) add_verify(*verify, all);
  if (const auto* drill = observation.last_answer("drill")) add_drill(*drill, all);
  if (const auto* expire = observation.last_answer("expire")) add_expire(observation, *expire, all);
  // To Prometheus an empty label is none.
  const auto& identifier = observation.system_identifier;
  const MetricLabels common = {
      {"cluster", observation.cluster},
      {"system_identifier", identifier ? std::to_string(*identifier) : std::string()}};
  std::string text;
  for (const MetricFamily& family : all)
    text += family_as_text(family, common);
  return text;
}

int run_metrics(Session& session, const MetricsOptions& options) {
  if (session.json) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "pitr metrics has no JSON",
                 .hint = "pitr info --json and pitr check --json have what scripts need."});
  }
  session.load();
  session.become_owner_of_data_directory();
  const Observation seen = observe(session);
  for (const std::string& failure : seen.failures)
    log_warning(failure);
  const std::string text = metrics_as_text(seen);
  if (options.textfile.empty()) {
    print_output(text);
  } else {
    umask(022);  // node_exporter reads it, as another user
    replace_file(options.textfile, text, 0644);
  }
  return kSuccess;
}

}  // namespace pitr
