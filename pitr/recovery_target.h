// From the options of `pitr restore` to the question that the plan answers.
#pragma once

#include "catalog/recovery_plan.h"
#include "pitr/restore.h"

namespace pitr {

// Throws kUsage for more than one target and for texts that are none.
PlanRequest parse_plan_request(const RestoreOptions& options, Instant now);

}  // namespace pitr
