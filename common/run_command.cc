#include "common/run_command.h"

#include <exception>
#include <new>

#include "common/log.h"

namespace pitr {

int run_command(const std::function<int(const ErrorReport&)>& status_of,
                const std::function<int()>& command) {
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
