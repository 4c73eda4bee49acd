#include "pitr/init.h"

#include <algorithm>
#include <cerrno>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/history_files.h"
#include "basebackup/restore_destination.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "io/file.h"
#include "pitr/json_output.h"
#include "storage/posix_storage.h"
#include "wal/control_file.h"

namespace pitr {

namespace {

ControlFile read_control_file(const std::string& data_directory) {
  return ControlFile::parse(
      as_byte_span(read_whole_file(data_directory + "/global/pg_control", 1 << 20)));
}

// It would go into every backup of itself, and be lost with the server.
void refuse_inside_data_directory(const std::string& repository, const std::string& directory) {
  if (!lies_in(resolve_path(repository), resolve_path(directory))) return;
  throw Error(
      {.kind = ErrorKind::kUsage,
       .message = fmt::format("the repository \"{}\" lies in the data directory", repository),
       .detail = "It would be part of every backup, and be lost with the server.",
       .hint = "Choose a place outside of it, best on another host's disk."});
}

// Started as root, the folders are made as root and given to the owner of the data directory.
void make_owned_directory(const std::string& path, const std::string& data_directory) {
  struct stat status {};
  if (geteuid() != 0 || stat(path.c_str(), &status) == 0) return;
  create_directories(path);
  if (stat(data_directory.c_str(), &status) != 0 ||
      chown(path.c_str(), status.st_uid, status.st_gid) != 0) {
    throw_file_error("give to its owner directory", path, errno);
  }
}

// The record's time: later than those of the name's other system identifiers, whatever the clock
// said then or says now. The latest one is the living cluster.
Instant follow_other_identifiers(Storage& storage, const ClusterKey& key, bool upgraded) {
  Instant at = now();
  for (const ClusterRecord& record : list_clusters(storage)) {
    if (record.key.name != key.name || record.key == key) continue;
    at = std::max(at, record.created_at + std::chrono::microseconds(1));
    if (upgraded) continue;
    throw Error(
        {.kind = ErrorKind::kMismatch,
         .message = fmt::format("the name \"{}\" belongs to another cluster", key.name),
         .detail = fmt::format("The repository keeps system identifier {} under it; the data "
                               "directory has {}.",
                               record.key.system_identifier, key.system_identifier),
         .hint = "Choose another cluster.name. After pg_upgrade run: pitr init --upgraded"});
  }
  return at;
}

}  // namespace

int run_init(Session& session, const InitOptions& options) {
  session.load();
  session.require_data_directory();
  const Config& config = session.config;
  const ControlFile control = read_control_file(config.cluster.data_directory);
  const std::string root = repository_path(config);
  refuse_inside_data_directory(root, config.cluster.data_directory);
  make_owned_directory(root, config.cluster.data_directory);
  make_owned_directory(config.state.directory, config.cluster.data_directory);
  session.become_owner_of_data_directory();
  create_posix_repository(root);
  try {
    create_directories(config.state.directory);
  } catch (const Error& error) {
    // The state only makes answers faster; without it everything else works.
    log_warning(fmt::format("the state directory is not usable: {}", error.what()));
  }

  const auto storage = open_storage(config);
  const ClusterKey key{.name = config.cluster.name,
                       .system_identifier = control.cluster.system_identifier};
  const Instant created_at = follow_other_identifiers(*storage, key, options.upgraded);
  const bool existed = storage->open(cluster_record_key(key)) != nullptr;
  const ClusterRecord record{.key = key, .identity = control.cluster, .created_at = created_at};
  create_cluster_record(*storage, record);
  store_missing_history_files(*storage, record, config.cluster.data_directory);

  if (session.json) {
    print_json({{"format", 1},
                {"cluster", key.name},
                {"system_identifier", std::to_string(key.system_identifier)},
                {"postgres_version", control.cluster.postgres_version},
                {"wal_segment_size_bytes", control.cluster.segment_size},
                {"created", !existed}});
  } else {
    print_output(fmt::format(
        "{} cluster \"{}\" (PostgreSQL {}, system identifier {}, segments of {} MiB) in {}\n",
        existed ? "The repository already keeps" : "The repository now keeps", key.name,
        control.cluster.postgres_version, key.system_identifier, control.cluster.segment_size >> 20,
        config.repository.url));
  }
  return kSuccess;
}

}  // namespace pitr
