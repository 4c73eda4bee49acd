#include "basebackup/file_copier.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basebackup/page_checksum.h"
#include "common/error.h"
#include "io/page_cache.h"
#include "wal/crc32c.h"

namespace pitr {

namespace {

// Nothing when the file has vanished since it was listed.
std::optional<File> try_open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor >= 0) return File(descriptor, path);
  if (errno == ENOENT) return std::nullopt;
  throw_file_error("open file", path, errno);
}

// A file system may keep seconds that no instant can be; those lose what lies behind the point.
Instant modified_at(const struct stat& status) {
  const Instant second = from_unix_time(status.st_mtim.tv_sec);
  const std::chrono::microseconds rest(status.st_mtim.tv_nsec / 1000);
  return second > Instant::max() - rest ? second : second + rest;
}

ManifestEntry describe(const ScannedEntry& scanned, const File& file) {
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) throw_file_error("read", file.path(), errno);
  return {.type = ManifestEntry::Type::kFile,
          .path = scanned.path,
          .mode = scanned.mode,
          .user = scanned.user,
          .group = scanned.group,
          .modified_at = modified_at(status),
          .size = static_cast<std::uint64_t>(status.st_size)};
}

}  // namespace

FileCopier::FileCopier(const CopyPlan& plan, BackupObjects& objects, RateLimit& rate_limit,
                       const EncodeOptions& options, RingMode ring)
    : plan_(plan), objects_(objects), rate_limit_(rate_limit), buffers_(options), ring_(ring) {}

CopiedFiles FileCopier::copy_files(const std::vector<ScannedEntry>& files) {
  CopiedFiles copied;
  if (files.size() == 1 && files.front().size > kLargestBundledFile) {
    copy_large(files.front(), copied);
  } else {
    copy_bundle(files, copied);
  }
  return copied;
}

void FileCopier::copy_bundle(const std::vector<ScannedEntry>& files, CopiedFiles& copied) {
  auto object = objects_.create_object("bundle", buffers_);
  std::vector<ScannedEntry> grown;
  for (const ScannedEntry& scanned : files) {
    const auto file = try_open(plan_.data_directory + "/" + scanned.path);
    if (!file) continue;
    ManifestEntry entry = describe(scanned, *file);
    if (entry.size > 2 * kLargestBundledFile) {
      grown.push_back(scanned);  // since it was listed: gets chunks of its own
      continue;
    }
    const CachedPages cached(*file, 0, entry.size);
    small_.resize(entry.size);
    entry.size = file->read_at(0, small_);
    small_.resize(entry.size);
    rate_limit_.wait_for(entry.size);
    verify_pages(*file, scanned.path, 0, small_, copied.page_errors);
    entry.crc32c = crc32c(small_);
    entry.hash = hash_of(small_);
    if (entry.size > 0) {
      entry.extents.push_back({.object = object->name(),
                               .position = object->writer().raw_size(),
                               .length = entry.size});
      object->writer().append(small_);
    }
    cached.forget_others(*file);
    copied.entries.push_back(std::move(entry));
  }
  if (object->writer().raw_size() > 0) objects_.add_stored_bytes(object->commit());
  object.reset();  // its buffers are needed again
  for (const ScannedEntry& scanned : grown)
    copy_large(scanned, copied);
}

void FileCopier::copy_large(const ScannedEntry& scanned, CopiedFiles& copied) {
  const auto file = try_open(plan_.data_directory + "/" + scanned.path);
  if (!file) return;
  ManifestEntry entry = describe(scanned, *file);
  Crc32c crc;
  Xxh3Stream hash;
  std::uint64_t offset = 0;
  while (offset < entry.size) {
    const auto object = objects_.create_object("chunk", buffers_);
    const std::uint64_t wanted = std::min(kChunkSize, entry.size - offset);
    const CachedPages cached(*file, offset, wanted);
    // One direct read after the other would wait for each: several at once must be under way.
    const auto direct = ring_.uses_io_uring() && cached.none() ? open_direct(*file) : std::nullopt;
    std::uint64_t position = offset;
    const std::uint64_t count =
        copy({*file, direct ? &*direct : nullptr}, offset, wanted, ring_, object->writer(),
             [&](std::span<std::byte> raw) {
               rate_limit_.wait_for(raw.size());
               verify_pages(*file, scanned.path, position, raw, copied.page_errors);
               crc.update(raw);
               hash.update(raw);
               position += raw.size();
             });
    cached.forget_others(*file);
    if (count == 0) break;
    entry.extents.push_back({.object = object->name(), .length = count, .file_offset = offset});
    objects_.add_stored_bytes(object->commit());
    offset += count;
    if (count < wanted) break;
  }
  entry.size = offset;
  entry.crc32c = crc.value();
  entry.hash = hash.value();
  copied.entries.push_back(std::move(entry));
}

void FileCopier::verify_pages(const File& file, const std::string& path, std::uint64_t offset,
                              std::span<std::byte> bytes, std::vector<PageError>& errors) {
  if (!plan_.verify_pages || !has_page_checksums(path)) return;
  const auto relation = RelationFileName::parse(path.substr(path.rfind('/') + 1));
  const std::size_t page_size = plan_.block_size;
  std::vector<FailingPage> failing;
  for (std::size_t at = 0; at + page_size <= bytes.size(); at += page_size) {
    const auto block = static_cast<std::uint32_t>(
        std::uint64_t{relation->segment} * plan_.blocks_per_file + (offset + at) / page_size);
    const std::span<std::byte> page = bytes.subspan(at, page_size);
    if (!page_is_valid(page, block)) failing.push_back({offset + at, block, page});
  }
  // Where much of a file is damaged, waiting for each of its pages would take hours.
  constexpr std::size_t kMostWaitedFor = 64;
  settle_pages(file, failing, errors.size() < kMostWaitedFor);
  for (const FailingPage& page : failing)
    errors.push_back({.path = path, .block = page.block});
}

// A page may be torn by a write at the same moment: it is read again, all of them after one wait.
// One that still fails is right only when the WAL of this backup will write it anew.
void FileCopier::settle_pages(const File& file, std::vector<FailingPage>& failing, bool wait) {
  const auto has_settled = [&](const FailingPage& page) {
    // Cut off meanwhile is as good.
    return file.read_at(page.offset, page.bytes) < page.bytes.size() ||
           page_is_valid(page.bytes, page.block);
  };
  constexpr int kTries = 5;
  for (int i = 0; i < kTries && !failing.empty(); ++i) {
    if (wait) std::this_thread::sleep_for(std::chrono::milliseconds(i * 10));
    std::erase_if(failing, has_settled);
  }
  std::erase_if(failing, [&](const FailingPage& page) {
    const Lsn lsn = page_lsn(page.bytes);
    return lsn >= plan_.start_lsn && lsn <= plan_.current_lsn();
  });
}

}  // namespace pitr
