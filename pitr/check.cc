#include "pitr/check.h"

#include <functional>
#include <thread>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/history_files.h"
#include "basebackup/server.h"
#include "basebackup/take_backup.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/units.h"
#include "io/file.h"
#include "pitr/alert.h"
#include "pitr/json_output.h"
#include "storage/history_cache.h"

namespace pitr {

namespace {

// Runs named checks; a check that throws has failed with that error's words.
class Checks {
 public:
  // The function returns what was found; it throws kFinding for a warning.
  bool run(const std::string& name, const std::function<std::string()>& check) {
    try {
      results_.push_back({name, "ok", check()});
      return true;
    } catch (const Error& error) {
      const ErrorReport& report = error.report();
      std::string message = report.message;
      for (const std::string& sentence : {report.detail, report.hint}) {
        if (!sentence.empty()) message += (message.ends_with('.') ? " " : ". ") + sentence;
      }
      const bool is_warning = report.kind == ErrorKind::kFinding;
      results_.push_back({name, is_warning ? "warning" : "failed", message});
      return is_warning;
    }
  }

  void add(CheckResult result) { results_.push_back(std::move(result)); }

  const std::vector<CheckResult>& results() const { return results_; }

  const CheckResult* worst() const {
    const CheckResult* worst = nullptr;
    for (const CheckResult& result : results_) {
      if (result.status == "failed") return &result;
      if (result.status == "warning" && worst == nullptr) worst = &result;
    }
    return worst;
  }

 private:
  std::vector<CheckResult> results_;
};

[[noreturn]] void fail(std::string message, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kSystem, .message = std::move(message), .hint = std::move(hint)});
}

[[noreturn]] void warn(std::string message) {
  throw Error({.kind = ErrorKind::kFinding, .message = std::move(message)});
}

std::string check_state_directory(const Config& config) {
  const std::string& directory = config.state.directory;
  if (access(directory.c_str(), W_OK | X_OK) != 0) {
    warn(fmt::format("\"{}\" cannot be written: answers will be slower, archiving goes on",
                     directory));
  }
  return fmt::format("\"{}\" can be written", directory);
}

std::string check_archive_settings(const BackupRequest& request, Server& server) {
  const ServerFacts facts = server.facts();
  check_server_for_backup(request, facts, {});
  const std::string command = facts.archive_command + facts.archive_library;
  if (command.find("pitr") == std::string::npos) {
    fail(fmt::format("archive_command is \"{}\"", command),
         "Set archive_command = 'pitr-archive %p' and reload the server.");
  }
  return fmt::format("archive_mode = {}, archive_command = {}", facts.archive_mode, command);
}

std::string check_privileges(Server& server) {
  const Server::Privileges privileges = server.privileges();
  std::string missing;
  for (const std::string& one : privileges.missing)
    missing += (missing.empty() ? "" : ", ") + one;
  if (!missing.empty()) {
    fail("the role of cluster.connection lacks " + missing,
         "GRANT it; docs/interface.md lists what the role needs.");
  }
  if (privileges.is_superuser) return "the role is a superuser, which is more than pitr needs";
  return "the role has what checks and backups need";
}

std::string check_archiver(Server& server) {
  const ArchiverState archiver = server.archiver_state();
  if (archiver.is_failing) {
    fail(fmt::format("archiving of \"{}\" fails", archiver.last_failed_wal),
         "The server's log says why.");
  }
  if (archiver.last_archived_wal.empty()) return "nothing was archived yet";
  return fmt::format("last archived: {}", archiver.last_archived_wal);
}

std::string check_history_files(const Session& session, Storage& storage,
                                const ClusterRecord& cluster) {
  store_missing_history_files(storage, cluster, session.config.cluster.data_directory);
  const std::string note =
      HistoryCache(session.config.state.directory, cluster.key).unreachable_note();
  if (!note.empty()) warn("a standby could not reach the repository: " + note);
  return "every history file of pg_wal is stored";
}

std::string check_segment(Server& server, Storage& storage, const ClusterRecord& cluster,
                          std::chrono::milliseconds timeout) {
  const std::string segment = server.write_and_switch_segment();
  const std::string key = wal_key(cluster.key, *WalFileName::parse(segment));
  const auto started = std::chrono::steady_clock::now();
  while (!storage.open(key)) {
    if (std::chrono::steady_clock::now() - started > timeout) {
      const ArchiverState archiver = server.archiver_state();
      fail(fmt::format("segment {} did not reach the repository in time", segment),
           archiver.is_failing ? "Archiving fails; the server's log says why."
                               : "Is archive_command this configuration's pitr-archive?");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const auto seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return fmt::format("segment {} reached the repository in {:.1f} s", segment, seconds);
}

void run_checks(const Session& session, bool switch_segment, std::chrono::milliseconds timeout,
                Checks& checks) {
  const Config& config = session.config;
  std::unique_ptr<Storage> storage;
  ClusterRecord cluster;
  std::unique_ptr<Server> server;
  if (!checks.run("repository", [&] {
        storage = open_storage(config);
        cluster = session_cluster(session, *storage);
        return fmt::format("{} keeps cluster \"{}\"", config.repository.url, cluster.key.name);
      })) {
    return;
  }
  checks.run("state directory", [&] { return check_state_directory(config); });
  if (!checks.run("server", [&] {
        const auto patience =
            switch_segment ? std::chrono::ceil<std::chrono::seconds>(timeout) : kServerPatience;
        server = connect_patiently(config, patience);
        return fmt::format("PostgreSQL {} answers", server->facts().version);
      })) {
    return;
  }
  const BackupRequest request{.data_directory = config.cluster.data_directory, .cluster = cluster};
  const bool settings_right =
      checks.run("archive settings", [&] { return check_archive_settings(request, *server); });
  checks.run("privileges", [&] { return check_privileges(*server); });
  checks.run("archiver", [&] { return check_archiver(*server); });
  if (!switch_segment) return;
  checks.run("history files", [&] { return check_history_files(session, *storage, cluster); });
  if (!settings_right) return;
  checks.run("segment switch", [&] { return check_segment(*server, *storage, cluster, timeout); });
}

void run_all(const Session& session, bool switch_segment, std::chrono::milliseconds timeout,
             Checks& checks) {
  run_checks(session, switch_segment, timeout, checks);
  for (CheckResult& result : compare_with_thresholds(observe(session), session.config))
    checks.add(std::move(result));
}

int answer_nagios(const Checks& checks) {
  const CheckResult* worst = checks.worst();
  const auto failed =
      std::count_if(checks.results().begin(), checks.results().end(),
                    [](const CheckResult& result) { return result.status == "failed"; });
  const char* word = worst == nullptr ? "OK" : worst->status == "failed" ? "CRITICAL" : "WARNING";
  std::string message = worst == nullptr ? "archiving works" : worst->name + ": " + worst->message;
  for (char& c : message) {
    if (c == '\n' || c == '|') c = ' ';
  }
  std::string perfdata = fmt::format("checks={} failed={}", checks.results().size(), failed);
  for (const CheckResult& result : checks.results()) {
    if (!result.perfdata.empty()) perfdata += " " + result.perfdata;
  }
  print_output(fmt::format("PITR {} - {} | {}\n", word, message, perfdata));
  constexpr int kNagiosWarning = 1;
  constexpr int kNagiosCritical = 2;
  if (worst == nullptr) return kSuccess;
  return worst->status == "failed" ? kNagiosCritical : kNagiosWarning;
}

void load_for_check(Session& session) {
  session.load();
  session.require_data_directory();
  session.become_owner_of_data_directory();
}

int check_for_nagios(Session& session, std::chrono::milliseconds timeout) {
  load_for_check(session);
  Checks checks;
  run_all(session, false, timeout, checks);
  return answer_nagios(checks);
}

}  // namespace

void answer_nagios_unknown(const std::string& message) {
  print_output(fmt::format("PITR UNKNOWN - {} | checks=0 failed=0\n", message));
}

int run_check(Session& session, const CheckOptions& options) {
  const auto timeout = parse_duration(options.timeout);
  if (!timeout) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("invalid duration \"{}\" for --timeout", options.timeout)});
  }
  if (options.nagios) return check_for_nagios(session, *timeout);
  load_for_check(session);
  Checks checks;
  run_all(session, true, *timeout, checks);
  const CheckResult* worst = checks.worst();
  if (session.json) {
    Json results = Json::array();
    for (const CheckResult& result : checks.results()) {
      results.push_back(
          {{"name", result.name}, {"status", result.status}, {"message", result.message}});
    }
    print_json({{"format", 1}, {"status", worst ? worst->status : "ok"}, {"checks", results}});
  } else {
    std::string text;
    for (const CheckResult& result : checks.results()) {
      text += fmt::format("{:8} {}: {}\n", result.status, result.name, result.message);
    }
    print_output(text);
  }
  send_alerts(session, checks.results());
  return worst != nullptr && worst->status == "failed" ? kBadFinding : kSuccess;
}

}  // namespace pitr
