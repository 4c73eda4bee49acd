#include "pitr/command_line.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/nearest.h"
#include "common/program_options.h"
#include "common/run_command.h"
#include "common/units.h"
#include "pitr/backup.h"
#include "pitr/catalog_rebuild.h"
#include "pitr/check.h"
#include "pitr/drill.h"
#include "pitr/expire.h"
#include "pitr/history.h"
#include "pitr/info.h"
#include "pitr/init.h"
#include "pitr/json_output.h"
#include "pitr/keep.h"
#include "pitr/map.h"
#include "pitr/metrics.h"
#include "pitr/push.h"
#include "pitr/restore.h"
#include "pitr/session.h"
#include "pitr/verify.h"

namespace pitr {

namespace {

// What operators of other tools type, and what it is called here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kOtherSpellings = {{
    {"--target-action", "--action"},
    {"--target-timeline", "--timeline"},
    {"--target-tli", "--timeline"},
    {"--target-exclusive", "--exclusive"},
    {"--stanza", "--cluster"},
    {"--server", "--cluster"},
    {"--set", "--backup"},
    {"--pg1-path", "--to"},
    {"--tablespace-map", "--tablespace"},
    {"--tablespace-mapping", "--tablespace"},
    {"--type", "one of --target-time, --target-lsn, --target-xid, --target-name"},
    {"--process-max", "--jobs"},
    {"--repo1-path", "url in [repository]"},
    {"archive-push", "pitr-archive"},
    {"wal-push", "pitr-archive"},
    {"archive-get", "pitr-restore"},
    {"wal-fetch", "pitr-restore"},
    {"stanza-create", "pitr init"},
    {"recover", "pitr restore"},
    {"backup-push", "pitr backup"},
    {"backup-fetch", "pitr restore"},
    {"list-backup", "pitr info"},
    {"list-backups", "pitr info"},
    {"delete", "pitr expire"},
}};

[[noreturn]] void throw_usage(std::string message, std::string hint, std::string code = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = std::move(message),
               .hint = std::move(hint),
               .code = std::move(code)});
}

// The first argument that nobody knows, with the nearest name that somebody does.
[[noreturn]] void throw_unknown(const CLI::App& app, const std::string& argument) {
  const std::string name = argument.substr(0, argument.find('='));
  for (const auto& [other, ours] : kOtherSpellings) {
    if (name == other) {
      throw_usage(
          fmt::format("unknown {} \"{}\"", name.front() == '-' ? "option" : "subcommand", name),
          fmt::format("Here it is called {}.", ours));
    }
  }
  std::vector<std::string> owned;
  if (name.front() == '-') {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& known : option->get_lnames())
        owned.push_back("--" + known);
    }
  } else {
    for (const CLI::App* subcommand : app.get_subcommands({})) {
      owned.push_back(subcommand->get_name());
    }
  }
  const std::vector<std::string_view> known(owned.begin(), owned.end());
  throw_usage(fmt::format("unknown {} \"{}\"", name.front() == '-' ? "option" : "subcommand", name),
              suggest_nearest(name, known));
}

// Everything that was parsed, and the subcommand that will run.
struct CommandLine {
  Session session;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string lock_timeout = "60s";
  InitOptions init;
  BackupOptions backup;
  RestoreOptions restore;
  std::string push_from;
  CheckOptions check;
  HistoryOptions history;
  VerifyOptions verify;
  DrillOptions drill;
  MetricsOptions metrics;
  ExpireOptions expire;
  KeepOptions keep;
  std::function<int()> run;
};

void add_common_options(CLI::App& app, CommandLine& line) {
  app.add_option("--config", line.session.config_path,
                 "configuration (else $PITR_CONFIG, else /etc/pitr/pitr.toml)");
  app.add_option("--cluster", line.session.cluster, "another cluster than the configured one");
  app.add_option("--log-level", line.log_level, "error, warning, info or debug");
  app.add_option("--log-format", line.log_format, "text or json");
  app.add_option("--lock-timeout", line.lock_timeout, "how long to wait for another pitr (60s)");
  app.add_flag("--json", line.session.json, "one JSON document on standard output");
}

CLI::App& add_subcommand(CLI::App& app, CommandLine& line, const std::string& name,
                         const std::string& description, const std::string& example) {
  CLI::App& subcommand = *app.add_subcommand(name, description);
  subcommand.footer("Example:\n  " + example);
  add_common_options(subcommand, line);
  return subcommand;
}

void add_init(CLI::App& app, CommandLine& line) {
  CLI::App& init = add_subcommand(
      app, line, "init", "Create the repository and this cluster's place in it", "pitr init");
  init.add_flag("--upgraded", line.init.upgraded,
                "the cluster went through pg_upgrade and has a new system identifier");
  init.callback([&line] { line.run = [&line] { return run_init(line.session, line.init); }; });
}

void add_check(CLI::App& app, CommandLine& line) {
  CLI::App& check = add_subcommand(app, line, "check", "Prove that archiving works", "pitr check");
  check.add_flag("--nagios", line.check.nagios, "one line for a monitoring system, no switch");
  check.add_option("--timeout", line.check.timeout, "how long a segment may take (60s)");
  check.callback([&line] { line.run = [&line] { return run_check(line.session, line.check); }; });
}

void add_backup(CLI::App& app, CommandLine& line) {
  CLI::App& backup = add_subcommand(app, line, "backup", "Take a base backup of the running server",
                                    "pitr backup --label nightly");
  BackupOptions& options = line.backup;
  backup.add_option("--type", options.type, "full or incremental (full)")
      ->check(CLI::IsMember({"full", "incremental"}));
  backup.add_option("--method", options.method, "files or stream (what is possible)")
      ->check(CLI::IsMember({"files", "stream"}));
  backup.add_option("--label", options.label, "a line of text that info shows");
  backup.add_option("--jobs", options.jobs, "files read at once")->check(CLI::Range(1U, 64U));
  backup.add_flag("--keep", options.keep, "pin it: retention leaves it and the WAL after it alone");
  backup.add_flag("--spread-checkpoint", options.spread_checkpoint,
                  "let the server take its time for the checkpoint before it");
  backup.callback(
      [&line] { line.run = [&line] { return run_backup(line.session, line.backup); }; });
}

void add_targets(CLI::App& restore, RestoreOptions& options) {
  restore.add_option("--target-time", options.target_time,
                     "a time; without a zone the host's zone is meant");
  restore.add_option("--target-lsn", options.target_lsn, "a position in the WAL");
  restore.add_option("--target-xid", options.target_xid, "a transaction id");
  restore.add_option("--target-name", options.target_name, "a restore point");
  restore.add_flag("--target-immediate", options.target_immediate,
                   "as soon as the backup is consistent");
  restore.add_option("--before-drop", options.before_drop,
                     "just before a table or database was dropped: a name or an OID");
  restore.add_option("--before-xid", options.before_xid, "just before a transaction ended");
  restore.add_flag("--exclusive", options.exclusive, "stop before the target, not after it");
  restore.add_option("--timeline", options.timeline, "a number or latest");
  restore.add_flag("--strict", options.strict, "refuse a time after the last archived commit");
  restore.add_flag("--until-gap", options.until_gap, "the end of the WAL may be a gap");
}

void add_restore(CLI::App& app, CommandLine& line) {
  CLI::App& restore =
      add_subcommand(app, line, "restore", "Restore a data directory that recovers to a moment",
                     "pitr restore --to /srv/restored --target-time \"2026-11-22 14:03:27+01\"");
  RestoreOptions& options = line.restore;
  restore.add_option("--to", options.to, "the directory to restore into");
  add_targets(restore, options);
  restore.add_option("--action", options.action, "pause (default), promote or shutdown");
  restore.add_option("--backup", options.backup, "a base backup's id (the best one)");
  restore.add_flag("--delta", options.delta, "keep files that hold the backup's contents already");
  restore.add_option("--jobs", options.jobs, "files written at once")->check(CLI::Range(1U, 64U));
  restore.add_option("--tablespace", options.tablespaces, "OLD=NEW: where a tablespace goes")
      ->allow_extra_args(false);
  restore.add_flag("--tablespace-original", options.tablespace_original,
                   "use the old places, if they are empty");
  restore.add_option("--waldir", options.wal_directory, "a place for pg_wal outside DIR");
  restore.add_option("--wal-from", options.wal_from,
                     "a folder of WAL that was never archived, from a crashed server");
  restore.add_option("--archive-mode", options.archive_mode, "preserve or off");
  restore.add_option("--recovery-option", options.recovery_options, "KEY=VALUE, added to the rest")
      ->allow_extra_args(false);
  restore.add_flag("--standby", options.standby, "make a standby that follows the archive");
  restore.add_flag("--with-config", options.with_config,
                   "bring configuration from outside the data directory into DIR.config");
  restore.add_flag("--dry-run", options.dry_run, "only say what would be reached");
  restore.callback(
      [&line] { line.run = [&line] { return run_restore(line.session, line.restore); }; });
}

void add_drill(CLI::App& app, CommandLine& line) {
  CLI::App& drill = add_subcommand(app, line, "drill", "Rehearse a recovery in a scratch directory",
                                   "pitr drill --random --html /var/www/drill.html");
  DrillOptions& options = line.drill;
  add_targets(drill, options.target);
  drill.add_flag("--random", options.random, "a moment by chance, not the end of the WAL");
  drill.add_option("--backup", options.target.backup, "a base backup's id (the best one)");
  drill.add_option("--jobs", options.target.jobs, "files written at once")
      ->check(CLI::Range(1U, 64U));
  drill.add_option("--scratch", options.scratch, "where there is room for the whole cluster");
  drill.add_option("--bin-dir", options.bin_directory, "the folder of PostgreSQL's programs");
  drill.add_option("--html", options.html, "write the report as a page into a file");
  drill.add_option("--report", options.report, "write the report as JSON into a file");
  drill.add_flag("--promote", options.promote, "promote the copy, and install amcheck in it");
  drill.add_flag("--keep-directory", options.keep_directory, "leave the copy behind");
  drill.callback([&line] { line.run = [&line] { return run_drill(line.session, line.drill); }; });
}

void add_info(CLI::App& app, CommandLine& line) {
  CLI::App& info = add_subcommand(app, line, "info",
                                  "Show backups, timelines and the moments that can be reached",
                                  "pitr info --json");
  info.callback([&line] { line.run = [&line] { return run_info(line.session); }; });
}

void add_history(CLI::App& app, CommandLine& line) {
  CLI::App& history = add_subcommand(
      app, line, "history", "Show restore points, drops and commits that the archived WAL tells of",
      "pitr history --from \"2026-11-22 14:00\"");
  history.add_option("--from", line.history.from, "a time; nothing before it is shown");
  history.add_option("--to", line.history.to, "a time; nothing after it is shown");
  history.callback(
      [&line] { line.run = [&line] { return run_history(line.session, line.history); }; });
}

void add_verify(CLI::App& app, CommandLine& line) {
  CLI::App& verify = add_subcommand(app, line, "verify", "Read back everything that is stored",
                                    "pitr verify --sample 5%");
  VerifyOptions& options = line.verify;
  verify.add_option("--backup", options.backup, "only this base backup, by its id");
  verify.add_flag("--wal", options.wal, "only the archived WAL");
  verify.add_option("--sample", options.sample, "read the contents of a share only, like 5%");
  verify.add_option("--rate-limit", options.rate_limit, "bytes in a second at most, like 50MB");
  verify.add_option("--jobs", options.jobs, "files read at once")->check(CLI::Range(1U, 64U));
  verify.add_flag("--restart", options.restart, "do not go on where another one was stopped");
  verify.callback(
      [&line] { line.run = [&line] { return run_verify(line.session, line.verify); }; });
}

void add_metrics(CLI::App& app, CommandLine& line) {
  CLI::App& metrics =
      add_subcommand(app, line, "metrics", "Print the state of backups for Prometheus",
                     "pitr metrics --textfile /var/lib/prometheus/node-exporter/pitr.prom");
  metrics.add_option("--textfile", line.metrics.textfile,
                     "replace this file, for node_exporter, instead of printing");
  metrics.callback(
      [&line] { line.run = [&line] { return run_metrics(line.session, line.metrics); }; });
}

void add_expire(CLI::App& app, CommandLine& line) {
  CLI::App& expire =
      add_subcommand(app, line, "expire", "Remove what the retention policy does not keep",
                     "pitr expire --dry-run");
  expire.add_option("--backup", line.expire.backup, "only this base backup, whatever the policy");
  expire.add_flag("--dry-run", line.expire.dry_run, "only say what goes and why the rest stays");
  expire.callback(
      [&line] { line.run = [&line] { return run_expire(line.session, line.expire); }; });
}

void add_keep(CLI::App& app, CommandLine& line) {
  CLI::App& keep = add_subcommand(app, line, "keep", "Pin a base backup against retention",
                                  "pitr keep 20261122T101500Z-4f2a9c");
  keep.add_option("ID", line.keep.backup, "the base backup")->required();
  keep.add_option("--wal", line.keep.wal, "all (default): the WAL after it stays, too; or none")
      ->check(CLI::IsMember({"all", "none"}));
  keep.add_flag("--remove", line.keep.remove, "unpin it");
  keep.callback([&line] { line.run = [&line] { return run_keep(line.session, line.keep); }; });
}

void add_map(CLI::App& app, CommandLine& line) {
  CLI::App& map =
      add_subcommand(app, line, "map", "Record the names of relations for history", "pitr map");
  map.callback([&line] { line.run = [&line] { return run_map(line.session); }; });
}

void add_push(CLI::App& app, CommandLine& line) {
  CLI::App& push = add_subcommand(app, line, "push", "Archive a folder of rescued WAL",
                                  "pitr push --from /mnt/rescued/pg_wal");
  push.add_option("--from", line.push_from, "the folder")->required();
  push.callback([&line] { line.run = [&line] { return run_push(line.session, line.push_from); }; });
}

void add_catalog(CLI::App& app, CommandLine& line) {
  CLI::App& catalog = *app.add_subcommand("catalog", "The index over the repository");
  catalog.require_subcommand(1);
  CLI::App& rebuild =
      add_subcommand(catalog, line, "rebuild", "Write the catalog anew from the repository",
                     "pitr catalog rebuild");
  rebuild.callback([&line] { line.run = [&line] { return run_catalog_rebuild(line.session); }; });
}

// An unset variable of a script is not a missing option: "--target-time ''" would restore the end
// of the WAL, DROP included.
void refuse_empty_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_items_expected_max() == 0) continue;
    option->check([](const std::string& value) {
      return value.empty() ? std::string("an empty value was given") : std::string();
    });
  }
  for (CLI::App* subcommand : app.get_subcommands({}))
    refuse_empty_values(*subcommand);
}

void parse(CLI::App& app, CommandLine& line, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    print_output((chosen.empty() ? &app : chosen.front())->help());
    line.run = [] { return kSuccess; };
  } catch (const CLI::CallForVersion&) {
    print_output(version_text("pitr") + "\n");
    line.run = [] { return kSuccess; };
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    const CLI::App& asked = chosen.empty() ? app : *chosen.front();
    const auto remaining = app.remaining(true);
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) &&
        !remaining.empty()) {
      throw_unknown(asked, remaining.front());
    }
    std::string hint = "Run: pitr --help";
    if (!chosen.empty()) hint = fmt::format("Run: pitr {} --help", asked.get_name());
    // CLI11 begins its messages with the option's name, ours with a lower-case word.
    throw_usage(fmt::format("wrong usage: {}", error.what()), std::move(hint));
  }
}

int status_of(const ErrorReport& report) {
  switch (report.kind) {
    case ErrorKind::kUsage:
      return kWrongUsage;
    case ErrorKind::kFinding:
      return kBadFinding;
    case ErrorKind::kSystem:
    case ErrorKind::kMismatch:
    case ErrorKind::kCorrupt:
      return kFailure;
  }
  return kFailure;
}

// With --json, stdout is exactly one document, also on failure.
void print_json_error(const ErrorReport& report) {
  print_json({{"format", 1},
              {"error",
               {{"code", error_code(report)},
                {"message", report.message},
                {"detail", report.detail},
                {"hint", report.hint}}}});
}

int parse_and_run(CommandLine& line, int argc, char** argv) {
  CLI::App app("pitr archives PostgreSQL's WAL and brings a database back to any moment.", "pitr");
  app.set_version_flag("--version", "");
  app.require_subcommand(0, 1);
  app.footer("PostgreSQL itself calls pitr-archive and pitr-restore.");
  add_common_options(app, line);
  add_init(app, line);
  add_check(app, line);
  add_backup(app, line);
  add_restore(app, line);
  add_drill(app, line);
  add_info(app, line);
  add_history(app, line);
  add_verify(app, line);
  add_expire(app, line);
  add_keep(app, line);
  add_map(app, line);
  add_metrics(app, line);
  add_push(app, line);
  add_catalog(app, line);
  refuse_empty_values(app);
  parse(app, line, argc, argv);
  if (!line.run) {
    throw_usage("no subcommand is given", "Run: pitr --help");
  }
  set_log(parse_log_level(line.log_level), parse_log_format(line.log_format));
  const auto lock_timeout = parse_duration(line.lock_timeout);
  if (!lock_timeout) {
    throw_usage(fmt::format("invalid duration \"{}\" for --lock-timeout", line.lock_timeout),
                "Write it like \"60s\" or \"5min\".");
  }
  line.session.lock_timeout = *lock_timeout;
  return line.run();
}

bool has_argument(int argc, char** argv, std::string_view wanted) {
  return std::any_of(argv, argv + argc, [&](std::string_view text) { return text == wanted; });
}

}  // namespace

int run_command_line(int argc, char** argv) {
  umask(077);
  CommandLine line;
  return run_command(
      [&](const ErrorReport& report) {
        const bool nagios = has_argument(argc, argv, "--nagios");
        const int status = nagios ? kNagiosUnknown : status_of(report);
        try {
          if (nagios) {
            answer_nagios_unknown(report.message);
          } else if (has_argument(argc, argv, "--json")) {
            print_json_error(report);
          }
        } catch (const Error& error) {
          if (error.report().message != report.message) log_error(error.report());
        }
        return status;
      },
      [&] { return parse_and_run(line, argc, argv); });
}

}  // namespace pitr
