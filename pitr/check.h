// pitr check: proves that archiving works, from the settings to a segment seen in the repository.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

struct CheckOptions {
  bool nagios = false;  // one line with perfdata, statuses of its own, and no segment switch
  std::string timeout = "60s";
};

// What --nagios prints, and its status, for wrong usage or configuration.
constexpr int kNagiosUnknown = 3;
void answer_nagios_unknown(const std::string& message);

int run_check(Session& session, const CheckOptions& options);

}  // namespace pitr
