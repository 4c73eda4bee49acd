// pitr catalog rebuild: writes the catalog anew from the repository alone.
#pragma once

#include "pitr/session.h"

namespace pitr {

int run_catalog_rebuild(Session& session);

}  // namespace pitr
