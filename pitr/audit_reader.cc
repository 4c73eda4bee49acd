#include "pitr/audit_reader.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/error.h"
#include "io/file.h"

namespace pitr {

namespace {

std::string text_of(const Json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::optional<AuditEntry> parse_audit_line(std::string_view line) {
  const Json json = Json::parse(line.begin(), line.end(), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto ended_at = time_in(json, "time");
  AuditEntry entry{.started_at = time_in(json, "started_at"),
                   .command = text_of(json, "command"),
                   .cluster = text_of(json, "cluster"),
                   .system_identifier = parse_number(text_of(json, "system_identifier"), 10),
                   .outcome = text_of(json, "outcome")};
  if (!ended_at || entry.command.empty() || entry.outcome.empty()) return std::nullopt;
  entry.ended_at = *ended_at;
  const auto did = json.find("did");
  if (did != json.end() && did->is_object()) entry.did = *did;
  return entry;
}

std::vector<AuditEntry> read_audit_tail(const std::string& path, std::uint64_t limit_bytes) {
  std::vector<AuditEntry> entries;
  if (access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return entries;
  const File file = File::open(path, O_RDONLY | O_NONBLOCK);  // a pipe is not waited for
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) throw_file_error("read", path, errno);
  if (!S_ISREG(status.st_mode)) throw_file_error("read", path, EINVAL);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  std::string tail(std::min(size, limit_bytes), '\0');
  const auto bytes = std::as_writable_bytes(std::span(tail.data(), tail.size()));
  tail.resize(file.read_at(size - tail.size(), bytes));
  std::string_view rest = tail;
  while (!rest.empty()) {
    const std::size_t length = std::min(rest.find('\n'), rest.size());
    if (auto entry = parse_audit_line(rest.substr(0, length))) entries.push_back(std::move(*entry));
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return entries;
}

std::string audit_log_path(const Config& config) {
  return config.audit.file.empty() ? config.state.directory + "/audit.log" : config.audit.file;
}

}  // namespace pitr
