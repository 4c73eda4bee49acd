// The audit log: who did what to a cluster's backups, one line of JSON for each command, also for
// one that failed. Fields: "The audit log" in docs/interface.md.
#pragma once

#include <functional>
#include <string>

#include "pitr/json_output.h"
#include "pitr/session.h"

namespace pitr {

// What a command tells of itself as it goes on, so that a failure shows how far it came.
struct AuditRecord {
  ClusterKey cluster;         // once it is known; until then the configured name
  Json did = Json::object();  // the command's own fields
};

// Runs `work`, then appends its line, whether it returns a status or throws (what it threw is
// thrown on). To be called with the configuration loaded. A line that cannot be written is a
// warning.
int run_audited(const Session& session, const std::string& command,
                const std::function<int(AuditRecord& record)>& work);

}  // namespace pitr
