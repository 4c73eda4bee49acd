// What a rehearsal found, for people, scripts and browsers. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "catalog/recovery_plan.h"
#include "pitr/json_output.h"

namespace pitr {

struct DrillPhase {
  std::string name;  // plan, restore, verify files, start, replay, promote, checks
  double seconds = 0;
  bool is_recovery = false;  // a real recovery would take this time, too
};

struct DrillCheckResult {
  enum class Status { kOk, kFailed, kNotChecked };

  std::string name;
  std::string database;  // empty: of no one database
  Status status = Status::kOk;
  std::string message;  // why it failed, or was not checked
};

struct DrillReport {
  std::string cause;  // in one sentence; empty: the rehearsal is good
  std::string cluster;
  std::string system_identifier;
  unsigned postgres_version = 0;
  std::string host;
  Instant started_at;
  Instant finished_at;
  std::string target;  // in words
  std::string plan_text;
  Json plan = nullptr;  // as of `restore --dry-run`
  std::string backup;
  std::optional<Lsn> stopped_at;
  std::optional<Instant> last_transaction_at;  // commit or abort, as the server tells it
  bool promoted = false;
  std::optional<Instant> last_commit_at;  // that the recovered cluster contains, by the plan
  // What would be lost: from the last commit to the target time, for the end of the WAL to now.
  std::optional<double> distance_seconds;
  std::vector<DrillPhase> phases;  // in order, those that were begun
  std::optional<std::uint64_t> restored_bytes;
  std::optional<std::uint64_t> replayed_bytes;  // of WAL
  std::vector<DrillCheckResult> checks;
  std::string kept_directory;  // empty: removed
};

// Why the server stopped elsewhere than planned; empty: it has not. `replayed_to` is the end of the
// last record that it replayed.
std::string why_elsewhere(const RecoveryPlan& plan, Lsn replayed_to, std::uint64_t segment_size);

// Nothing where the target was not reached.
std::optional<double> recovery_seconds(const DrillReport& report);
double total_seconds(const DrillReport& report);
// Nothing where a phase did not come to its end or took no time.
std::optional<double> restore_bytes_per_second(const DrillReport& report);
std::optional<double> replay_bytes_per_second(const DrillReport& report);

std::string drill_as_text(const DrillReport& report);
Json drill_as_json(const DrillReport& report);
// One page that needs nothing else.
std::string drill_as_html(const DrillReport& report);

}  // namespace pitr
