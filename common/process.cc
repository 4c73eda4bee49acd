#include "common/process.h"

#include <array>
#include <cerrno>
#include <charconv>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

namespace pitr {

namespace {

template <typename Number>
bool parse_whole(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

ProcessIdentity ProcessIdentity::self() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  struct stat status {};
  const bool known = stat("/proc/self/ns/pid", &status) == 0;
  return {.host = host[0] == '\0' ? "localhost" : host.data(),
          .pid_namespace = known ? status.st_ino : 0,
          .pid = getpid()};
}

std::string ProcessIdentity::to_string() const {
  return fmt::format("{}.{}.{}", host, pid_namespace, pid);
}

std::optional<ProcessIdentity> ProcessIdentity::parse(std::string_view text) {
  const std::size_t pid_dot = text.rfind('.');
  if (pid_dot == std::string_view::npos || pid_dot == 0) return std::nullopt;
  const std::size_t namespace_dot = text.rfind('.', pid_dot - 1);
  if (namespace_dot == std::string_view::npos) return std::nullopt;
  ProcessIdentity identity{.host = std::string(text.substr(0, namespace_dot))};
  if (!parse_whole(text.substr(namespace_dot + 1, pid_dot - namespace_dot - 1),
                   identity.pid_namespace) ||
      !parse_whole(text.substr(pid_dot + 1), identity.pid) || identity.pid <= 0) {
    return std::nullopt;
  }
  return identity;
}

bool ProcessIdentity::is_dead() const {
  const ProcessIdentity own = self();
  if (host != own.host || pid_namespace != own.pid_namespace) return false;
  return kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH;
}

}  // namespace pitr
