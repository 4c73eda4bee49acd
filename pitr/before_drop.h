// --before-drop: turns a line of the history into the moment just before it.
#pragma once

#include <string>
#include <vector>

#include "catalog/recovery_plan.h"

namespace pitr {

// Makes the request's target the last drop of `what`: a table ("name", "schema.name" or
// "database.schema.name"), a database, or an OID. Throws kFinding when there is none, or when the
// name means several things. Returns warnings for the plan.
std::vector<std::string> target_before_drop(PlanRequest& request, const std::string& what,
                                            Storage& storage, const ClusterRows& rows);

}  // namespace pitr
