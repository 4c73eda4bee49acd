#include "common/run_command.h"

#include <csignal>
#include <exception>
#include <new>

#include <fcntl.h>
#include <unistd.h>

#include "common/log.h"

namespace pitr {

namespace {

// A descriptor that the caller has closed would be given to the next file or socket, and what is
// meant for people would be written into it. These refuse to be written, or read, instead.
void hold_standard_descriptors() {
  for (const int wanted : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(wanted, F_GETFD) >= 0) continue;
    // The least number that is free: this one.
    static_cast<void>(open("/dev/null", wanted == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

}  // namespace

int run_command(const std::function<int(const ErrorReport&)>& status_of,
                const std::function<int()>& command) {
  hold_standard_descriptors();
  // Who reads our messages may be gone; the work goes on.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  try {
    return command();
  } catch (const Error& error) {
    log_error(error.report());
    return status_of(error.report());
  } catch (const std::bad_alloc&) {
    const ErrorReport report{.kind = ErrorKind::kSystem, .message = "out of memory"};
    log_error(report);
    return status_of(report);
  } catch (const std::exception& error) {
    const ErrorReport report{.kind = ErrorKind::kSystem,
                             .message = std::string("internal error: ") + error.what()};
    log_error(report);
    return status_of(report);
  } catch (...) {
    const ErrorReport report{.kind = ErrorKind::kSystem, .message = "internal error"};
    log_error(report);
    return status_of(report);
  }
}

}  // namespace pitr
