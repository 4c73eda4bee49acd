// A disk that can lose its power, for the test power_cut.sh.
//
// A real disk keeps what is written to it in a cache that forgets. Only a flush makes it last; what
// was not flushed when the power goes is there afterwards or is not: newer writes without older
// ones, and of one write some sectors without the others. Killing a program shows nothing of that,
// because the kernel keeps what the program wrote. So this is a file system with two files:
//
//     disk      the disk's contents: a loop device on it is the disk
//     control   takes commands: "cut SEED" cuts the power, "cut SEED COUNT" does so when so many
//               more sectors have been written, which may be in the middle of a write
//
// A write to `disk` goes to a cache in memory, by sectors. fsync, which a loop device calls for
// each flush, writes the cache to the backing file. A cut lets some of the cached sectors into the
// backing file, chosen by SEED, and forgets the others. From then on every request fails, as on a
// disk without power, until the file system is unmounted. The backing file is then what a machine
// finds when it comes up again.
//
// One thread: requests are answered one after the other, in the order in which they arrive.
#define FUSE_USE_VERSION 31

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fuse.h>

namespace pitr {

namespace {

constexpr std::size_t kSectorBytes = 512;

// A cache that is full is written by the disk itself, so memory is bounded.
constexpr std::size_t kMostCachedSectors = (std::size_t{64} << 20) / kSectorBytes;

using Sector = std::array<char, kSectorBytes>;

// Every function returns 0 or a negative errno, as FUSE wants it.
class VolatileDisk {
 public:
  VolatileDisk(int backing_file, std::uint64_t size) : backing_file_(backing_file), size_(size) {}

  std::uint64_t size() const { return size_; }

  int read(std::uint64_t offset, std::span<char> bytes) const {
    if (is_cut_) return -EIO;
    if (const int error = read_backing_file(offset, bytes)) return error;
    const std::uint64_t end = offset + bytes.size();
    for (auto sector = cache_.lower_bound(offset / kSectorBytes);
         sector != cache_.end() && sector->first * kSectorBytes < end; ++sector) {
      // A reader may begin or end within a sector.
      const std::uint64_t start = sector->first * kSectorBytes;
      const std::uint64_t from = std::max(start, offset);
      const std::uint64_t to = std::min(start + kSectorBytes, end);
      std::memcpy(bytes.data() + (from - offset),
                  sector->second.back().bytes.data() + (from - start), to - from);
    }
    return 0;
  }

  int write(std::uint64_t offset, std::span<const char> bytes) {
    if (is_cut_) return -EIO;
    if (offset % kSectorBytes != 0 || bytes.size() % kSectorBytes != 0) return -EINVAL;
    if (offset + bytes.size() > size_) return -ENOSPC;
    for (std::size_t done = 0; done < bytes.size(); done += kSectorBytes) {
      if (planned_cut_ && planned_cut_->at <= arrivals_) {
        cut(planned_cut_->seed);
        return -EIO;
      }
      Version version{.arrival = arrivals_++, .bytes = {}};
      std::memcpy(version.bytes.data(), bytes.data() + done, kSectorBytes);
      cache_[(offset + done) / kSectorBytes].push_back(version);
      ++cached_;
    }
    return cached_ > kMostCachedSectors ? flush() : 0;
  }

  // Beyond its return everything written before survives a cut.
  int flush() {
    if (is_cut_) return -EIO;
    for (const auto& [sector, versions] : cache_) {
      if (const int error = write_backing_file(sector, versions.back().bytes)) return error;
    }
    forget_cache();
    return 0;
  }

  // Cuts the power when `count` more sectors have been written.
  int cut_after(std::uint64_t count, std::uint64_t seed) {
    if (is_cut_) return -EIO;
    planned_cut_ = {.at = arrivals_ + count, .seed = seed};
    return 0;
  }

  int cut(std::uint64_t seed) {
    if (is_cut_) return -EIO;
    is_cut_ = true;
    const std::size_t unflushed = cache_.size();
    std::size_t survived = 0;
    Survival survival(seed, arrivals_ - cached_, arrivals_);
    for (const auto& [sector, versions] : cache_) {
      const Sector* bytes = survival.choose(versions);
      if (bytes == nullptr) continue;
      if (const int error = write_backing_file(sector, *bytes)) return error;
      ++survived;
    }
    forget_cache();
    std::cout << "cut " << seed << ": " << unflushed << " sectors were not flushed, " << survived
              << " of them survive" << std::endl;
    return 0;
  }

 private:
  struct PlannedCut {
    std::uint64_t at;  // as arrivals are counted
    std::uint64_t seed;
  };

  // What one write left in one sector.
  struct Version {
    std::uint64_t arrival;  // counts the sectors that were written, of all writes
    Sector bytes;
  };

  // Which of a sector's versions a cut leaves; the same for the same seed and the same writes.
  class Survival {
   public:
    // The cache holds the arrivals from `first` to before `end`.
    Survival(std::uint64_t seed, std::uint64_t first, std::uint64_t end) : random_(seed) {
      switch (random_() % 4) {
        case 0:
          survivors_per_million_ = 0;
          break;
        case 1:  // all that arrived before some moment, which may be in the middle of a write
          arrived_before_ = first + random_() % (end - first + 1);
          break;
        default:  // each sector by itself
          survivors_per_million_ = random_() % kMillion;
      }
    }

    // Null: the sector is what it was at the last flush.
    const Sector* choose(const std::vector<Version>& versions) {
      if (arrived_before_) {
        const auto later = std::find_if(versions.begin(), versions.end(), [&](const Version& v) {
          return v.arrival >= *arrived_before_;
        });
        return later == versions.begin() ? nullptr : &std::prev(later)->bytes;
      }
      if (random_() % kMillion >= survivors_per_million_) return nullptr;
      // The disk may have written an older one and had the newer one in its cache still.
      return &versions[random_() % versions.size()].bytes;
    }

   private:
    static constexpr std::uint64_t kMillion = 1'000'000;

    std::mt19937_64 random_;
    std::uint64_t survivors_per_million_ = 0;
    std::optional<std::uint64_t> arrived_before_;
  };

  void forget_cache() {
    cache_.clear();
    cached_ = 0;
  }

  int read_backing_file(std::uint64_t offset, std::span<char> bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count = pread(backing_file_, bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return -errno;
      if (count == 0) return -EIO;
      done += static_cast<std::size_t>(count);
    }
    return 0;
  }

  int write_backing_file(std::uint64_t sector, const Sector& bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count = pwrite(backing_file_, bytes.data() + done, bytes.size() - done,
                                   static_cast<off_t>(sector * kSectorBytes + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return -errno;
      done += static_cast<std::size_t>(count);
    }
    return 0;
  }

  int backing_file_;
  std::uint64_t size_;
  std::map<std::uint64_t, std::vector<Version>> cache_;  // by sector; the newest version is last
  std::size_t cached_ = 0;                               // versions in the cache
  std::uint64_t arrivals_ = 0;
  std::optional<PlannedCut> planned_cut_;
  bool is_cut_ = false;
};

constexpr std::string_view kDisk = "/disk";
constexpr std::string_view kControl = "/control";

VolatileDisk& the_disk() { return *static_cast<VolatileDisk*>(fuse_get_context()->private_data); }

int obey(std::string_view command) {
  std::uint64_t seed = 0;
  std::uint64_t count = 0;
  switch (std::sscanf(std::string(command).c_str(), "cut %" SCNu64 " %" SCNu64, &seed, &count)) {
    case 1:
      return the_disk().cut(seed);
    case 2:
      return the_disk().cut_after(count, seed);
    default:
      return -EINVAL;
  }
}

int get_attributes(const char* path, struct stat* status, fuse_file_info*) {
  *status = {};
  if (path == std::string_view("/")) {
    status->st_mode = S_IFDIR | 0700;
    status->st_nlink = 2;
    return 0;
  }
  if (path != kDisk && path != kControl) return -ENOENT;
  status->st_mode = S_IFREG | 0600;
  status->st_nlink = 1;
  if (path == kDisk) status->st_size = static_cast<off_t>(the_disk().size());
  return 0;
}

int list(const char*, void* buffer, fuse_fill_dir_t add, off_t, fuse_file_info*,
         fuse_readdir_flags) {
  for (const char* name : {".", "..", kDisk.data() + 1, kControl.data() + 1})
    add(buffer, name, nullptr, 0, fuse_fill_dir_flags{});
  return 0;
}

int open_file(const char* path, fuse_file_info* file) {
  if (path != kDisk && path != kControl) return -ENOENT;
  // Every request comes here: in the kernel's cache a write would survive the cut.
  file->direct_io = 1;
  return 0;
}

int read_file(const char* path, char* bytes, std::size_t length, off_t offset, fuse_file_info*) {
  if (path != kDisk) return 0;
  const VolatileDisk& disk = the_disk();
  const auto from = std::min(static_cast<std::uint64_t>(offset), disk.size());
  const auto count = std::min<std::uint64_t>(length, disk.size() - from);
  const int error = disk.read(from, std::span(bytes, count));
  return error != 0 ? error : static_cast<int>(count);
}

int write_file(const char* path, const char* bytes, std::size_t length, off_t offset,
               fuse_file_info*) {
  const int error = path == kControl ? obey(std::string_view(bytes, length))
                                     : the_disk().write(static_cast<std::uint64_t>(offset),
                                                        std::span(bytes, length));
  return error != 0 ? error : static_cast<int>(length);
}

int sync_file(const char* path, int, fuse_file_info*) {
  return path == kDisk ? the_disk().flush() : 0;
}

// A shell cuts `control` before it writes to it.
int truncate_file(const char* path, off_t, fuse_file_info*) {
  return path == kControl ? 0 : -EPERM;
}

int run(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: volatile_disk BACKING_FILE MOUNT_POINT\n";
    return 2;
  }
  struct stat status {};
  const int backing_file = open(argv[1], O_RDWR | O_CLOEXEC);
  if (backing_file < 0 || fstat(backing_file, &status) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  VolatileDisk disk(backing_file, static_cast<std::uint64_t>(status.st_size));

  fuse_operations operations{};
  operations.getattr = get_attributes;
  operations.readdir = list;
  operations.open = open_file;
  operations.read = read_file;
  operations.write = write_file;
  operations.fsync = sync_file;
  operations.truncate = truncate_file;
  std::string foreground = "-f";
  std::string one_thread = "-s";
  std::array<char*, 4> arguments{argv[0], foreground.data(), one_thread.data(), argv[2]};
  const int result =
      fuse_main(static_cast<int>(arguments.size()), arguments.data(), &operations, &disk);
  close(backing_file);
  return result;
}

}  // namespace

}  // namespace pitr

int main(int argc, char** argv) { return pitr::run(argc, argv); }
