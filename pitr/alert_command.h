// Runs [alert] command.
#pragma once

#include <chrono>
#include <string>

namespace pitr {

struct AlertRun {
  std::string failure;  // what became of it: "ended with status 3"; empty: it ended with 0
  std::string output;   // the beginning of what it printed
};

// Gives the command to /bin/sh, with `document` on its standard input. A command that takes longer
// than `timeout` is killed, with all that it has started in its process group. Never throws for
// what the command does.
AlertRun run_alert_command(const std::string& command, const std::string& document,
                           std::chrono::milliseconds timeout);

}  // namespace pitr
