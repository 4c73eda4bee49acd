#include "common/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

namespace pitr {

namespace {

template <typename Number>
bool parse_whole(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

struct ProcessState {
  char state = '?';           // 'Z': it ended, and its parent did not ask for its status yet
  std::uint64_t started = 0;  // clock ticks since boot; 0: unknown
};

// Fields 3 and 22 of /proc/<pid>/stat (proc(5)); the second one, in parentheses, may hold blanks.
ProcessState state_of(std::int64_t pid) {
  const int descriptor = open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  std::array<char, 1024> buffer{};
  const ssize_t length = read(descriptor, buffer.data(), buffer.size());
  close(descriptor);
  std::string_view text(buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  text.remove_prefix(std::min(text.size(), text.rfind(')') + 1));
  ProcessState found;
  if (text.size() > 1) found.state = text[1];
  constexpr int kBlanksBefore = 22 - 2;  // behind the second field
  for (int i = 0; i < kBlanksBefore; ++i)
    text.remove_prefix(std::min(text.size(), text.find(' ') + 1));
  if (!parse_whole(text.substr(0, text.find(' ')), found.started)) found.started = 0;
  return found;
}

// The first eight digits: enough to tell machines apart, and not the identifier itself, which is
// not for others (machine-id(5)).
std::string machine_here() {
  for (const char* path : {"/etc/machine-id", "/proc/sys/kernel/random/boot_id"}) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) continue;
    std::array<char, 8> digits{};
    const ssize_t length = read(descriptor, digits.data(), digits.size());
    close(descriptor);
    std::string text(digits.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    if (text.size() == digits.size() &&
        text.find_first_not_of("0123456789abcdef") == std::string::npos) {
      return text;
    }
  }
  return {};
}

}  // namespace

ProcessIdentity ProcessIdentity::self() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  struct stat status {};
  const bool known = stat("/proc/self/ns/pid", &status) == 0;
  return {.host = host[0] == '\0' ? "localhost" : host.data(),
          .pid_namespace = known ? status.st_ino : 0,
          .pid = getpid(),
          .started = state_of(getpid()).started,
          .machine = machine_here()};
}

std::string ProcessIdentity::to_string() const {
  std::string text = fmt::format("{}.{}.{}", host, pid_namespace, pid);
  if (started != 0 || !machine.empty()) text += fmt::format("-{}", started);
  if (!machine.empty()) text += fmt::format("-{}", machine);
  return text;
}

std::optional<ProcessIdentity> ProcessIdentity::parse(std::string_view text) {
  const std::size_t pid_dot = text.rfind('.');
  if (pid_dot == std::string_view::npos || pid_dot == 0) return std::nullopt;
  const std::size_t namespace_dot = text.rfind('.', pid_dot - 1);
  if (namespace_dot == std::string_view::npos) return std::nullopt;
  ProcessIdentity identity{.host = std::string(text.substr(0, namespace_dot))};
  std::string_view pid = text.substr(pid_dot + 1);
  const std::size_t dash = pid.find('-');
  if (dash != std::string_view::npos) {
    std::string_view rest = pid.substr(dash + 1);
    const std::size_t second_dash = rest.find('-');
    if (second_dash != std::string_view::npos) {
      identity.machine = rest.substr(second_dash + 1);
      rest = rest.substr(0, second_dash);
    }
    if (!parse_whole(rest, identity.started)) return std::nullopt;
    pid = pid.substr(0, dash);
  }
  if (!parse_whole(text.substr(namespace_dot + 1, pid_dot - namespace_dot - 1),
                   identity.pid_namespace) ||
      !parse_whole(pid, identity.pid) || identity.pid <= 0) {
    return std::nullopt;
  }
  return identity;
}

bool ProcessIdentity::is_of_this_host() const {
  const ProcessIdentity own = self();
  return host == own.host && pid_namespace == own.pid_namespace && machine == own.machine;
}

bool ProcessIdentity::is_dead() const {
  if (!is_of_this_host() || pid <= 0) return false;
  if (kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return true;
  const ProcessState now_there = state_of(pid);
  if (now_there.state == 'Z') return true;
  return started != 0 && now_there.started != 0 && now_there.started != started;
}

void lower_priority() {
  constexpr int kNice = 10;
  setpriority(PRIO_PROCESS, 0, kNice);
  // The last of the ordinary ones. The idle class could wait for ever, with the server in backup
  // mode.
  // ioprio_set(2): the class from bit 13 on, best effort being 2, and the level below. Not from
  // <linux/ioprio.h>, which since Debian's 6.1.192 names a parameter "class".
  constexpr int kProcess = 1;
  constexpr int kLast = (2 << 13) | 7;
  syscall(SYS_ioprio_set, kProcess, 0, kLast);
}

}  // namespace pitr
