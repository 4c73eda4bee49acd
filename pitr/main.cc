// pitr: the operator's program.
#include "pitr/command_line.h"

int main(int argc, char** argv) { return pitr::run_command_line(argc, argv); }
