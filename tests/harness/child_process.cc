#include "harness/child_process.h"

#include <stdexcept>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace pitr::testing {

namespace {

// fork(2) and waitpid(2) around `call`; its process' number and wait status.
struct Ended {
  pid_t process = 0;
  int status = 0;
};

Ended run_in_child(const std::function<void()>& call) {
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    // What it prints when it dies would look like a failure of the test run.
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    try {
      call();
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  Ended ended{.process = child};
  if (waitpid(child, &ended.status, 0) != child) throw std::runtime_error("cannot wait");
  return ended;
}

}  // namespace

bool returns_in_child(const std::function<void()>& call) {
  const int status = run_in_child(call).status;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::int64_t dead_process() {
  return run_in_child([] {}).process;
}

}  // namespace pitr::testing
