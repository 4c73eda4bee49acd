// pitr backup: takes a base backup of the running server.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

struct BackupOptions {
  std::string type = "full";
  std::string method;  // empty: files where the data directory can be read
  std::string label = "pitr";
  unsigned jobs = 0;  // 0: the configured number
  bool spread_checkpoint = false;
  bool keep = false;  // pinned, with the WAL after it
};

int run_backup(Session& session, const BackupOptions& options);

}  // namespace pitr
