// pitr expire: applies the retention policy, or removes one base backup. What stays and why is
// decided in catalog/retention.h.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

struct ExpireOptions {
  std::string backup;  // an id; empty: the policy
  bool dry_run = false;
};

int run_expire(Session& session, const ExpireOptions& options);

}  // namespace pitr
