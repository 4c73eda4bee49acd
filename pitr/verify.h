// pitr verify: reads back what is stored and compares everything with everything.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

struct VerifyOptions {
  std::string backup;      // an id; empty: every one
  bool wal = false;        // only the WAL (and `backup`)
  std::string sample;      // "5%"; empty: everything
  std::string rate_limit;  // "50MB" in a second; empty: none
  unsigned jobs = 0;       // 0: restore.jobs
  bool restart = false;    // do not go on where another one was stopped
};

int run_verify(Session& session, const VerifyOptions& options);

}  // namespace pitr
