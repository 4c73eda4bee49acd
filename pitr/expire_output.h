// What pitr expire has decided, for people and for scripts.
#pragma once

#include <string>
#include <vector>

#include "catalog/retention.h"
#include "pitr/json_output.h"

namespace pitr {

// Of one cluster.
struct ExpireReport {
  ClusterRecord cluster;
  RetentionDecision decision;           // backups point into the rows, which must be alive
  std::vector<std::string> unfinished;  // that were removed, by id
};

Json report_as_json(const ExpireReport& report);
std::string report_as_text(const ExpireReport& report, bool dry_run);

// What goes, for the audit log.
Json removal_as_json(const ExpireReport& report);

}  // namespace pitr
