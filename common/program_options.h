// The handful of options that pitr-archive and pitr-restore take. They start once per WAL segment,
// so getopt_long(3) reads them; `pitr` itself has a parser with subcommands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/log.h"

namespace pitr {

struct ProgramOptions {
  std::string config_path;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  std::string cluster;   // empty: the configured one
  bool rescued = false;  // pitr-archive: PATH comes from a lost server, not from the data directory
  bool help = false;
  bool version = false;
  std::vector<std::string> arguments;
};

// Throws kUsage, with the nearest known option, for what it does not know.
ProgramOptions parse_program_options(int argc, char** argv);

LogLevel parse_log_level(std::string_view text);    // throws kUsage
LogFormat parse_log_format(std::string_view text);  // throws kUsage

// `pitr-archive (pitr) 0.1.0`
std::string version_text(std::string_view program);

}  // namespace pitr
