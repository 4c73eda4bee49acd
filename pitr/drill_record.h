// What the last rehearsals of a cluster found and measured: drill.json in the state directory.
// `restore --dry-run` takes its estimate from there.
#pragma once

#include <optional>
#include <string>

#include "catalog/recovery_plan.h"
#include "storage/repository_layout.h"

namespace pitr {

struct DrillRecord {
  Instant finished_at;
  std::string cause;                       // empty: it was good
  std::optional<Instant> last_success_at;  // end of the last good one
  std::optional<double> recovery_seconds;  // of the last good one
  std::optional<double> distance_seconds;  // of the last good one
  // As measured last; of the data directory's bytes, and of raw WAL.
  std::optional<double> restore_bytes_per_second;
  std::optional<double> replay_bytes_per_second;
};

// Nothing where there is none, or where it cannot be read: it is only a memory.
std::optional<DrillRecord> load_drill_record(const std::string& state_directory,
                                             const ClusterKey& cluster);
// Keeps those of other clusters. Throws kSystem.
void save_drill_record(const std::string& state_directory, const ClusterKey& cluster,
                       const DrillRecord& record);

// How long restoring and replaying will take; nothing where a speed is not known. Pure.
std::optional<double> estimate_seconds(const std::optional<DrillRecord>& record,
                                       const RecoveryPlan& plan, std::uint64_t segment_size);

}  // namespace pitr
