// pitr-archive: PostgreSQL's archive_command.
#include <cstdio>

#include <sys/stat.h>

#include <fmt/format.h>

#include "archive_cmd/archive_call.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/program_options.h"
#include "common/run_command.h"

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
  run_archive_call({.config_path = options.config_path,
                    .cluster = options.cluster,
                    .rescued = options.rescued,
                    .path = options.arguments.front()});
  return kSuccess;
}

}  // namespace

}  // namespace pitr

int main(int argc, char** argv) {
  // Never above 125, which restarts PostgreSQL's archiver without being counted.
  return pitr::run_command([](const pitr::ErrorReport&) { return pitr::kFailure; },
                           [&] { return pitr::run(argc, argv); });
}
