// Base backups that a verification found damaged: noted in the state directory, so that `pitr
// expire` does not count on one that cannot be restored.
#pragma once

#include <map>
#include <string>

#include "pitr/verification.h"

namespace pitr {

// By id: what was found. A note that cannot be read costs a warning and is empty.
using KnownDamage = std::map<std::string, std::string>;
KnownDamage read_known_damage(const std::string& state_directory, const ClusterKey& cluster);

// Takes in what a verification of this scope found. What was read whole and is well again is no
// longer known as damaged. Where it cannot be written, a warning says so.
void note_damage(const std::string& state_directory, const ClusterKey& cluster,
                 const VerificationScope& scope, const std::vector<NotedFinding>& findings);

}  // namespace pitr
