// What pitr-archive and the archive module have in common: from the names of configuration and WAL
// file to the file in the repository.
#pragma once

#include <string>

#include "common/config.h"

namespace pitr {

struct ArchiveCall {
  std::string config_path;  // empty: as load_config() finds it
  std::string cluster;      // empty: the configured one
  bool rescued = false;     // the path is of a lost server's file: any working directory will do
  std::string path;
};

// The configuration of a call, its cluster chosen. Throws kUsage; and, unless the file is a rescued
// one, kMismatch where the working directory is not the configured data directory: a clone must not
// archive into its origin's repository.
Config load_call_config(const ArchiveCall& call);

// Archives the file. Beyond its return it is durable, and PostgreSQL may remove its own copy.
void run_archive_call(const ArchiveCall& call);

}  // namespace pitr
