// pitr push: archives a folder of rescued WAL by hand.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

// Runs pitr-archive for each file: every check of archiving, but for the working directory.
int run_push(Session& session, const std::string& folder);

}  // namespace pitr
