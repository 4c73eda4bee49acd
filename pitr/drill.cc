#include "pitr/drill.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <random>
#include <thread>

#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/restore_destination.h"
#include "basebackup/scratch_server.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/process.h"
#include "io/file.h"
#include "pitr/audit_log.h"
#include "pitr/before_drop.h"
#include "pitr/cluster_choice.h"
#include "pitr/drill_record.h"
#include "pitr/drill_report.h"
#include "pitr/plan_output.h"
#include "pitr/recovery_target.h"
#include "pitr/restoration.h"
#include "pitr/restore_hold.h"
#include "pitr/scratch_directory.h"

namespace pitr {

namespace {

using Clock = std::chrono::steady_clock;
using CheckStatus = DrillCheckResult::Status;

[[noreturn]] void refuse(std::string message, std::string detail = {}, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

[[noreturn]] void find(std::string cause) {
  throw Error({.kind = ErrorKind::kFinding, .message = std::move(cause)});
}

// The one thing that a handler may do: the signal's number, for whoever looks.
volatile std::sig_atomic_t asked_to_end = 0;

void note_signal(int signal) { asked_to_end = signal; }

// Before there is anything to be cleaned up, a signal ends the program as it always does.
void end_in_order_from_here_on() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP})
    sigaction(signal, &action, nullptr);
}

void throw_when_asked_to_end() {
  if (asked_to_end == 0) return;
  throw Error({.kind = ErrorKind::kSystem,
               .message = fmt::format("the rehearsal was interrupted by signal {}",
                                      static_cast<int>(asked_to_end)),
               .code = "interrupted"});
}

// Damage is a finding; a full disk or a missing program is none.
bool is_bad_finding(const ErrorReport& report) {
  return report.kind == ErrorKind::kFinding || report.kind == ErrorKind::kCorrupt ||
         report.kind == ErrorKind::kMismatch || report.code == "object_missing" ||
         report.code == "foreign";
}

std::string one_sentence(const ErrorReport& report) {
  std::string text = report.message;
  if (!report.detail.empty()) text += ": " + report.detail;
  // What libpq and PostgreSQL say in several lines becomes one.
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  while (text.ends_with('.') || text.ends_with(' '))
    text.pop_back();
  return text;
}

std::string wanted(const std::string& option, const std::string& configured) {
  return option.empty() ? configured : option;
}

// Does something at the end of its block, whatever ends that.
class AtEnd {
 public:
  explicit AtEnd(std::function<void()> work) : work_(std::move(work)) {}
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;
  AtEnd(AtEnd&&) = delete;
  AtEnd& operator=(AtEnd&&) = delete;
  ~AtEnd() { work_(); }

 private:
  std::function<void()> work_;
};

// One run, from the plan on. What goes wrong is thrown; what was measured by then is in the report.
class Drill {
 public:
  Drill(const Session& session, const DrillOptions& options, Storage& storage,
        const ClusterRows& rows, DrillReport& report)
      : session_(session),
        options_(options),
        storage_(storage),
        rows_(rows),
        report_(report),
        scratch_(resolve_path(wanted(options.scratch, session.config.drill.directory))),
        promote_(options.promote || session.config.drill.promote) {}

  void run(const PlanRequest& request) {
    RecoveryPlan plan;
    timed("plan", true, [&] { plan = make_plan(request); });
    prepare(plan);
    const RestoreHold hold(session_, storage_, rows_, *plan.backup, "drill");
    ScratchDirectory directory(scratch_, session_.lock_timeout);
    if (options_.keep_directory) {
      report_.kept_directory = directory.path();
      directory.keep();
    }
    // What the server's restore_command may have started ends before the directory goes.
    const AtEnd no_orphans(kill_all_children);
    check_space(plan);
    const ScratchServerRequest request_to_server = server_request(plan, directory.path());
    timed("restore", true, [&] { restore(plan, directory.path()); });
    timed("verify files", false, [&] { verify_files(request_to_server); });
    ScratchServer server(request_to_server);
    replay(plan, server);
    if (promote_ && !report_.promoted) timed("promote", true, [&] { promote(server); });
    timed("checks", false, [&] { check(server, request_to_server); });
    server.stop();
  }

 private:
  // The time counts, too, of a phase that does not come to its end.
  void timed(const char* name, bool is_recovery, const std::function<void()>& work) {
    log_debug(name);
    report_.phases.push_back({.name = name, .is_recovery = is_recovery});
    const auto begun = Clock::now();
    const AtEnd stopwatch([&] {
      report_.phases.back().seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    });
    work();
  }

  RecoveryPlan make_plan(const PlanRequest& request) {
    const WalReader reader = make_wal_reader(storage_, rows_.cluster);
    RecoveryPlan plan =
        options_.random ? plan_by_chance(request, reader) : plan_recovery(rows_, request, reader);
    report_.target = describe_target(plan.target);
    report_.plan = plan_as_json(plan);
    report_.plan_text = plan_as_text(plan);
    if (!plan.reachable()) {
      require_all_read(rows_, plan.reason->message);
      find("the target cannot be reached: " + plan.reason->message);
    }
    for (const std::string& warning : plan.warnings)
      log_warning(warning);
    report_.backup = plan.backup->id;
    if (plan.commit_before) note_distance(plan);
    return plan;
  }

  void note_distance(const RecoveryPlan& plan) {
    const Instant commit = from_postgres_time(plan.commit_before->time);
    report_.last_commit_at = commit;
    const bool has_time = plan.target.kind == RecoveryTarget::Kind::kTime;
    if (!has_time && plan.target.kind != RecoveryTarget::Kind::kEnd) return;
    const Instant until = has_time ? plan.target.time : report_.started_at;
    report_.distance_seconds = std::chrono::duration<double>(until - commit).count();
  }

  // A moment of the recoverable windows. Commit times need not be in order, so that a moment may
  // turn out to be none.
  RecoveryPlan plan_by_chance(const PlanRequest& request, const WalReader& reader) {
    std::mt19937_64 chance(std::random_device{}());
    constexpr int kMostTries = 20;
    RecoveryPlan plan;
    for (int i = 0; i < kMostTries; ++i) {
      plan = plan_recovery(rows_, choose_by_chance(request, chance), reader);
      if (plan.reachable()) break;
    }
    return plan;
  }

  PlanRequest choose_by_chance(PlanRequest request, std::mt19937_64& chance) const {
    std::vector<ReachableWindow> windows = reachable_windows(rows_);
    std::erase_if(windows, [&](const ReachableWindow& window) {
      return (!request.backup_id.empty() && window.backup_id != request.backup_id) ||
             (request.timeline && window.timeline != *request.timeline);
    });
    const auto width_of = [](const ReachableWindow& window) {
      return window.to_time ? (*window.to_time - window.from_time).count() : 0;
    };
    std::int64_t width = 0;
    for (const ReachableWindow& window : windows)
      width += width_of(window);
    if (width <= 0) return request;  // nothing but the end of the WAL
    std::int64_t place = std::uniform_int_distribution<std::int64_t>(0, width - 1)(chance);
    for (const ReachableWindow& window : windows) {
      if (place < width_of(window)) {
        request.target.kind = RecoveryTarget::Kind::kTime;
        request.target.time = window.from_time + std::chrono::microseconds(place);
        request.backup_id = window.backup_id;
        request.timeline = window.timeline;
        break;
      }
      place -= width_of(window);
    }
    return request;
  }

  // Everything that can be refused is refused here, before anything is written.
  void prepare(const RecoveryPlan& plan) {
    if (!plan.tablespaces_created.empty()) {
      const TablespaceChange& created = plan.tablespaces_created.front();
      refuse(fmt::format("the WAL on the way creates a tablespace at \"{}\" (at {})", created.path,
                         format_lsn(created.start)),
             "Replay would write there, outside the scratch space.",
             "Take a base backup and rehearse with that, or choose a moment before.");
    }
    const Config& config = session_.config;
    std::vector<std::string> forbidden = {config.cluster.data_directory,
                                          plan.backup->data_directory, repository_path(config)};
    for (const BackupTablespace& tablespace : plan.backup->tablespaces)
      forbidden.push_back(tablespace.path);
    check_scratch_space(scratch_, forbidden);
  }

  ScratchServerRequest server_request(const RecoveryPlan& plan, const std::string& folder) const {
    if (!has_room_for_socket(folder)) {
      refuse(fmt::format("the scratch space \"{}\" has too long a path", scratch_),
             "The server's socket lies in it, and a socket's path has at most 107 bytes.",
             "Choose another: --scratch DIR, or drill.directory.");
    }
    ScratchServerRequest request;
    request.version = plan.backup->postgres_version;
    request.bin_directory =
        find_server_programs(wanted(options_.bin_directory, session_.config.drill.bin_directory),
                             request.version, folder);
    request.data_directory = folder + "/data";
    request.folder = folder;
    request.connection = session_.config.cluster.connection;
    request.standby_settings = plan.required_settings.value_or(plan.backup->settings);
    request.preload_libraries = session_.config.drill.preload_libraries;
    request.watch = throw_when_asked_to_end;
    return request;
  }

  void check_space(const RecoveryPlan& plan) const {
    // Replayed segments are removed at restart points, by max_wal_size at the latest.
    constexpr std::uint64_t kMostWal = 2ULL << 30;
    const std::uint64_t wal = plan.segment_count * rows_.cluster.identity.segment_size;
    check_free_space(scratch_, plan.backup->size_bytes + std::min(wal, kMostWal));
  }

  void restore(const RecoveryPlan& plan, const std::string& folder) {
    RestoreOptions options;
    options.to = folder + "/data";
    options.action = "pause";
    options.archive_mode = "off";
    options.jobs = options_.target.jobs;
    options.rehearsal = true;
    options.tablespaces_in = folder + "/tablespaces";
    options.watch = throw_when_asked_to_end;
    const RestoredDirectory restored = restore_planned(session_, options, storage_, rows_, plan);
    report_.restored_bytes = restored.counts.bytes;
  }

  void verify_files(const ScratchServerRequest& server) {
    DrillCheckResult result{.name = "pg_verifybackup"};
    if (access((server.bin_directory + "/pg_verifybackup").c_str(), X_OK) != 0) {
      result.status = CheckStatus::kNotChecked;
      result.message = fmt::format("it is not in \"{}\"", server.bin_directory);
    } else {
      result.message = verify_restored_files(server, session_.config.drill.timeout);
      if (!result.message.empty()) result.status = CheckStatus::kFailed;
    }
    add(result);
  }

  void add(const DrillCheckResult& result) {
    report_.checks.push_back(result);
    if (result.status != CheckStatus::kFailed || !report_.cause.empty()) return;
    report_.cause = one_sentence(
        {.kind = ErrorKind::kFinding,
         .message = fmt::format(
             "{}{} failed", result.name,
             result.database.empty() ? "" : fmt::format(" in database \"{}\"", result.database)),
         .detail = result.message});
  }

  void replay(const RecoveryPlan& plan, ScratchServer& server) {
    const auto deadline = Clock::now() + session_.config.drill.timeout;
    timed("start", true, [&] {
      server.start();
      wait(server, deadline, "it let anyone in", [&] { return server.is_listening(); });
    });
    ReplayState state;
    timed("replay", true, [&] {
      wait(server, deadline, "it reached the target", [&] {
        const auto found = server.replay_state();
        if (found) state = *found;
        return found && (found->paused || !found->in_recovery);
      });
    });
    report_.stopped_at = state.replayed_to;
    report_.last_transaction_at = state.last_transaction_at;
    report_.promoted = !state.in_recovery;
    const std::string elsewhere =
        why_elsewhere(plan, state.replayed_to, rows_.cluster.identity.segment_size);
    if (!elsewhere.empty()) find(elsewhere);
    if (report_.promoted && !plan.cannot_pause) {
      find("the server ended recovery instead of pausing at the target");
    }
    report_.replayed_bytes = state.replayed_to - plan.backup->start_lsn;
  }

  [[noreturn]] static void throw_because_it_ended(const char* until, const std::string& words) {
    const std::string cause = fmt::format("the server ended before {}: {}", until, words);
    // That says nothing about what is stored.
    const bool no_space = words.find("No space left on device") != std::string::npos;
    throw Error({.kind = no_space ? ErrorKind::kSystem : ErrorKind::kFinding, .message = cause});
  }

  static void wait(ScratchServer& server, Clock::time_point deadline, const char* until,
                   const std::function<bool()>& reached) {
    constexpr std::chrono::milliseconds kPause{50};
    while (!reached()) {
      throw_when_asked_to_end();
      if (!server.is_running()) {
        throw_because_it_ended(until, server.last_words());
      }
      if (Clock::now() > deadline) {
        find(fmt::format("the time was over (drill.timeout) before {}", until));
      }
      std::this_thread::sleep_for(kPause);
    }
  }

  void promote(ScratchServer& server) {
    server.promote();
    const auto deadline = Clock::now() + session_.config.drill.timeout;
    wait(server, deadline, "it was promoted", [&] {
      const auto state = server.replay_state();
      return state && !state->in_recovery;
    });
    report_.promoted = true;
  }

  void check(ScratchServer& server, const ScratchServerRequest& request) {
    const bool has_program = access((request.bin_directory + "/pg_amcheck").c_str(), X_OK) == 0;
    for (const ScratchDatabase& database : server.databases()) {
      DrillCheckResult result{.name = "pg_amcheck", .database = database.name};
      if (!has_program) {
        result.status = CheckStatus::kNotChecked;
        result.message = fmt::format("it is not in \"{}\"", request.bin_directory);
      } else if (!database.has_amcheck && !report_.promoted) {
        result.status = CheckStatus::kNotChecked;
        result.message = "the extension amcheck is not there; --promote installs it in the copy";
      } else {
        result.message = server.amcheck(database.name, session_.config.restore.jobs,
                                        report_.promoted, session_.config.drill.timeout);
        if (!result.message.empty()) result.status = CheckStatus::kFailed;
      }
      add(result);
    }
    for (const DrillCheck& check : session_.config.drill.checks)
      add(ask(server, check));
  }

  DrillCheckResult ask(ScratchServer& server, const DrillCheck& check) const {
    DrillCheckResult result{.name = fmt::format("check \"{}\"", check.name),
                            .database = check.database};
    try {
      const auto answer =
          server.query(check.database, check.sql, session_.config.drill.check_timeout);
      const bool as_boolean = (check.expect == "true" || check.expect == "false") && answer &&
                              *answer == check.expect.substr(0, 1);
      if (answer == check.expect || as_boolean) return result;
      result.message = fmt::format("expected \"{}\", got {}", check.expect,
                                   answer ? fmt::format("\"{}\"", *answer) : "nothing");
    } catch (const Error& error) {
      if (error.report().code == "interrupted") throw;
      result.message = one_sentence(error.report());
    }
    result.status = CheckStatus::kFailed;
    return result;
  }

  const Session& session_;
  const DrillOptions& options_;
  Storage& storage_;
  const ClusterRows& rows_;
  DrillReport& report_;
  std::string scratch_;
  bool promote_;
};

void check_options(const Session& session, const DrillOptions& options) {
  if (options.random &&
      (!options.target.target_time.empty() || !options.target.target_lsn.empty() ||
       !options.target.target_xid.empty() || !options.target.target_name.empty() ||
       !options.target.before_xid.empty() || !options.target.before_drop.empty() ||
       options.target.target_immediate)) {
    refuse("--random takes no recovery target");
  }
  if (wanted(options.scratch, session.config.drill.directory).empty()) {
    refuse("no scratch space is given", "A rehearsal restores the whole cluster somewhere.",
           "Name a directory with room for it: --scratch DIR, or drill.directory.");
  }
  for (const std::string& path : {options.html, options.report}) {
    const std::string folder = parent_directory(path);
    if (!path.empty() && access(folder.c_str(), W_OK) != 0) {
      refuse(fmt::format("no report can be written to \"{}\"", path),
             fmt::format("The folder \"{}\" is not there, or not ours to write.", folder));
    }
  }
  if (geteuid() == 0) {
    refuse("PostgreSQL does not run as root",
           "The configured data directory is not there, whose owner would be taken.",
           "Run pitr drill as the user that runs PostgreSQL.");
  }
}

// A base backup that cannot be read any more is a bad end, whatever another one makes possible.
void note_unreadable(const ClusterRows& rows, DrillReport& report) {
  for (const UnreadableFile& file : rows.unreadable) {
    const std::string unreadable = file.text();
    log_warning(fmt::format("cannot be read: {}", unreadable));
    if (!unreadable.starts_with("backup/")) continue;
    report.checks.push_back(
        {.name = "list of backups", .status = CheckStatus::kFailed, .message = unreadable});
    if (report.cause.empty()) report.cause = "a base backup cannot be read: " + unreadable;
  }
}

void remember(const Config& config, const ClusterKey& cluster, const DrillReport& report) {
  const auto before = load_drill_record(config.state.directory, cluster);
  DrillRecord record = before.value_or(DrillRecord());
  record.finished_at = report.finished_at;
  record.cause = report.cause;
  if (report.cause.empty()) {
    record.last_success_at = report.finished_at;
    record.recovery_seconds = recovery_seconds(report);
    record.distance_seconds = report.distance_seconds;
    record.restore_bytes_per_second = restore_bytes_per_second(report);
    record.replay_bytes_per_second = replay_bytes_per_second(report);
  }
  try {
    save_drill_record(config.state.directory, cluster, record);
  } catch (const Error& error) {
    log_warning(fmt::format("the result was not recorded: {}", error.what()));
  }
}

int tell(const Session& session, const DrillOptions& options, const DrillReport& report) {
  const Json json = drill_as_json(report);
  if (session.json) {
    print_json(json);
  } else {
    print_output(drill_as_text(report));
  }
  if (!options.report.empty()) {
    replace_file(options.report, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  if (!options.html.empty()) replace_file(options.html, drill_as_html(report));
  if (report.cause.empty()) return kSuccess;
  log_error({.kind = ErrorKind::kFinding, .message = "the rehearsal failed: " + report.cause});
  return kBadFinding;
}

int rehearse(const Session& session, const DrillOptions& options, PlanRequest& request,
             AuditRecord& record) {
  DrillReport report;
  report.started_at = request.now;
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = choose_cluster(session, *storage, request);
  record.cluster = cluster.key;
  const ClusterRows rows = session_rows(session, *storage, cluster);
  if (!options.target.before_drop.empty()) {
    for (const std::string& warning :
         target_before_drop(request, options.target.before_drop, *storage, rows)) {
      log_warning(warning);
    }
  }
  report.cluster = cluster.key.name;
  report.system_identifier = std::to_string(cluster.key.system_identifier);
  report.postgres_version = cluster.identity.postgres_version;
  report.host = ProcessIdentity::self().host;
  report.target = describe_target(request.target);
  note_unreadable(rows, report);
  end_in_order_from_here_on();
  adopt_orphans();
  try {
    Drill(session, options, *storage, rows, report).run(request);
  } catch (const Error& error) {
    if (!is_bad_finding(error.report())) throw;
    if (report.cause.empty()) report.cause = one_sentence(error.report());
  }
  report.finished_at = now();
  const Json json = drill_as_json(report);
  record.did = {{"target", report.plan.is_object() ? report.plan["target"] : Json(nullptr)},
                {"backup", json_text(report.backup)},
                {"cause", json["cause"]},
                {"recovery_seconds", json["recovery_seconds"]},
                {"distance_seconds", json["distance_seconds"]}};
  remember(session.config, cluster.key, report);
  return tell(session, options, report);
}

}  // namespace

int run_drill(Session& session, const DrillOptions& options) {
  PlanRequest request = parse_plan_request(options.target, now());
  request.end_as_target = true;
  session.load();
  session.become_owner_of_data_directory();
  check_options(session, options);
  return run_audited(session, "drill", [&](AuditRecord& record) {
    return rehearse(session, options, request, record);
  });
}

}  // namespace pitr
