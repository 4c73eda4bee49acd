// pitr-restore: PostgreSQL's restore_command.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/program_options.h"
#include "common/run_command.h"
#include "io/file.h"
#include "restore_cmd/prefetch.h"
#include "restore_cmd/restore_file.h"
#include "storage/history_cache.h"

namespace pitr {

namespace {

constexpr const char* kHelp = R"(pitr-restore fetches one WAL file from the repository.

Usage: pitr-restore [options] NAME DESTINATION

  In postgresql.conf:  restore_command = 'pitr-restore %f %p'
  (`pitr restore` writes this line itself.)

Options:
  --config FILE         configuration (else $PITR_CONFIG, else /etc/pitr/pitr.toml)
  --cluster NAME        another cluster than the configured one
  --log-level LEVEL     error, warning, info or debug
  --log-format FORMAT   text or json
  --help, --version

Status: 0 the complete, verified file is at DESTINATION; 1 certainly not in the
repository, and no later segment of its timeline is; 200 a gap or any failure, so
that PostgreSQL stops instead of opening with rows missing.
)";

constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{2000};

// Everything about one call that does not change while it is tried again.
struct Call {
  Config config;
  WalFileName name;
  std::string destination;
  std::optional<std::uint64_t> system_identifier;  // of the data directory we are called in
  bool standby = false;
};

// An operator who meant `pitr restore` gets told so before anything is looked for.
void refuse_options_of_pitr_restore(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--to" || argument.starts_with("--to=") || argument.starts_with("--target")) {
      throw Error({.kind = ErrorKind::kUsage,
                   .message = fmt::format("pitr-restore has no option \"{}\"", argument),
                   .hint = "To recover a cluster run: pitr restore --to DIR --target-time …"});
    }
  }
}

std::optional<std::uint64_t> system_identifier_in(const std::string& control_file) {
  if (control_file.size() < sizeof(std::uint64_t)) return std::nullopt;
  return load<std::uint64_t>(as_byte_span(control_file), 0);
}

WalFileName parse_wal_file_name(const std::string& text) {
  const auto name = WalFileName::parse(text);
  if (name) return *name;
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("\"{}\" is not the name of a WAL file", text),
               .hint = "Set restore_command = 'pitr-restore %f %p'."});
}

HistoryCache cache_of(const Call& call) {
  return {call.config.state.directory,
          ClusterKey{.name = call.config.cluster.name,
                     .system_identifier = call.system_identifier.value_or(0)}};
}

// At each contact, whatever the server is now: it may be a standby when the repository is gone.
void remember_history(const Call& call, Storage& storage, const ClusterRecord& cluster,
                      RestoreOutcome outcome) {
  const HistoryCache cache = cache_of(call);
  std::string contents;
  if (outcome == RestoreOutcome::kRestored && try_read_whole_file(call.destination, contents)) {
    cache.remember(call.name.segment.timeline, contents);
  }
  TimelineId highest = 0;
  storage.list(history_folder(cluster.key), "", [&](const std::string& key) {
    const auto name = WalFileName::parse(last_part(key));
    if (name) highest = std::max(highest, name->segment.timeline);
    return true;
  });
  cache.remember_highest(highest);
}

// A cluster that the repository does not know is a wrong configuration, on a standby, too.
ClusterRecord configured_cluster(const Call& call, Storage& storage) {
  try {
    return find_cluster(storage, call.config.cluster.name, call.system_identifier);
  } catch (const Error& error) {
    ErrorReport report = error.report();
    if (report.kind == ErrorKind::kMismatch) report.kind = ErrorKind::kUsage;
    throw Error(report);
  }
}

// One try. Throws while the repository cannot answer.
RestoreAnswer ask_repository(const Call& call) {
  const auto storage = open_storage(call.config);
  const ClusterRecord cluster = configured_cluster(call, *storage);
  const RestoreRequest request{.name = call.name,
                               .destination = call.destination,
                               .cluster = cluster,
                               .jobs = call.config.restore.jobs,
                               .standby = call.standby};
  RestoreAnswer answer = restore_file(request, *storage);
  if (call.standby) cache_of(call).clear_unreachable();
  if (call.name.kind == WalFileKind::kHistory) {
    try {
      remember_history(call, *storage, cluster, answer.outcome);
    } catch (const Error& error) {
      log_warning(error.what());  // the answer at hand stands
    }
  }
  return answer;
}

ErrorReport gap_report(const Call& call, const RestoreAnswer& answer) {
  return {.kind = ErrorKind::kFinding,
          .message = fmt::format("gap: {} missing, {} present", call.name.text, answer.present),
          .detail =
              "Later WAL is stored, so this is not the end of it. Ending recovery here would lose "
              "what was committed later.",
          .hint = "If the segment still exists anywhere, archive it with: pitr push --from DIR"};
}

// A standby asks for a segment again every few seconds, and a status above 125 would stop it.
int answer_segment_on_standby(const Call& call, const ErrorReport& report) {
  log_error(report);
  cache_of(call).note_unreachable(report.message);
  return call.config.restore.standby_unreachable == StandbyUnreachable::kWait ? kFailure
                                                                              : kAbortRecovery;
}

// Nothing: known to exist, but not cached here.
std::optional<int> answer_history_on_standby(const Call& call, const ErrorReport& report) {
  const HistoryCache cache = cache_of(call);
  if (access(("pg_wal/" + call.name.text).c_str(), F_OK) == 0) {
    log_warning(
        fmt::format("the repository could not be asked for \"{}\" ({}); PostgreSQL has it "
                    "in pg_wal",
                    call.name.text, report.message));
    return kFailure;  // after which it reads its own copy (readTimeLineHistory() in timeline.c)
  }
  if (const auto contents = cache.contents(call.name.segment.timeline)) {
    replace_file(call.destination, *contents);
    log_warning(
        fmt::format("the repository could not be asked for \"{}\" ({}); it was served from "
                    "the state directory",
                    call.name.text, report.message));
    return kSuccess;
  }
  if (call.name.segment.timeline <= cache.highest()) return std::nullopt;
  log_error(report);
  cache.note_unreachable(report.message);
  return kFailure;
}

// What a standby is told at once; nothing where trying again is better.
std::optional<int> answer_on_standby(const Call& call, const ErrorReport& report) {
  if (call.name.kind == WalFileKind::kHistory) return answer_history_on_standby(call, report);
  return answer_segment_on_standby(call, report);
}

int restore_with_retries(const Call& call) {
  // Timeline 1 has no history file, anywhere: no repository is needed to say so. PostgreSQL asks at
  // every promotion, and may then have lost both primary and repository.
  if (call.name.kind == WalFileKind::kHistory && call.name.segment.timeline == 1) return kFailure;
  const auto deadline = std::chrono::steady_clock::now() + call.config.restore.retry_time;
  for (auto pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    ErrorReport report;
    try {
      const RestoreAnswer answer = ask_repository(call);
      if (answer.outcome == RestoreOutcome::kRestored) return kSuccess;
      if (answer.outcome == RestoreOutcome::kAbsent) {
        log_info(fmt::format("\"{}\" is not in the repository", call.name.text));
        return kFailure;
      }
      report = gap_report(call, answer);
    } catch (const Error& error) {
      report = error.report();
    }
    if (report.kind == ErrorKind::kUsage) throw Error(report);
    if (call.standby) {
      if (const auto status = answer_on_standby(call, report)) return *status;
    }
    if (std::chrono::steady_clock::now() + pause > deadline) throw Error(report);
    log_debug(fmt::format("trying again: {}", report.message));
    std::this_thread::sleep_for(pause);
  }
}

int run(int argc, char** argv) {
  umask(077);
  refuse_options_of_pitr_restore(argc, argv);
  const ProgramOptions options = parse_program_options(argc, argv);
  set_log(options.log_level, options.log_format);
  if (options.help) {
    fmt::print("{}", kHelp);
    return kSuccess;
  }
  if (options.version) {
    fmt::print("{}\n", version_text("pitr-restore"));
    return kSuccess;
  }
  if (options.arguments.size() != 2) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "exactly a name and a destination are expected",
                 .hint = "Set restore_command = 'pitr-restore %f %p'."});
  }
  std::string control_file;  // empty where the working directory is no data directory
  static_cast<void>(try_read_whole_file("global/pg_control", control_file));
  Call call{.config = load_config(options.config_path),
            .name = parse_wal_file_name(options.arguments[0]),
            .destination = options.arguments[1],
            .system_identifier = system_identifier_in(control_file),
            .standby = access("standby.signal", F_OK) == 0};
  if (!options.cluster.empty()) call.config.cluster.name = options.cluster;
  const Prefetch prefetch(call.config, call.name, call.destination, control_file);
  if (prefetch.take()) return kSuccess;
  const int status = restore_with_retries(call);
  if (status == kSuccess) prefetch.follow_history();
  return status;
}

}  // namespace

}  // namespace pitr

int main(int argc, char** argv) {
  // 1 means "not in the archive" to PostgreSQL, which may then open the database: never for an
  // error.
  return pitr::run_command([](const pitr::ErrorReport&) { return pitr::kAbortRecovery; },
                           [&] { return pitr::run(argc, argv); });
}
