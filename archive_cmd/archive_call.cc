#include "archive_cmd/archive_call.h"

#include <array>
#include <cerrno>
#include <optional>

#include <sys/stat.h>

#include <fmt/format.h>

#include "archive_cmd/archive_file.h"
#include "common/error.h"
#include "io/file.h"

namespace pitr {

namespace {

void require_configured_directory(const Config& config) {
  struct stat here {};
  struct stat configured {};
  const std::string& path = config.cluster.data_directory;
  if (path.empty()) {
    throw Error(
        {.kind = ErrorKind::kUsage,
         .message = "cluster.data_directory is not configured",
         .hint = "Set data_directory in [cluster] to the directory that PostgreSQL runs on."});
  }
  if (stat(".", &here) != 0) throw_file_error("read", ".", errno);
  if (stat(path.c_str(), &configured) != 0) throw_file_error("read data directory", path, errno);
  if (here.st_dev == configured.st_dev && here.st_ino == configured.st_ino) return;
  throw Error(
      {.kind = ErrorKind::kMismatch,
       .message = "the working directory is not the configured data directory",
       .detail = fmt::format("The configuration names \"{}\". A server on another directory "
                             "may be a clone, which must not archive here.",
                             path),
       .hint = "Give a clone a configuration of its own, with its own cluster.name."});
}

// The identifier never changes, so a read that meets a write of the file is no matter.
std::uint64_t system_identifier_here() {
  std::array<std::byte, 8> bytes{};
  const File control = File::open_for_read("global/pg_control");
  if (control.read_at(0, bytes) != bytes.size()) {
    throw Error({.kind = ErrorKind::kCorrupt, .message = "pg_control is too short"});
  }
  return load<std::uint64_t>(bytes, 0);
}

}  // namespace

Config load_call_config(const ArchiveCall& call) {
  Config config = load_config(call.config_path);
  if (!call.cluster.empty()) config.cluster.name = call.cluster;
  if (!call.rescued) require_configured_directory(config);
  return config;
}

void run_archive_call(const ArchiveCall& call) {
  const Config config = load_call_config(call);
  std::optional<std::uint64_t> system_identifier;
  if (!call.rescued) system_identifier = system_identifier_here();
  const auto storage = open_storage(config);
  const ArchiveRequest request{
      .path = call.path,
      .cluster = find_cluster(*storage, config.cluster.name, system_identifier),
      .compression = parse_compression(config.repository.compression),
      .jobs = config.archive.jobs,
      .look_ahead = call.rescued ? 0 : config.archive.look_ahead,
      .look_ahead_time = config.archive.look_ahead_time,
      .ring = config.io.ring,
  };
  archive_file(request, *storage, Journal(config.state.directory));
}

}  // namespace pitr
