#include "restore_cmd/prefetch_folder.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/checksum.h"

namespace pitr {

namespace {

constexpr std::size_t kSlotSize = 64;
constexpr std::size_t kRequestSize = 32;

// Ends a record: what was torn or written by another owner is none.
void seal(ByteWriter& writer, std::uint64_t seed) { writer.put(xxh3_64(writer.bytes(), seed)); }

void put_segment(ByteWriter& writer, const SegmentName& segment) {
  writer.put(segment.timeline);
  writer.put(segment.log);
  writer.put(segment.segment);
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::uint64_t PrefetchOwner::hash() const {
  ByteWriter writer;
  for (const std::string& text : {repository_url, cluster.to_string(), server})
    writer.put_text(text);
  writer.put(segment_size);
  return xxh3_64(writer.bytes());
}

std::string server_of_data_directory() {
  // Process, data directory, start time; what follows changes while the server runs (pidfile.h).
  constexpr int kLines = 3;
  std::string text;
  if (!try_read_whole_file("postmaster.pid", text)) return {};
  std::size_t end = 0;
  for (int line = 0; line < kLines; ++line) {
    end = text.find('\n', end);
    if (end == std::string::npos) return {};
    ++end;
  }
  return text.substr(0, end);
}

PrefetchFolder::PrefetchFolder(const std::string& destination, const PrefetchOwner& owner)
    : path_(fmt::format("{}/{}", parent_directory(destination), kPrefetchFolder)),
      segment_size_(owner.segment_size),
      suffix_(fmt::format(".{}.{:016x}", owner.cluster.to_string(),
                          xxh3_64(as_byte_span(owner.repository_url)))),
      seed_(owner.hash()) {}

std::string PrefetchFolder::file_path(const SegmentName& segment) const {
  return fmt::format("{}/{}{}", path_, segment.to_string(), suffix_);
}

// The prefetcher holds one timeline's segment for each position, and fewer positions than there are
// slots.
std::uint64_t PrefetchFolder::slot_offset(const SegmentName& segment) const {
  return segment.number(segment_size_) % kMostPrefetched * kSlotSize;
}

std::vector<std::byte> PrefetchFolder::slot_of(const SegmentName& segment,
                                               const struct stat& status) const {
  ByteWriter writer;
  put_segment(writer, segment);
  writer.put(std::uint32_t{0});
  writer.put(static_cast<std::uint64_t>(status.st_size));
  writer.put(static_cast<std::uint64_t>(status.st_dev));
  writer.put(static_cast<std::uint64_t>(status.st_ino));
  writer.put(nanoseconds(status.st_mtim));
  writer.put(nanoseconds(status.st_ctim));
  seal(writer, seed_);
  return writer.take();
}

PrefetchFolder::Lock PrefetchFolder::lock(int flags) {
  const int descriptor =
      ::open(state_path().c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (descriptor < 0) {
    if (errno == ENOENT) return Lock::kNoFile;
    throw_file_error("open file", state_path(), errno);
  }
  state_ = File(descriptor, state_path());
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw_file_error("lock file", state_path(), errno);
    return Lock::kHeld;
  }
  if (is_in_place()) return Lock::kOurs;
  state_ = File();  // it went away with its prefetcher a moment ago
  return Lock::kNoFile;
}

bool PrefetchFolder::is_served() {
  const bool served = lock(0) == Lock::kHeld;
  if (!served) state_ = File();
  return served;
}

bool PrefetchFolder::take(const SegmentName& segment, const std::string& destination) {
  const std::string path = file_path(segment);
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return false;
  std::array<std::byte, kSlotSize> slot{};
  state_.read_at(slot_offset(segment), slot);
  const std::vector<std::byte> expected = slot_of(segment, status);
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != segment_size_ ||
      std::memcmp(slot.data(), expected.data(), kSlotSize) != 0) {
    // Without a slot of its own it has just got its name.
    if (std::memcmp(slot.data(), expected.data(), 3 * sizeof(std::uint32_t)) == 0) {
      log_warning(
          fmt::format("\"{}\" was changed after it was verified; it is fetched again", path));
      unlink(path.c_str());
    }
    return false;
  }
  // PostgreSQL makes the file durable itself before it relies on it (xlogarchive.c).
  if (rename(path.c_str(), destination.c_str()) != 0) return false;
  log_debug(fmt::format("WAL segment \"{}\" was fetched ahead", segment.to_string()));
  return true;
}

void PrefetchFolder::write_request(PrefetchRequest request) const {
  ByteWriter writer;
  put_segment(writer, request.segment);
  writer.put(request.recovery_timeline);
  writer.put(request.count + 1);
  seal(writer, seed_);
  File::open(request_path(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600)
      .write_at(0, writer.bytes());
}

void PrefetchFolder::note(const SegmentName& segment) {
  PrefetchRequest now = request();
  now.segment = segment;
  write_request(now);
}

void PrefetchFolder::note_recovery_timeline(TimelineId timeline) {
  PrefetchRequest now = request();
  now.recovery_timeline = std::max(now.recovery_timeline, timeline);
  write_request(now);
}

PrefetchRequest PrefetchFolder::request() const {
  const int descriptor =
      ::open(request_path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return {};
  const File file(descriptor, request_path());
  std::array<std::byte, kRequestSize> bytes{};
  const std::size_t sealed = kRequestSize - sizeof(std::uint64_t);
  if (file.read_at(0, bytes) != kRequestSize ||
      xxh3_64(ByteSpan(bytes).first(sealed), seed_) != load<std::uint64_t>(bytes, sealed)) {
    return {};
  }
  ByteReader reader(bytes);
  PrefetchRequest request;
  request.segment.timeline = reader.get<std::uint32_t>();
  request.segment.log = reader.get<std::uint32_t>();
  request.segment.segment = reader.get<std::uint32_t>();
  request.recovery_timeline = reader.get<std::uint32_t>();
  request.count = reader.get<std::uint64_t>();
  return request;
}

bool PrefetchFolder::take_over() {
  struct stat status {};
  if (mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) {
    throw_file_error("create directory", path_, errno);
  }
  if (lstat(path_.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) ||
      status.st_uid != geteuid()) {
    return false;
  }
  if (lock(O_CREAT) != Lock::kOurs) return false;
  empty();
  return true;
}

void PrefetchFolder::remove_abandoned() {
  if (lock(O_CREAT) == Lock::kOurs) remove();
  state_ = File();
}

// All but the state file, whose lock is ours: that goes last.
void PrefetchFolder::empty() const {
  if (ftruncate(state_.descriptor(), 0) != 0) throw_file_error("cut file", state_path(), errno);
  DIR* directory = opendir(path_.c_str());
  if (directory == nullptr) throw_file_error("open directory", path_, errno);
  while (const dirent* entry = readdir(directory)) {
    if (std::string_view(entry->d_name) == "state") continue;
    unlinkat(dirfd(directory), entry->d_name, 0);  // "." and ".." refuse
  }
  closedir(directory);
}

bool PrefetchFolder::is_in_place() const {
  struct stat ours {};
  struct stat there {};
  return fstat(state_.descriptor(), &ours) == 0 && lstat(state_path().c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

File PrefetchFolder::create_temporary(const SegmentName& segment) const {
  const std::string path = file_path(segment) + ".tmp";
  unlink(path.c_str());
  return File::create(path);
}

void PrefetchFolder::publish(const SegmentName& segment, File& temporary) const {
  const std::string path = file_path(segment);
  const std::array<std::byte, kSlotSize> none{};
  state_.write_at(slot_offset(segment), none);
  if (rename(temporary.path().c_str(), path.c_str()) != 0) {
    throw_file_error("rename file to", path, errno);
  }
  // The change time is that of the rename, so what is known of the file comes after its name.
  struct stat status {};
  if (fstat(temporary.descriptor(), &status) != 0) throw_file_error("read file", path, errno);
  state_.write_at(slot_offset(segment), slot_of(segment, status));
  temporary.close();
}

void PrefetchFolder::withdraw(const SegmentName& segment) const {
  unlink(file_path(segment).c_str());
}

void PrefetchFolder::remove() {
  if (!is_in_place()) return;
  empty();
  unlink(state_path().c_str());
  rmdir(path_.c_str());
}

}  // namespace pitr
