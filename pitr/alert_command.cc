#include "pitr/alert_command.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "io/file.h"

namespace pitr {

namespace {

constexpr std::size_t kMostOutput = 4096;

// In memory, not in a pipe: a command that reads nothing must not stop us.
File document_file(const std::string& document) {
  File file(memfd_create("pitr alert", MFD_CLOEXEC), "alert document");
  if (!file.is_open()) throw_file_error("create", file.path(), errno);
  file.write_at(0, as_byte_span(document));
  return file;
}

// Only calls that are safe after fork().
[[noreturn]] void become_command(const char* command, int input, int output) {
  setpgid(0, 0);
  // What is inherited as ignored or blocked would stay so in the command.
  static_cast<void>(signal(SIGPIPE, SIG_DFL));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
      dup2(output, STDERR_FILENO) < 0) {
    _exit(126);
  }
  execl("/bin/sh", "sh", "-c", command, nullptr);
  _exit(127);
}

// Keeps the beginning; the rest is read so that the command can go on. False at the end.
bool read_some(int descriptor, std::string& output) {
  std::array<char, 4096> bytes{};
  const ssize_t count = read(descriptor, bytes.data(), bytes.size());
  if (count > 0 && output.size() < kMostOutput) {
    output.append(bytes.data(),
                  std::min(static_cast<std::size_t>(count), kMostOutput - output.size()));
  }
  return count > 0;
}

std::string words_for(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was ended by signal {}", WTERMSIG(status));
  switch (WEXITSTATUS(status)) {
    case 0:
      return {};
    case 127:
      return "ended with status 127: there is no such command";
    default:
      return fmt::format("ended with status {}", WEXITSTATUS(status));
  }
}

// Until the command itself has ended: what it left in the background may hold its output open.
AlertRun attend(pid_t child, int output, std::chrono::milliseconds timeout) {
  AlertRun run;
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool is_open = true;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) {
      while (run.output.size() < kMostOutput && read_some(output, run.output))
        continue;
      run.failure = words_for(status);
      return run;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      kill(-child, SIGKILL);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      run.failure = fmt::format("took longer than {} ms", timeout.count());
      return run;
    }
    pollfd wait{.fd = is_open ? output : -1, .events = POLLIN, .revents = 0};
    constexpr int kTickMs = 20;
    if (poll(&wait, 1, kTickMs) > 0) is_open = read_some(output, run.output);
  }
}

void trim_line_ends(std::string& text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
}

}  // namespace

AlertRun run_alert_command(const std::string& command, const std::string& document,
                           std::chrono::milliseconds timeout) {
  try {
    const File input = document_file(document);
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw_file_error("create", "pipe", errno);
    const File reading(ends[0], "pipe");
    File writing(ends[1], "pipe");
    // The command's end must block as every program expects.
    if (fcntl(ends[1], F_SETFL, 0) != 0) throw_file_error("set up", "pipe", errno);
    const pid_t child = fork();
    if (child < 0) throw_file_error("start", "/bin/sh", errno);
    if (child == 0) become_command(command.c_str(), input.descriptor(), ends[1]);
    setpgid(child, child);  // whoever comes first
    writing.close();
    AlertRun run = attend(child, reading.descriptor(), timeout);
    trim_line_ends(run.output);
    return run;
  } catch (const Error& error) {
    return {.failure = fmt::format("could not be started: {}", error.what())};
  }
}

}  // namespace pitr
