// pitr map: records the names of relations, which the WAL knows by numbers only.
#pragma once

#include "pitr/session.h"

namespace pitr {

int run_map(Session& session);

}  // namespace pitr
