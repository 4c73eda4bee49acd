#include "pitr/thresholds.h"

#include <algorithm>

#include <fmt/format.h>

namespace pitr {

namespace {

using Limit = std::optional<std::chrono::milliseconds>;
using Results = std::vector<CheckResult>;

double in_seconds(std::chrono::milliseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// "35 s", "12 min", "3.5 h", "8.0 days"
std::string age_as_text(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 2 * 86'400) return fmt::format("{:.1f} h", seconds / 3600);
  return fmt::format("{:.1f} days", seconds / 86'400);
}

double age_of(Instant then, Instant at) {
  return std::max(0.0, std::chrono::duration<double>(at - then).count());
}

std::string perfdata_of_age(const char* label, double seconds, double limit, bool is_warning) {
  return fmt::format("{}={:.0f}s;{};{}", label, seconds,
                     is_warning ? fmt::format("{:.0f}", limit) : "",
                     is_warning ? "" : fmt::format("{:.0f}", limit));
}

// A threshold is set, and what it judges did not answer.
void add_unknown(const char* name, Results& results) {
  results.push_back({name, "warning", "this could not be found out: pitr metrics says why"});
}

void judge_backup(const Observation& seen, const Limit& limit, Results& results) {
  if (!limit) return;
  if (!seen.repository) return add_unknown("backup age", results);
  std::optional<Instant> newest;
  for (const auto& [type, backup] : seen.repository->last_backups)
    newest = std::max(newest.value_or(backup.finished_at), backup.finished_at);
  if (!newest) {
    results.push_back({"backup age", "failed", "there is no base backup"});
    return;
  }
  const double age = age_of(*newest, seen.at);
  const double most = in_seconds(*limit);
  results.push_back({"backup age", age > most ? "failed" : "ok",
                     fmt::format("the newest base backup is {} old, {} are allowed",
                                 age_as_text(age), age_as_text(most)),
                     perfdata_of_age("backup_age", age, most, false)});
}

// Beyond every threshold: what is stored must be enough for a recovery.
void judge_repository(const Observation& seen, Results& results) {
  if (!seen.repository) return;
  const ObservedRepository& repository = *seen.repository;
  if (repository.backups > 0) {
    const bool any = repository.usable_backups > 0;
    results.push_back(
        {"usable backups", any ? "ok" : "failed",
         any ? fmt::format("{} of {} base backups have all WAL that they need",
                           repository.usable_backups, repository.backups)
             : std::string("no base backup has all WAL that it needs: nothing can be restored"),
         fmt::format("usable_backups={};;1:;0", repository.usable_backups)});
  }
  std::uint64_t gaps = 0;
  for (const ObservedTimeline& timeline : repository.timelines)
    gaps += timeline.gaps;
  results.push_back(
      {"archived WAL",
       repository.open_gaps > 0 ? "failed"
       : gaps > 0               ? "warning"
                                : "ok",
       repository.open_gaps > 0
           ? std::string("segments are missing behind the newest usable base backup: nothing that "
                         "was committed later can be reached")
       : gaps > 0 ? std::string("segments are missing in front of the newest usable base backup; "
                                "pitr verify names the moments that are lost")
                  : std::string("no segment is missing"),
       fmt::format("wal_gaps={};0;;0", gaps)});
  if (repository.unreadable_files == 0) return;
  results.push_back({"stored files", "warning",
                     fmt::format("{} files cannot be read; pitr verify names them",
                                 repository.unreadable_files)});
}

void judge_lag(const Observation& seen, const Limit& limit, Results& results) {
  const std::optional<double> lag = archive_lag(seen).seconds;
  if (!limit) return;
  if (!lag) return add_unknown("archive lag", results);
  const double most = in_seconds(*limit);
  results.push_back({"archive lag", *lag > most ? "failed" : "ok",
                     *lag == 0 ? std::string("no whole segment waits to be archived")
                               : fmt::format("WAL waits since {} to be archived, {} are allowed",
                                             age_as_text(*lag), age_as_text(most)),
                     perfdata_of_age("archive_lag", *lag, most, false)});
}

void judge_ready_files(const Observation& seen, const std::optional<unsigned>& limit,
                       Results& results) {
  if (!limit) return;
  if (!seen.ready_files) return add_unknown("ready files", results);
  const std::uint64_t count = seen.ready_files->count;
  results.push_back({"ready files", count > *limit ? "failed" : "ok",
                     fmt::format("{} WAL files wait to be archived, {} are allowed", count, *limit),
                     fmt::format("ready_files={};;{};0", count, *limit)});
}

void judge_space(const Observation& seen, const std::optional<double>& limit, Results& results) {
  if (!limit) return;
  if (!seen.space) return add_unknown("free space", results);
  const double free = seen.space->free_percent();
  results.push_back(
      {"free space", free < *limit ? "failed" : "ok",
       fmt::format("{:.1f}% of the repository's volume are free, {}% are needed", free, *limit),
       fmt::format("free_space={:.1f}%;;{}:;0;100", free, *limit)});
}

// A verification or a rehearsal: its answer counts first, then its age.
void judge_proof(const Observation& seen, const char* command, const Limit& limit,
                 Results& results) {
  if (!limit) return;
  const std::string name = fmt::format("{} age", command);
  const AuditEntry* last = seen.last_answer(command);
  if (last == nullptr) {
    results.push_back({name, "warning", fmt::format("the audit log has no pitr {}", command)});
    return;
  }
  const double age = age_of(last->ended_at, seen.at);
  const double most = in_seconds(*limit);
  std::string perfdata = perfdata_of_age(fmt::format("{}_age", command).c_str(), age, most, true);
  if (last->outcome == "finding") {
    const auto problems = number_in(last->did, "problems");
    results.push_back({name, "failed",
                       fmt::format("the last pitr {}, {} ago, {}", command, age_as_text(age),
                                   problems ? fmt::format("found {} problems", *problems)
                                            : std::string("went wrong")),
                       std::move(perfdata)});
    return;
  }
  results.push_back({name, age > most ? "warning" : "ok",
                     fmt::format("the last pitr {} was {} ago, {} are allowed", command,
                                 age_as_text(age), age_as_text(most)),
                     std::move(perfdata)});
}

}  // namespace

std::vector<CheckResult> compare_with_thresholds(const Observation& seen, const Config& config) {
  Results results;
  judge_repository(seen, results);
  judge_backup(seen, config.alert.backup_age, results);
  judge_lag(seen, config.alert.archive_lag, results);
  judge_ready_files(seen, config.alert.ready_files, results);
  judge_space(seen, config.alert.free_space_percent, results);
  judge_proof(seen, "verify", config.alert.verify_age, results);
  judge_proof(seen, "drill", config.alert.drill_age, results);
  return results;
}

}  // namespace pitr
