#include "pitr/audit_log.h"

#include <array>
#include <cerrno>
#include <exception>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <pwd.h>

#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/process.h"
#include "io/file.h"
#include "pitr/audit_reader.h"

namespace pitr {

namespace {

std::string user_name() {
  const passwd* user = getpwuid(geteuid());
  return user != nullptr ? std::string(user->pw_name) : std::to_string(geteuid());
}

// Root's file in PostgreSQL's directory could not be appended to by PostgreSQL's user.
void give_to_owner_of_directory(const File& file) {
  struct stat directory {};
  struct stat own {};
  if (geteuid() != 0 || stat(parent_directory(file.path()).c_str(), &directory) != 0) return;
  if (fstat(file.descriptor(), &own) != 0 || own.st_uid == directory.st_uid) return;
  if (fchown(file.descriptor(), directory.st_uid, directory.st_gid) != 0) {
    throw_file_error("change the owner of", file.path(), errno);
  }
}

// A line that a full disk has cut short must not take the next one with it.
bool ends_in_mid_line(const File& file) {
  const std::uint64_t size = file.size();
  std::array<std::byte, 1> last{};
  return size > 0 && file.read_at(size - 1, last) == 1 && last[0] != std::byte{'\n'};
}

// One write(2) on a file opened for appending: lines of several processes do not mix.
void append_line(const std::string& path, std::string line) {
  // Root would make a state directory that PostgreSQL's user cannot use.
  if (geteuid() != 0) create_directories(parent_directory(path));
  File file = File::open(path, O_RDWR | O_APPEND | O_CREAT, 0600);
  give_to_owner_of_directory(file);
  if (ends_in_mid_line(file)) line.insert(line.begin(), '\n');
  ssize_t written = 0;
  do {
    written = write(file.descriptor(), line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) throw_file_error("write", path, errno);
  if (static_cast<std::size_t>(written) < line.size()) throw_file_error("write", path, ENOSPC);
  file.sync();
  file.close();
}

const char* outcome_of(int status) {
  if (status == kSuccess) return "ok";
  return status == kBadFinding ? "finding" : "failed";
}

class Audit {
 public:
  Audit(const Session& session, const std::string& command)
      : session_(session), command_(command), started_at_(now()) {}

  AuditRecord& record() { return record_; }

  void note(const char* outcome, const Json& status, const Json& error) const {
    const ProcessIdentity self = ProcessIdentity::self();
    const ClusterKey& cluster = record_.cluster;
    const Json line = {
        {"format", 1},
        {"time", to_utc_text(now())},
        {"started_at", to_utc_text(started_at_)},
        {"command", command_},
        {"cluster", cluster.name.empty() ? session_.config.cluster.name : cluster.name},
        {"system_identifier", cluster.system_identifier == 0
                                  ? Json(nullptr)
                                  : Json(std::to_string(cluster.system_identifier))},
        {"host", self.host},
        {"user", user_name()},
        {"pid", self.pid},
        {"outcome", outcome},
        {"status", status},
        {"error", error},
        {"did", record_.did}};
    try {
      append_line(audit_log_path(session_.config),
                  line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    } catch (const Error& failed) {
      log_warning(fmt::format("the audit log has no line of this command: {}", failed.what()));
    }
  }

 private:
  const Session& session_;
  std::string command_;
  Instant started_at_;
  AuditRecord record_;
};

}  // namespace

int run_audited(const Session& session, const std::string& command,
                const std::function<int(AuditRecord& record)>& work) {
  Audit audit(session, command);
  try {
    const int status = work(audit.record());
    audit.note(outcome_of(status), status, nullptr);
    return status;
  } catch (const Error& error) {
    const ErrorReport& report = error.report();
    audit.note("failed", nullptr, {{"code", error_code(report)}, {"message", report.message}});
    throw;
  } catch (const std::exception& error) {
    audit.note("failed", nullptr, {{"code", "internal"}, {"message", error.what()}});
    throw;
  }
}

}  // namespace pitr
