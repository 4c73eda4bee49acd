// pitr info: what the repository holds and which moments can be reached.
#pragma once

#include "pitr/session.h"

namespace pitr {

int run_info(Session& session);

}  // namespace pitr
