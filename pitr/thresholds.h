// Where an observation is beyond what [alert] allows.
#pragma once

#include <string>
#include <vector>

#include "common/config.h"
#include "pitr/observation.h"

namespace pitr {

struct CheckResult {
  std::string name;
  std::string status;  // ok | warning | failed
  std::string message;
  std::string perfdata = {};  // for a monitoring plugin; empty: none
};

// One result per threshold that is set, and those about what is stored. Failed is what endangers a
// recovery, or was shown to; a warning is what was not looked at for too long, or cannot be known,
// and what only older moments need. Pure.
std::vector<CheckResult> compare_with_thresholds(const Observation& seen, const Config& config);

}  // namespace pitr
