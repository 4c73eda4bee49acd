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

void judge_backup(const Observation& seen, const Limit& limit, Results& results) {
  if (!limit || !seen.repository) return;
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

void judge_lag(const Observation& seen, const Limit& limit, Results& results) {
  const std::optional<double> lag = archive_lag(seen).seconds;
  if (!limit || !lag) return;
  const double most = in_seconds(*limit);
  results.push_back({"archive lag", *lag > most ? "failed" : "ok",
                     *lag == 0 ? std::string("no whole segment waits to be archived")
                               : fmt::format("WAL waits since {} to be archived, {} are allowed",
                                             age_as_text(*lag), age_as_text(most)),
                     perfdata_of_age("archive_lag", *lag, most, false)});
}

void judge_ready_files(const Observation& seen, const std::optional<unsigned>& limit,
                       Results& results) {
  if (!limit || !seen.ready_files) return;
  const std::uint64_t count = seen.ready_files->count;
  results.push_back({"ready files", count > *limit ? "failed" : "ok",
                     fmt::format("{} WAL files wait to be archived, {} are allowed", count, *limit),
                     fmt::format("ready_files={};;{};0", count, *limit)});
}

void judge_space(const Observation& seen, const std::optional<double>& limit, Results& results) {
  if (!limit || !seen.space) return;
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

bool any_threshold(const Config& config) {
  const auto& alert = config.alert;
  return alert.backup_age || alert.archive_lag || alert.ready_files || alert.free_space_percent ||
         alert.verify_age || alert.drill_age;
}

std::vector<CheckResult> compare_with_thresholds(const Observation& seen, const Config& config) {
  Results results;
  judge_backup(seen, config.alert.backup_age, results);
  judge_lag(seen, config.alert.archive_lag, results);
  judge_ready_files(seen, config.alert.ready_files, results);
  judge_space(seen, config.alert.free_space_percent, results);
  judge_proof(seen, "verify", config.alert.verify_age, results);
  judge_proof(seen, "drill", config.alert.drill_age, results);
  return results;
}

}  // namespace pitr
