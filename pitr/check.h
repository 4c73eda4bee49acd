// pitr check: proves that archiving works, from the settings to a segment seen in the repository.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

struct CheckOptions {
  bool nagios = false;  // one line with perfdata, statuses of its own, and no segment switch
  std::string timeout = "60s";
};

// What --nagios prints for wrong usage or configuration, and the status for it.
int answer_nagios_unknown(const std::string& message);

int run_check(Session& session, const CheckOptions& options);

}  // namespace pitr
