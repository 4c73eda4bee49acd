// The operator's command line: which subcommand, with which options.
#pragma once

namespace pitr {

// Parses and runs; returns the exit status.
int run_command_line(int argc, char** argv);

}  // namespace pitr
