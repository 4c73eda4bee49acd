// What every subcommand shares: the options before and after its name, the configuration, and how
// answers are printed.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "catalog/cluster_rows.h"
#include "common/config.h"
#include "storage/repository.h"

namespace pitr {

struct Session {
  std::string config_path;
  std::string cluster;  // empty: the configured one
  bool json = false;
  std::chrono::milliseconds lock_timeout{60'000};
  Config config;  // after load()

  // Reads the configuration; --cluster overrides its name.
  void load();

  // Started as root, the program becomes the owner of the data directory, so that it leaves no file
  // that PostgreSQL cannot read. Does nothing for anyone else, or without a data directory.
  void become_owner_of_data_directory() const;
  // Throws kUsage where it is not configured.
  void require_data_directory() const;
};

// The identity of the cluster in the configured data directory, when it can be read.
std::optional<std::uint64_t> local_system_identifier(const Config& config);

// The cluster that a command is about: that of the configured data directory where it has the
// configured name, else the current one of that name.
ClusterRecord session_cluster(const Session& session, Storage& storage);

// What the repository holds of a cluster. Writes nothing, not even to the catalog.
ClusterRows session_rows(const Session& session, Storage& storage, const ClusterRecord& cluster);

// Brings the catalog up to what the repository holds, or writes it anew; returns the number of
// rows. Throws kSystem when another process holds it for longer than the lock timeout.
std::size_t refresh_catalog(const Session& session, const std::string& command, Storage& storage,
                            bool anew);

// Waits until no pitr expire removes anything from the cluster. Throws kSystem, and names it, when
// that takes longer than the lock timeout.
void wait_for_expire(const Session& session, Storage& storage, const ClusterKey& cluster);

// Prints to stdout; throws kSystem when that fails (a full disk behind a redirection).
void print_output(const std::string& output);

// The absolute path of this installation's `name` ("pitr-restore"), which lies beside `pitr`.
std::string path_of_program(const std::string& name);

}  // namespace pitr
