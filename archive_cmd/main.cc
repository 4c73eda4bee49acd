// pitr-archive: PostgreSQL's archive_command.
#include <cerrno>
#include <cstdio>

#include <sys/stat.h>

#include <fmt/format.h>

#include "archive_cmd/archive_file.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/program_options.h"
#include "common/run_command.h"
#include "io/file.h"
#include "wal/control_file.h"

namespace pitr {

namespace {

constexpr const char* kHelp = R"(pitr-archive stores one WAL file durably in the repository.

Usage: pitr-archive [options] PATH

  In postgresql.conf:  archive_mode = on
                       archive_command = 'pitr-archive %p'

Options:
  --config FILE         configuration (else $PITR_CONFIG, else /etc/pitr/pitr.toml)
  --cluster NAME        another cluster than the configured one
  --rescued             PATH was rescued from a lost server: any working directory
                        will do (`pitr push` uses this)
  --log-level LEVEL     error, warning, info or debug
  --log-format FORMAT   text or json
  --help, --version

Status: 0 durably stored, now or before with the same contents; 1 anything else,
and PostgreSQL keeps the file and tries again.
)";

// A clone must not archive into its origin's repository.
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

int run(int argc, char** argv) {
  umask(077);
  const ProgramOptions options = parse_program_options(argc, argv);
  set_log(options.log_level, options.log_format);
  if (options.help) {
    fmt::print("{}", kHelp);
    return kSuccess;
  }
  if (options.version) {
    fmt::print("{}\n", version_text("pitr-archive"));
    return kSuccess;
  }
  if (options.arguments.size() != 1) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "exactly one path is expected",
                 .hint = "Set archive_command = 'pitr-archive %p'."});
  }
  Config config = load_config(options.config_path);
  if (!options.cluster.empty()) config.cluster.name = options.cluster;
  std::optional<std::uint64_t> system_identifier;
  if (!options.rescued) {
    require_configured_directory(config);
    system_identifier = system_identifier_here();
  }
  const auto storage = open_storage(config);
  const ArchiveRequest request{
      .path = options.arguments.front(),
      .cluster = find_cluster(*storage, config.cluster.name, system_identifier),
      .compression = parse_compression(config.repository.compression),
      .jobs = config.archive.jobs,
      .look_ahead = options.rescued ? 0 : config.archive.look_ahead,
      .look_ahead_time = config.archive.look_ahead_time,
      .ring = config.io.ring,
  };
  archive_file(request, *storage, Journal(config.state.directory));
  return kSuccess;
}

}  // namespace

}  // namespace pitr

int main(int argc, char** argv) {
  // Never above 125, which restarts PostgreSQL's archiver without being counted.
  return pitr::run_command([](const pitr::ErrorReport&) { return pitr::kFailure; },
                           [&] { return pitr::run(argc, argv); });
}
