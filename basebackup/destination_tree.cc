#include "basebackup/destination_tree.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "wal/lsn.h"

namespace pitr {

namespace {

constexpr std::string_view kTablespaceFolder = "pg_tblspc/";

// openat2(2), or openat(2) without following a link at the end where a container forbids it; the
// path itself was checked for "..".
int open_beneath(int directory, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const long result = syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how);
  if (result >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(result);
  return openat(directory, path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

}  // namespace

DestinationTree::DestinationTree(std::string root, std::map<std::uint32_t, std::string> tablespaces,
                                 std::optional<FileOwner> owner)
    : root_(std::move(root)),
      tablespaces_(std::move(tablespaces)),
      owner_(owner),
      root_directory_(File::open(root_, O_RDONLY | O_DIRECTORY)) {
  if (flock(root_directory_.descriptor(), LOCK_EX | LOCK_NB) != 0) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = fmt::format("another restore is writing to \"{}\"", root_)});
  }
  own(root_, root_directory_.descriptor());
  // PostgreSQL starts on a directory of mode 0700 or 0750 only.
  struct stat status {};
  if (fstat(root_directory_.descriptor(), &status) != 0 ||
      ((status.st_mode & 07777) != 0750 && fchmod(root_directory_.descriptor(), 0700) != 0)) {
    throw_file_error("set the mode of", root_, errno);
  }
  for (const auto& [oid, place] : tablespaces_) {
    make_place(place);
    tablespace_directories_.emplace(oid, File::open(place, O_RDONLY | O_DIRECTORY));
  }
}

void DestinationTree::make_place(const std::string& place) const {
  struct stat status {};
  if (stat(place.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return;
  create_directories(place);
  own(place, -1);
}

void DestinationTree::own(const std::string& absolute, int descriptor) const {
  if (!owner_) return;
  const int result = descriptor >= 0 ? fchown(descriptor, owner_->user, owner_->group)
                                     : lchown(absolute.c_str(), owner_->user, owner_->group);
  if (result != 0) throw_file_error("give to its owner", absolute, errno);
}

std::pair<const File*, std::string> DestinationTree::resolve(const std::string& path) {
  if (path.starts_with(kTablespaceFolder)) {
    const std::string_view inside = std::string_view(path).substr(kTablespaceFolder.size());
    const std::string_view name = inside.substr(0, inside.find('/'));
    const auto oid = parse_number(name, 10);
    const auto found = oid && *oid <= UINT32_MAX
                           ? tablespace_directories_.find(static_cast<std::uint32_t>(*oid))
                           : tablespace_directories_.end();
    if (found != tablespace_directories_.end() && inside.size() > name.size()) {
      return {&found->second, std::string(inside.substr(name.size() + 1))};
    }
  }
  return {&root_directory_, path};
}

DestinationTree::Place DestinationTree::place_of(const std::string& path) {
  const auto [base, inside] = resolve(path);
  const std::size_t slash = inside.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : inside.substr(0, slash);
  const std::string name = slash == std::string::npos ? inside : inside.substr(slash + 1);
  if (folder.empty() || name.empty() || name == "." || name == "..") {
    throw_file_error("open", root_ + "/" + path, EXDEV);
  }
  const int descriptor = open_beneath(base->descriptor(), folder, O_RDONLY | O_DIRECTORY, 0);
  return {.folder = File(descriptor, base->path() + "/" + folder), .name = name};
}

void DestinationTree::clear_the_way(const Place& place, mode_t kind) const {
  struct stat status {};
  const int folder = place.folder.descriptor();
  if (!place.folder.is_open()) return;
  if (fstatat(folder, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  if ((status.st_mode & S_IFMT) == kind) return;
  std::error_code error;
  std::filesystem::remove_all(fmt::format("/proc/self/fd/{}/{}", folder, place.name), error);
  if (error) throw_file_error("remove", place.folder.path() + "/" + place.name, error.value());
}

void DestinationTree::make_directory(const std::string& path, std::uint32_t mode) {
  const Place place = place_of(path);
  if (!place.folder.is_open()) {
    const int error = errno;
    if (error != ENOENT || path.find('/') == std::string::npos) {
      throw_file_error("open directory", place.folder.path(), error);
    }
    make_directory(parent_directory(path), 0700);
    make_directory(path, mode);
    return;
  }
  clear_the_way(place, S_IFDIR);
  const int folder = place.folder.descriptor();
  if (mkdirat(folder, place.name.c_str(), 0700) != 0 && errno != EEXIST) {
    throw_file_error("create directory", root_ + "/" + path, errno);
  }
  const int descriptor = open_beneath(folder, place.name, O_RDONLY | O_DIRECTORY, 0);
  if (descriptor < 0) throw_file_error("open directory", root_ + "/" + path, errno);
  const File directory(descriptor, root_ + "/" + path);
  own(directory.path(), descriptor);
}

void DestinationTree::set_directory_mode(const std::string& path, std::uint32_t mode) {
  const auto [base, inside] = resolve(path);
  const File folder(open_beneath(base->descriptor(), inside, O_RDONLY | O_DIRECTORY, 0), path);
  if (!folder.is_open() || fchmod(folder.descriptor(), mode) != 0) {
    throw_file_error("set the mode of", root_ + "/" + path, errno);
  }
}

void DestinationTree::make_tablespace_link(std::uint32_t oid) {
  make_link(tablespaces_.at(oid), fmt::format("{}{}", kTablespaceFolder, oid));
}

void DestinationTree::make_wal_link(const std::string& place) {
  make_place(place);
  make_link(place, "pg_wal");
}

void DestinationTree::make_link(const std::string& target, const std::string& path) {
  if (path.find('/') != std::string::npos) make_directory(parent_directory(path), 0700);
  const Place place = place_of(path);
  if (!place.folder.is_open()) throw_file_error("create link", root_ + "/" + path, errno);
  clear_the_way(place, S_IFLNK);
  const int folder = place.folder.descriptor();
  (void)!unlinkat(folder, place.name.c_str(), 0);  // an earlier restore's
  if (symlinkat(target.c_str(), folder, place.name.c_str()) != 0) {
    throw_file_error("create link", root_ + "/" + path, errno);
  }
  own(root_ + "/" + path, -1);
}

File DestinationTree::open_file(const std::string& path) {
  clear_the_way(place_of(path), S_IFREG);
  const auto [base, inside] = resolve(path);
  const int descriptor = open_beneath(base->descriptor(), inside, O_RDWR | O_CREAT, 0600);
  if (descriptor < 0) throw_file_error("create file", root_ + "/" + path, errno);
  File file(descriptor, root_ + "/" + path);
  own(file.path(), descriptor);
  return file;
}

std::optional<File> DestinationTree::try_open_for_read(const std::string& path) {
  const auto [base, inside] = resolve(path);
  const int descriptor = open_beneath(base->descriptor(), inside, O_RDONLY | O_NONBLOCK, 0);
  if (descriptor < 0) {
    // A link in its place or on the way, a device, a socket: no regular file.
    for (const int known : {ENOENT, ENOTDIR, ELOOP, EXDEV, ENXIO}) {
      if (errno == known) return std::nullopt;
    }
    throw_file_error("open file", root_ + "/" + path, errno);
  }
  File file(descriptor, root_ + "/" + path);
  struct stat status {};
  if (fstat(descriptor, &status) != 0) throw_file_error("read", file.path(), errno);
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  return file;
}

void DestinationTree::sync_everything() const {
  const auto sync_file_system = [](const File& directory) {
    // syncfs(2) reports write errors of the whole file system since Linux 5.8.
    if (syncfs(directory.descriptor()) != 0) {
      throw_file_error("make durable", directory.path(), errno);
    }
  };
  sync_file_system(root_directory_);
  for (const auto& [oid, directory] : tablespace_directories_)
    sync_file_system(directory);
}

}  // namespace pitr
