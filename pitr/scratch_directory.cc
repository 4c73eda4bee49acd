#include "pitr/scratch_directory.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/restore_destination.h"
#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "common/time.h"
#include "common/units.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kPrefix = "pitr-drill.";
constexpr const char* kMark = "/pitr.drill";  // in a folder that may be removed
constexpr std::chrono::milliseconds kPause{50};

bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::vector<std::string> folders_in(const std::string& scratch) {
  std::vector<std::string> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(scratch, error)) {
    const bool is_folder = entry.is_directory(error) && !entry.is_symlink(error);
    if (is_folder && entry.path().filename().string().starts_with(kPrefix)) {
      folders.push_back(entry.path().string());
    }
  }
  return folders;
}

std::string holder(const std::string& scratch) {
  for (const std::string& folder : folders_in(scratch)) {
    std::string mark;
    if (try_read_whole_file(folder + kMark, mark)) return mark;
  }
  return "a process that has just begun";
}

// flock(2) goes with its process, however that ends.
void hold_alone(const File& directory, std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (flock(directory.descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      throw_file_error("lock", directory.path(), errno);
    }
    if (Clock::now() >= deadline) {
      throw Error({.kind = ErrorKind::kSystem,
                   .message = fmt::format("another rehearsal uses \"{}\"", directory.path()),
                   .detail = fmt::format("It is held by {}.", holder(directory.path())),
                   .hint = "Wait for it, give more time with --lock-timeout, or another --scratch.",
                   .code = "lock_timeout"});
    }
    std::this_thread::sleep_for(kPause);
  }
}

bool runs_in(pid_t pid, const std::string& directory) {
  std::error_code error;
  return fs::read_symlink(fmt::format("/proc/{}/cwd", pid), error).string() == directory;
}

// Its server ends with the rehearsal that has started it; it may need a moment.
void end_server_of(const std::string& folder) {
  std::string file;
  const std::string directory = resolve_path(folder + "/data");
  if (!try_read_whole_file(directory + "/postmaster.pid", file)) return;
  const auto pid = static_cast<pid_t>(std::strtol(file.c_str(), nullptr, 10));
  if (pid <= 0 || !runs_in(pid, directory)) return;
  kill(pid, SIGQUIT);
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  while (runs_in(pid, directory)) {
    if (Clock::now() > deadline) kill(pid, SIGKILL);
    std::this_thread::sleep_for(kPause);
  }
}

// Never follows a link: those of tablespaces go, what they lead to lies in the folder, too.
void remove_folder(const std::string& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) {
    log_warning(fmt::format("\"{}\" was not removed: {}", folder, error.message()));
  }
}

void remove_leftovers(const std::string& scratch) {
  for (const std::string& folder : folders_in(scratch)) {
    std::error_code error;
    if (!is_there(folder + kMark) && !fs::is_empty(folder, error)) continue;  // kept
    log_info(fmt::format("removing \"{}\", which a rehearsal that was killed has left", folder));
    end_server_of(folder);
    remove_folder(folder);
  }
}

std::string make_folder(const std::string& scratch) {
  std::string stamp = to_utc_text(now()).substr(0, 19);
  std::erase_if(stamp, [](char c) { return c == '-' || c == ':'; });
  // The one of this second may have been kept.
  for (int number = 0;; ++number) {
    std::string path = fmt::format("{}/{}{}Z", scratch, kPrefix, stamp);
    if (number > 0) path += fmt::format(".{}", number);
    if (mkdir(path.c_str(), 0700) == 0) return path;
    if (errno != EEXIST) throw_file_error("create directory", path, errno);
  }
}

}  // namespace

void check_scratch_space(const std::string& scratch, const std::vector<std::string>& forbidden) {
  const std::string place = resolve_path(scratch);
  for (const std::string& folder : forbidden) {
    if (folder.empty()) continue;
    const std::string resolved = resolve_path(folder);
    if (place != resolved && !place.starts_with(resolved + "/")) continue;
    throw Error(
        {.kind = ErrorKind::kUsage,
         .message = fmt::format("the scratch space \"{}\" lies inside \"{}\"", scratch, folder),
         .detail = "A rehearsal never writes there.",
         .hint = "Choose another: --scratch DIR, or drill.directory."});
  }
}

void check_free_space(const std::string& scratch, std::uint64_t needed_bytes) {
  struct statvfs space {};
  if (statvfs(scratch.c_str(), &space) != 0) throw_file_error("ask for space", scratch, errno);
  const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (free_bytes >= needed_bytes) return;
  throw Error({.kind = ErrorKind::kSystem,
               .message = fmt::format("the scratch space \"{}\" is too small", scratch),
               .detail = fmt::format("{} are needed, {} are free.", format_bytes(needed_bytes),
                                     format_bytes(free_bytes)),
               .hint = "Choose another: --scratch DIR, or drill.directory.",
               .code = "no_space"});
}

ScratchDirectory::ScratchDirectory(const std::string& scratch,
                                   std::chrono::milliseconds lock_timeout) {
  create_directories(scratch);
  lock_ = File::open(scratch, O_RDONLY | O_DIRECTORY);
  hold_alone(lock_, lock_timeout);
  remove_leftovers(scratch);
  path_ = make_folder(scratch);
  const ProcessIdentity self = ProcessIdentity::self();
  replace_file(path_ + kMark, fmt::format("process {} on {} (pitr drill)", self.pid, self.host));
}

ScratchDirectory::~ScratchDirectory() {
  if (!kept_) remove_folder(path_);
}

void ScratchDirectory::keep() {
  unlink((path_ + kMark).c_str());
  kept_ = true;
}

}  // namespace pitr
