#include "basebackup/child_process.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "io/file.h"

namespace pitr {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPause{20};

// In the new process: only what is safe after fork(2) in a program that may have threads.
[[noreturn]] void become_program(char* const* arguments, int output, int signal_with_us,
                                 pid_t parent) {
  prctl(PR_SET_PDEATHSIG, signal_with_us);
  if (getppid() != parent) _exit(127);  // died before it could have been told
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  static_cast<void>(std::signal(SIGPIPE, SIG_DFL));  // we ignore it
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execv(arguments[0], arguments);
  _exit(127);
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::string& output_path, int signal_with_us) {
  if (access(arguments.front().c_str(), X_OK) != 0) {
    throw_file_error("execute", arguments.front(), errno);
  }
  const File output = File::open(output_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  std::vector<std::string> copies = arguments;
  std::vector<char*> pointers;
  pointers.reserve(copies.size() + 1);
  for (std::string& argument : copies)
    pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw_file_error("start", arguments.front(), errno);
  if (pid_ == 0) become_program(pointers.data(), output.descriptor(), signal_with_us, parent);
  running_ = true;
}

ChildProcess::~ChildProcess() {
  if (!is_running()) return;
  send(SIGKILL);
  while (waitpid(pid_, &wait_status_, 0) < 0 && errno == EINTR) {
  }
}

bool ChildProcess::is_running() {
  if (running_) running_ = waitpid(pid_, &wait_status_, WNOHANG) == 0;
  return running_;
}

void ChildProcess::send(int signal) const {
  if (running_) kill(pid_, signal);
}

bool ChildProcess::wait_for_end(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (is_running()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

std::optional<int> run_program(const std::vector<std::string>& arguments,
                               const std::string& output_path, std::int64_t timeout_ms,
                               const Watch& watch) {
  ChildProcess child(arguments, output_path, SIGKILL);
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (child.is_running()) {
    if (Clock::now() > deadline) return std::nullopt;
    watch();
    std::this_thread::sleep_for(kPause);
  }
  return child.wait_status();
}

std::string describe_wait_status(int status) {
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

void kill_all_children() {
  // An adopted process may have children that become ours when it is gone.
  while (true) {
    std::ifstream list(fmt::format("/proc/self/task/{}/children", getpid()));
    bool any = false;
    for (pid_t child = 0; list >> child; any = true)
      kill(child, SIGKILL);
    int status = 0;
    if (!any || (waitpid(-1, &status, 0) < 0 && errno != EINTR)) return;
  }
}

}  // namespace pitr
