// pitr restore: plans a recovery, then restores a data directory that recovers to the target when
// PostgreSQL starts on it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pitr/session.h"

namespace pitr {

struct RestoreOptions {
  std::string to;
  std::string target_time;
  std::string target_lsn;
  std::string target_xid;
  std::string target_name;
  std::string before_xid;
  std::string before_drop;
  bool target_immediate = false;
  bool exclusive = false;
  std::string backup;
  std::string timeline;  // a number or "latest"; empty: the newest that reaches the target
  std::string action;    // empty: pause with a target, promote without
  std::vector<std::string> tablespaces;  // OLD=NEW
  bool tablespace_original = false;
  std::string wal_directory;
  std::string wal_from;
  std::string archive_mode;                   // preserve | off; empty: off on another host
  std::vector<std::string> recovery_options;  // KEY=VALUE
  unsigned jobs = 0;
  bool delta = false;
  bool standby = false;
  bool with_config = false;
  bool strict = false;
  bool until_gap = false;
  bool dry_run = false;

  // For a rehearsal (pitr drill), not from the command line.
  bool rehearsal = false;       // nothing of the origin's own settings
  std::string tablespaces_in;   // each goes into a folder of its own there
  std::function<void()> watch;  // called while files are written; may throw to give up
};

int run_restore(Session& session, const RestoreOptions& options);

}  // namespace pitr
