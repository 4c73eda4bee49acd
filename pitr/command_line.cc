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
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/nearest.h"
#include "common/program_options.h"
#include "common/run_command.h"
#include "common/units.h"
#include "pitr/init.h"
#include "pitr/session.h"

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

constexpr std::array<std::string_view, 8> kLaterSubcommands = {
    "verify", "expire", "keep", "drill", "metrics", "history", "map", "alert"};

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
    for (const std::string_view later : kLaterSubcommands) {
      if (name == later) {
        throw_usage(fmt::format("pitr {}: not available in this version", name), "",
                    "not_available");
      }
    }
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
  const nlohmann::ordered_json document = {{"format", 1},
                                           {"error",
                                            {{"code", error_code(report)},
                                             {"message", report.message},
                                             {"detail", report.detail},
                                             {"hint", report.hint}}}};
  print_output(document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
               "\n");
}

int parse_and_run(CommandLine& line, int argc, char** argv) {
  CLI::App app("pitr archives PostgreSQL's WAL and brings a database back to any moment.", "pitr");
  app.set_version_flag("--version", "");
  app.require_subcommand(0, 1);
  app.footer("PostgreSQL itself calls pitr-archive and pitr-restore.");
  add_common_options(app, line);
  add_init(app, line);
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

bool asks_for_json(int argc, char** argv) {
  return std::any_of(argv, argv + argc, [](std::string_view text) { return text == "--json"; });
}

}  // namespace

int run_command_line(int argc, char** argv) {
  umask(077);
  CommandLine line;
  return run_command(
      [&](const ErrorReport& report) {
        if (asks_for_json(argc, argv)) print_json_error(report);
        return status_of(report);
      },
      [&] { return parse_and_run(line, argc, argv); });
}

}  // namespace pitr
