#include "storage/posix_storage.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <deque>
#include <optional>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/process.h"
#include "io/file.h"
#include "io/page_cache.h"
#include "io/uring.h"

namespace pitr {

namespace {

constexpr std::string_view kMarkerText = "pitr repository, format 1\n";

// Files that are being written: `.tmp.<process>.<number>` beside their final name. Keys never begin
// with a dot, so no listing takes them for stored ones.
constexpr std::string_view kTemporaryPrefix = ".tmp.";

void check_marker(const std::string& root) {
  std::string text;
  const std::string path = root + "/" + kRepositoryMarker;
  if (!try_read_whole_file(path, text)) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = fmt::format("there is no repository at \"{}\"", root),
                 .detail = fmt::format("The file \"{}\" is missing.", kRepositoryMarker),
                 .hint = "Mount its volume, or create the repository with: pitr init"});
  }
  if (text != kMarkerText) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = fmt::format("the repository at \"{}\" is of an unknown format", root),
                 .detail = fmt::format("\"{}\" holds \"{}\".", path, text.substr(0, 80))});
  }
}

class Directory {
 public:
  explicit Directory(const std::string& path) : path_(path), stream_(opendir(path.c_str())) {
    if (stream_ == nullptr && errno != ENOENT && errno != ENOTDIR)
      throw_file_error("open directory", path, errno);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  Directory(Directory&&) = delete;
  Directory& operator=(Directory&&) = delete;
  ~Directory() {
    if (stream_ != nullptr) closedir(stream_);
  }

  bool exists() const { return stream_ != nullptr; }

  // The next entry but "." and ".."; null at the end.
  const dirent* next() {
    while (true) {
      errno = 0;
      const dirent* entry = readdir(stream_);
      if (entry == nullptr && errno != 0) throw_file_error("read directory", path_, errno);
      if (entry == nullptr) return nullptr;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") return entry;
    }
  }

 private:
  std::string path_;
  DIR* stream_;
};

bool is_directory(const std::string& path, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  // A folder taken for a file would hide all that is stored in it.
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) return S_ISDIR(status.st_mode);
  if (errno != ENOENT) throw_file_error("read", path, errno);
  return false;
}

class PosixSource : public ByteSource {
 public:
  explicit PosixSource(File file) : file_(std::move(file)), size_(file_.size()) {}

  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> bytes) const override {
    if (file_.read_at(offset, bytes) == bytes.size()) return;
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("stored file \"{}\" is damaged", name()),
                 .detail = "It ends before its time."});
  }

  const std::string& name() const override { return file_.path(); }

 private:
  File file_;
  std::uint64_t size_;
};

// Writes in the ring while the caller goes on; see Storage for what commit() promises.
class PosixDestination : public Destination {
 public:
  PosixDestination(std::string root, std::string path, RingMode ring)
      : root_(std::move(root)), path_(std::move(path)), ring_(ring) {
    static std::atomic<unsigned> count{0};
    create_directories(parent_directory(path_));
    temporary_ = fmt::format("{}/{}{}.{}", parent_directory(path_), kTemporaryPrefix,
                             ProcessIdentity::self().to_string(), count++);
    unlink(temporary_.c_str());  // of an earlier process with our number
    file_ = File::create(temporary_);
  }
  PosixDestination(const PosixDestination&) = delete;
  PosixDestination& operator=(const PosixDestination&) = delete;
  PosixDestination(PosixDestination&&) = delete;
  PosixDestination& operator=(PosixDestination&&) = delete;

  ~PosixDestination() override {
    for (const auto& write : writes_)
      ring_.wait(write->operation);
    if (is_syncing_) ring_.wait(sync_);
    if (file_.is_open()) unlink(temporary_.c_str());
  }

  void append(Buffer buffer) override {
    while (writes_.size() >= kMostBuffersHeld)
      wait_for_oldest();
    auto write = std::make_unique<Write>();
    write->buffer = std::move(buffer);
    write->operation = {.kind = RingOperation::Kind::kWrite,
                        .descriptor = file_.descriptor(),
                        .data = write->buffer.data(),
                        .length = write->buffer.size(),
                        .offset = size_};
    size_ += write->buffer.size();
    ring_.start(write->operation);
    writes_.push_back(std::move(write));
  }

  void hold_back() override { held_back_ = true; }

  void begin_commit() override {
    while (!writes_.empty())
      wait_for_oldest();
    sync_ = {.kind = RingOperation::Kind::kSync, .descriptor = file_.descriptor()};
    ring_.start(sync_);
    is_syncing_ = true;
  }

  bool commit() override {
    if (!publish()) return false;
    settle();
    return true;
  }

  void wait_until_durable() override {
    if (!is_syncing_) begin_commit();
    ring_.wait(sync_);
    if (sync_.error != 0) throw_file_error("make durable file", temporary_, sync_.error);
  }

  bool publish() override {
    wait_until_durable();
    const std::string directory = parent_directory(path_);
    if (!holds_stored_files(directory)) sync_directories_above(directory);
    return rename_exclusively();
  }

  // The name is there; until its directory is durable a crash may take it away again.
  void settle() override { sync_directory(parent_directory(path_)); }

 private:
  struct Write {
    Buffer buffer;
    RingOperation operation;
  };

  void wait_for_oldest() {
    const std::unique_ptr<Write> write = std::move(writes_.front());
    writes_.pop_front();
    ring_.wait(write->operation);
    if (write->operation.error != 0) {
      throw_file_error("write file", temporary_, write->operation.error);
    }
    written_ += write->operation.length;
    start_writeback();
  }

  // So that the disk works while the processors compress, and commit() has less to wait for. Only a
  // hint: what comes of it the sync finds out.
  void start_writeback() {
    constexpr std::uint64_t kPiece = 1ULL << 20;
    if (held_back_ || written_ - handed_on_ < kPiece) return;
    sync_file_range(file_.descriptor(), static_cast<off_t>(handed_on_),
                    static_cast<off_t>(written_ - handed_on_), SYNC_FILE_RANGE_WRITE);
    handed_on_ = written_;
  }

  bool rename_exclusively() {
    int result = renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE);
    if (result != 0 && (errno == EINVAL || errno == ENOSYS)) {
      // A file system without RENAME_NOREPLACE (NFS): a hard link is as exclusive.
      result = link(temporary_.c_str(), path_.c_str());
      if (result == 0) unlink(temporary_.c_str());
    }
    if (result != 0 && errno == EEXIST) return false;
    if (result != 0) throw_file_error("rename file to", path_, errno);
    file_.close();
    return true;
  }

  // The directories on the way may have been made a moment ago, by us or by a process that died
  // before it made them durable. Whoever stores the first file in a directory syncs them all before
  // its name appears; so a directory that holds a stored file is known to be durable itself.
  static bool holds_stored_files(const std::string& directory) {
    Directory entries(directory);
    while (const dirent* entry = entries.next()) {
      if (entry->d_name[0] != '.' && !is_directory(directory + "/" + entry->d_name, *entry)) {
        return true;
      }
    }
    return false;
  }

  void sync_directories_above(std::string directory) const {
    while (directory.size() > root_.size()) {
      directory = parent_directory(directory);
      sync_directory(directory);
    }
  }

  std::string root_;
  std::string path_;
  std::string temporary_;
  File file_;
  std::uint64_t size_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t handed_on_ = 0;  // to the disk
  RingOperation sync_;
  bool is_syncing_ = false;
  bool held_back_ = false;
  Ring ring_;
  std::deque<std::unique_ptr<Write>> writes_;
};

// The disk is waited for once, not for each.
void sync_together(const std::vector<File>& files, RingMode mode) {
  std::vector<RingOperation> syncs(files.size());  // must stay where they are while the ring lives
  Ring ring(mode);
  for (std::size_t i = 0; i < files.size(); ++i) {
    syncs[i] = {.kind = RingOperation::Kind::kSync, .descriptor = files[i].descriptor()};
    ring.start(syncs[i]);
  }
  for (RingOperation& sync : syncs)
    ring.wait(sync);
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (syncs[i].error != 0) throw_file_error("make durable file", files[i].path(), syncs[i].error);
  }
}

class PosixStorage : public Storage {
 public:
  PosixStorage(std::string root, RingMode ring)
      : root_(std::move(root)), ring_(ring), properties_{.url = "file://" + root_} {}

  const StorageProperties& properties() const override { return properties_; }

  std::unique_ptr<ByteSource> open(const std::string& key) override {
    const std::string path = path_of(key);
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor >= 0) {
      File file(descriptor, path);
      struct stat status {};
      if (fstat(descriptor, &status) != 0) throw_file_error("open file", path, errno);
      // A folder where a file should be is no certain absence.
      if (S_ISDIR(status.st_mode)) throw_file_error("open file", path, EISDIR);
      return std::make_unique<PosixSource>(std::move(file));
    }
    if (errno != ENOENT) throw_file_error("open file", path, errno);
    check_marker(root_);  // absent is an answer only while the repository itself is there
    return nullptr;
  }

  std::unique_ptr<Destination> create(const std::string& key) override {
    check_marker(root_);  // or the files would go below a mount point whose volume is missing
    return std::make_unique<PosixDestination>(root_, path_of(key), ring_);
  }

  void list(const std::string& folder, const std::string& after, const Visitor& visitor) override {
    check_key(folder);
    list_below(folder, after, visitor);
    check_marker(root_);
  }

  std::vector<std::string> list_folders(const std::string& folder) override {
    check_key(folder);
    std::vector<std::string> names;
    const std::string path = root_ + "/" + folder;
    Directory directory(path);
    while (directory.exists()) {
      const dirent* entry = directory.next();
      if (entry == nullptr) break;
      if (entry->d_name[0] == '.') continue;
      if (is_directory(path + "/" + entry->d_name, *entry)) names.emplace_back(entry->d_name);
    }
    check_marker(root_);
    std::sort(names.begin(), names.end());
    return names;
  }

  // A directory's modification time changes with its entries, in steps of the kernel's clock: what
  // changed a moment ago may change again without a trace.
  std::optional<std::string> stamp(const std::string& folder) override {
    constexpr std::int64_t kSettledAfterSeconds = 2;
    struct stat status {};
    if (stat(path_of(folder).c_str(), &status) != 0) return std::nullopt;
    if (std::time(nullptr) - status.st_mtim.tv_sec < kSettledAfterSeconds) return std::nullopt;
    return fmt::format("{}.{:09}.{}.{}", status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                       status.st_ino, status.st_dev);
  }

  void make_durable(const std::string& key) override {
    std::vector<File> files;
    files.push_back(File::open_for_read(path_of(key)));
    for (std::string directory = parent_directory(files.front().path());
         directory.size() >= root_.size(); directory = parent_directory(directory)) {
      files.push_back(File::open(directory, O_RDONLY | O_DIRECTORY));
    }
    sync_together(files, ring_);
  }

  void forget_cached(const std::string& key) override {
    const std::string path = path_of(key);
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor >= 0) pitr::forget_cached(File(descriptor, path));
  }

  bool remove(const std::string& key) override {
    const std::string path = path_of(key);
    if (unlink(path.c_str()) == 0) {
      sync_directory(parent_directory(path));
      // Folders that became empty go too; rmdir refuses the others.
      for (std::string directory = parent_directory(path);
           directory.size() > root_.size() && rmdir(directory.c_str()) == 0;
           directory = parent_directory(directory)) {
      }
      return true;
    }
    if (errno != ENOENT) throw_file_error("remove file", path, errno);
    check_marker(root_);
    return false;
  }

  std::size_t remove_abandoned(const std::string& folder) override {
    check_key(folder);
    const std::size_t removed = remove_abandoned_below(root_ + "/" + folder);
    check_marker(root_);
    return removed;
  }

 private:
  std::string path_of(const std::string& key) const {
    check_key(key);
    return root_ + "/" + key;
  }

  // False when the visitor wants no more. `after` is relative to the repository, like the keys.
  bool list_below(const std::string& folder, const std::string& after, const Visitor& visitor) {
    struct Entry {
      std::string name;
      bool is_folder;
    };
    std::vector<Entry> entries;
    const std::string path = root_ + "/" + folder;
    Directory directory(path);
    if (!directory.exists()) return true;
    while (const dirent* entry = directory.next()) {
      if (entry->d_name[0] == '.') continue;
      const std::string key = folder + "/" + entry->d_name;
      const bool is_folder = is_directory(root_ + "/" + key, *entry);
      const bool wanted =
          key_less(after, key) || (is_folder && (after == key || after.starts_with(key + "/")));
      if (wanted) entries.push_back({entry->d_name, is_folder});
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    for (const Entry& entry : entries) {
      const std::string key = folder + "/" + entry.name;
      const std::string& inside = after.starts_with(key + "/") ? after : nothing;
      if (!(entry.is_folder ? list_below(key, inside, visitor) : visitor(key))) return false;
    }
    return true;
  }

  std::size_t remove_abandoned_below(const std::string& path) {
    std::size_t removed = 0;
    Directory directory(path);
    if (!directory.exists()) return 0;
    while (const dirent* entry = directory.next()) {
      const std::string_view name = entry->d_name;
      const std::string inside = path + "/" + entry->d_name;
      if (is_directory(inside, *entry)) {
        removed += remove_abandoned_below(inside);
      } else if (name.starts_with(kTemporaryPrefix)) {
        std::string_view owner = name.substr(kTemporaryPrefix.size());
        owner = owner.substr(0, owner.rfind('.'));
        const auto process = ProcessIdentity::parse(owner);
        if (process && process->is_dead() && unlink(inside.c_str()) == 0) ++removed;
      }
    }
    return removed;
  }

  inline static const std::string nothing;

  std::string root_;
  RingMode ring_;
  StorageProperties properties_;
};

}  // namespace

std::unique_ptr<Storage> open_posix_storage(const std::string& root, RingMode ring) {
  check_marker(root);
  return std::make_unique<PosixStorage>(root, ring);
}

void create_posix_repository(const std::string& root) {
  create_directories(root);
  const std::string path = root + "/" + kRepositoryMarker;
  std::string text;
  if (try_read_whole_file(path, text)) {
    check_marker(root);
    return;
  }
  Directory entries(root);
  if (!entries.exists()) throw_file_error("open directory", root, ENOTDIR);
  while (const dirent* entry = entries.next()) {
    const std::string_view name = entry->d_name;
    if (name == "lost+found" || name.starts_with(kRepositoryMarker)) continue;
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("directory \"{}\" is not empty and not a repository", root),
                 .detail = fmt::format("It holds \"{}\".", name),
                 .hint = "Choose an empty directory for the repository."});
  }
  replace_file(path, kMarkerText);
}

}  // namespace pitr
