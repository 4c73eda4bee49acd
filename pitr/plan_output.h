// A recovery plan for people and for scripts.
#pragma once

#include <string>

#include "catalog/recovery_plan.h"
#include "pitr/json_output.h"

namespace pitr {

// `estimated_seconds`: of a measured speed; nothing: none was measured.
Json plan_as_json(const RecoveryPlan& plan, std::optional<double> estimated_seconds = std::nullopt);
Json target_as_json(const RecoveryTarget& target);
std::string plan_as_text(const RecoveryPlan& plan);

// "2026-11-22 11:00:00.123456+01:00", "2/4000000", "transaction 742": the target as it was
// resolved.
std::string describe_target(const RecoveryTarget& target);

// Throws kSystem where files could not be read this time: what is missed, so that the target cannot
// be reached, may be in them.
void require_all_read(const ClusterRows& rows, const std::string& missed);

// The windows in which any moment can be reached, one line each.
std::string windows_as_text(const std::vector<ReachableWindow>& windows);

}  // namespace pitr
