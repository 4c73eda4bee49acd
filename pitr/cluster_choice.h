// Which of the clusters that bear one name a recovery is about.
#pragma once

#include "catalog/recovery_plan.h"
#include "pitr/session.h"

namespace pitr {

// The current cluster, or the one before pg_upgrade that has the wanted backup or, where the
// current one cannot know it, the wanted moment; a warning says so then.
ClusterRecord choose_cluster(const Session& session, Storage& storage, const PlanRequest& request);

}  // namespace pitr
