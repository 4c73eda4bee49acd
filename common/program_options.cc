#include "common/program_options.h"

#include <array>

#include <fmt/format.h>
#include <getopt.h>

#include "common/error.h"
#include "common/nearest.h"

namespace pitr {

namespace {

constexpr std::array<std::string_view, 7> kNames = {
    "--config", "--cluster", "--rescued", "--log-level", "--log-format", "--help", "--version"};

[[noreturn]] void throw_bad_option(const char* argument) {
  const std::string text = argument ? argument : "";
  const std::string name = text.substr(0, text.find('='));
  for (const std::string_view known : kNames) {
    if (name == known) {
      throw Error({.kind = ErrorKind::kUsage,
                   .message = fmt::format("option \"{}\" has a missing or needless value", name)});
    }
  }
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("unknown option \"{}\"", name),
               .hint = suggest_nearest(name, kNames)});
}

}  // namespace

ProgramOptions parse_program_options(int argc, char** argv) {
  const std::array<option, 8> known = {{
      {"config", required_argument, nullptr, 'c'},
      {"cluster", required_argument, nullptr, 'n'},
      {"log-level", required_argument, nullptr, 'l'},
      {"log-format", required_argument, nullptr, 'f'},
      {"rescued", no_argument, nullptr, 'r'},
      {"help", no_argument, nullptr, 'h'},
      {"version", no_argument, nullptr, 'V'},
      {nullptr, 0, nullptr, 0},
  }};
  ProgramOptions options;
  opterr = 0;
  optind = 0;  // glibc: begin anew, whatever an earlier call left (getopt(3))
  while (true) {
    const int option = getopt_long(argc, argv, "", known.data(), nullptr);
    if (option == -1) break;
    switch (option) {
      case 'c':
        options.config_path = optarg;
        break;
      case 'n':
        options.cluster = optarg;
        break;
      case 'l':
        options.log_level = parse_log_level(optarg);
        break;
      case 'f':
        options.log_format = parse_log_format(optarg);
        break;
      case 'r':
        options.rescued = true;
        break;
      case 'h':
        options.help = true;
        break;
      case 'V':
        options.version = true;
        break;
      default:
        throw_bad_option(argv[optind - 1]);
    }
  }
  options.arguments.assign(argv + optind, argv + argc);
  return options;
}

LogLevel parse_log_level(std::string_view text) {
  if (text == "error") return LogLevel::kError;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "info") return LogLevel::kInfo;
  if (text == "debug") return LogLevel::kDebug;
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("invalid log level \"{}\"", text),
               .hint = "Known levels are error, warning, info and debug."});
}

LogFormat parse_log_format(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("invalid log format \"{}\"", text),
               .hint = "Known formats are text and json."});
}

std::string version_text(std::string_view program) {
  return fmt::format("{} (pitr) {}", program, PITR_VERSION);
}

}  // namespace pitr
