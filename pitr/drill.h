// pitr drill: rehearses a recovery in a scratch directory, and tells how it went.
#pragma once

#include <string>

#include "pitr/restore.h"
#include "pitr/session.h"

namespace pitr {

struct DrillOptions {
  RestoreOptions target;      // of it the target, backup, timeline and jobs
  bool random = false;        // a moment by chance
  std::string scratch;        // empty: the configured one
  std::string bin_directory;  // empty: the configured one
  std::string html;           // files to write; empty: none
  std::string report;
  bool promote = false;
  bool keep_directory = false;
};

int run_drill(Session& session, const DrillOptions& options);

}  // namespace pitr
