// pitr init: creates the repository and this cluster's place in it.
#pragma once

#include "pitr/session.h"

namespace pitr {

struct InitOptions {
  bool upgraded = false;  // the name went through pg_upgrade and has a new system identifier
};

int run_init(Session& session, const InitOptions& options);

}  // namespace pitr
