#include "io/file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/process.h"

namespace pitr {

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (is_open()) ::close(descriptor_);
    descriptor_ = std::exchange(other.descriptor_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

File::~File() {
  if (is_open()) ::close(descriptor_);
}

File File::open(const std::string& path, int flags, mode_t mode) {
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (descriptor < 0 && errno == EINTR);
  // Somebody has a lease on it, as an NFS server takes: that is waited for.
  if (descriptor < 0 && errno == EWOULDBLOCK && (flags & O_NONBLOCK) != 0) {
    return open(path, flags & ~O_NONBLOCK, mode);
  }
  if (descriptor < 0) {
    throw_file_error((flags & O_CREAT) != 0 ? "create file" : "open file", path, errno);
  }
  // Only the opening shall not wait, for a pipe's other end: io_uring would not wait for a disk.
  if ((flags & O_NONBLOCK) != 0) fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);
  return {descriptor, path};
}

File File::open_for_read(const std::string& path) { return open(path, O_RDONLY | O_NONBLOCK); }

File File::create(const std::string& path, mode_t mode) {
  return open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
}

std::size_t File::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pread(descriptor_, bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(offset + done));
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      throw_file_error("read file", path_, errno);
    }
  }
  return done;
}

void File::write_at(std::uint64_t offset, ByteSpan bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(offset + done));
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0) {
      throw_file_error("write file", path_, ENOSPC);
    } else if (errno != EINTR) {
      throw_file_error("write file", path_, errno);
    }
  }
}

std::uint64_t File::size() const {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) throw_file_error("read size of file", path_, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

void File::sync() const {
  int result = -1;
  do {
    result = fsync(descriptor_);
  } while (result != 0 && errno == EINTR);
  if (result != 0) throw_file_error("make durable file", path_, errno);
}

void File::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  // On Linux the descriptor is gone even after EINTR.
  if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR) {
    throw_file_error("close file", path_, errno);
  }
}

namespace {

std::string read_to_end(const File& file, std::uint64_t limit_bytes) {
  // The size of files in /proc is unknown beforehand, so the end is found by reading. Most files
  // are small, and new memory is dear: it begins with room for pg_control.
  constexpr std::size_t kFirstRead = 8192 + 1;
  std::string contents;
  while (true) {
    const std::size_t before = contents.size();
    contents.resize(std::max(kFirstRead, 2 * before));
    const std::size_t room = contents.size() - before;
    const std::size_t count =
        file.read_at(before, std::as_writable_bytes(std::span(contents).subspan(before)));
    contents.resize(before + count);
    if (contents.size() > limit_bytes) throw_file_error("read file", file.path(), EFBIG);
    if (count < room) return contents;
  }
}

}  // namespace

std::string read_whole_file(const std::string& path, std::uint64_t limit_bytes) {
  return read_to_end(File::open_for_read(path), limit_bytes);
}

bool try_read_whole_file(const std::string& path, std::string& contents) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && (errno == ENOENT || errno == ENOTDIR)) return false;
  if (descriptor < 0) throw_file_error("open file", path, errno);
  contents = read_to_end(File(descriptor, path), 64ULL << 20);
  return true;
}

void sync_directory(const std::string& path) { File::open(path, O_RDONLY | O_DIRECTORY).sync(); }

void create_directories(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) {
    sync_directory(parent_directory(path));
    return;
  }
  if (errno == EEXIST) return;
  if (errno != ENOENT) throw_file_error("create directory", path, errno);
  create_directories(parent_directory(path), mode);
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    throw_file_error("create directory", path, errno);
  }
  sync_directory(parent_directory(path));
}

void replace_file(const std::string& path, std::string_view contents, mode_t mode) {
  const std::string temporary = fmt::format("{}.tmp.{}", path, ProcessIdentity::self().to_string());
  unlink(temporary.c_str());  // of an earlier process with our number
  try {
    File file = File::create(temporary, mode);
    file.write_at(0, as_byte_span(contents));
    file.sync();
    file.close();
    if (rename(temporary.c_str(), path.c_str()) != 0) {
      throw_file_error("rename file to", path, errno);
    }
  } catch (const Error&) {
    unlink(temporary.c_str());
    throw;
  }
  sync_directory(parent_directory(path));
}

std::string parent_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace pitr
