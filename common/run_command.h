// The only catch of a program: turns an exception into a message on stderr and an exit status.
#pragma once

#include <functional>

#include "common/error.h"

namespace pitr {

// Runs `command` and returns its status. An Error, or any other exception, is printed like
// PostgreSQL prints its own (ERROR, DETAIL, HINT) and becomes `status_of(report)`, which throws
// nothing. SIGPIPE is ignored from here on, and standard descriptors that are closed are held.
int run_command(const std::function<int(const ErrorReport&)>& status_of,
                const std::function<int()>& command);

}  // namespace pitr
