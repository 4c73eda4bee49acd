#include "basebackup/restore_backup.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/checksum.h"
#include "io/ordered_workers.h"
#include "io/page_cache.h"
#include "io/read_ahead.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

constexpr const char* kControlFile = "global/pg_control";

std::uint64_t path_hash(std::string_view path) { return xxh3_64(as_byte_span(path)); }

[[noreturn]] void throw_bad_contents(const std::string& path, const std::string& id) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("file \"{}\" of backup \"{}\" fails its checksum", path, id),
               .hint = "Restore from another base backup with --backup ID."});
}

// A large file gets its room at once: in few pieces, and a volume that is too small says so now.
void make_room(const File& file, std::uint64_t size) {
  constexpr std::uint64_t kLeast = 1ULL << 20;
  if (size < kLeast) return;
  const int result = fallocate(file.descriptor(), 0, 0, static_cast<off_t>(size));
  if (result != 0 && errno == ENOSPC) throw_file_error("make room for file", file.path(), errno);
}

// To the second, as far as every kind of backup knows it. It proves nothing, but a file that was
// changed since is better compared at once than hashed first and then compared.
bool was_modified_at(const File& file, Instant time) {
  struct stat status {};
  if (fstat(file.descriptor(), &status) != 0) throw_file_error("read", file.path(), errno);
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count() ==
         status.st_mtim.tv_sec;
}

// Writes what differs from what was found there, page by page.
std::uint64_t write_changes(const File& file, ByteSpan wanted, std::uint64_t offset,
                            ByteSpan found) {
  constexpr std::size_t kPage = 8192;
  const auto differs = [&](std::size_t at) {
    const std::size_t length = std::min(kPage, wanted.size() - at);
    return at + length > found.size() || std::memcmp(&found[at], &wanted[at], length) != 0;
  };
  std::uint64_t written = 0;
  for (std::size_t begin = 0; begin < wanted.size();) {
    std::size_t end = begin;
    while (end < wanted.size() && differs(end))
      end += kPage;
    end = std::min(end, wanted.size());
    if (end > begin) {
      file.write_at(offset + begin, wanted.subspan(begin, end - begin));
      written += end - begin;
    }
    begin = end + kPage;  // the page at `end` is the same
  }
  return written;
}

}  // namespace

class BackupRestore::Workers : public OrderedWorkers<FileTask> {
  using OrderedWorkers::OrderedWorkers;
};

// For --delta, of one worker: what lies in the destination's files already, read while the backup's
// blocks are decompressed, and past the page cache where nothing of a file is in it.
class BackupRestore::FoundReader {
 public:
  explicit FoundReader(RingMode ring) : ring_(ring) {}

  // The file must outlive its reading.
  void open(const File& file) {
    close();
    file_ = &file;
    const std::uint64_t length = file.size();
    if (length <= kUsualBlockSize) return;
    if (ring_.uses_io_uring() && CachedPages(file, 0, length).none()) direct_ = open_direct(file);
    reads_.emplace(ReadAheadPlan{.source = file,
                                 .direct = direct_ ? &*direct_ : nullptr,
                                 .length = length,
                                 .reads = kReads},
                   ring_, [this] { return pool_.acquire(); });
  }

  // What was at the offset when the file was opened, or later; less at the file's end. Valid until
  // the next call. Cheap where the calls go through the file in blocks of the usual size.
  ByteSpan at(std::uint64_t offset, std::size_t length) {
    while (reads_ && begin_ + current_.size() <= offset) {
      begin_ += current_.size();
      current_ = {};  // gives it back before the next one is taken
      current_ = reads_->next();
      if (current_.size() == 0) reads_.reset();
    }
    if (offset >= begin_ && offset + length <= begin_ + current_.size()) {
      return current_.bytes().subspan(offset - begin_, length);
    }
    spare_.resize(length);
    spare_.resize(file_->read_at(offset, spare_));
    return spare_;
  }

  void close() {
    reads_.reset();
    direct_.reset();
    current_ = {};
    begin_ = 0;
  }

 private:
  static constexpr std::size_t kReads = 8;

  Ring ring_;
  BufferPool pool_{kReads, kUsualBlockSize};
  const File* file_ = nullptr;
  std::optional<File> direct_;
  std::optional<ReadAhead> reads_;
  Buffer current_;
  std::uint64_t begin_ = 0;  // where in the file the current buffer begins
  std::vector<std::byte> spare_;
};

BackupRestore::BackupRestore(const RestoreBackupRequest& request, Storage& storage)
    : request_(request),
      contents_(storage, request.cluster.key, request.backup.id),
      tree_(request.destination, request.tablespaces, request.owner) {}

void BackupRestore::begin() {
  const std::string mark =
      fmt::format("backup = {}\nsystem_identifier = {}\npg_wal = {}\n", request_.backup.id,
                  request_.cluster.key.system_identifier, request_.wal_aside);
  write_text(kRestoringMark, mark);
  // In place of a link that may stand there: what it leads to is not ours.
  tree_.make_directory(parent_directory(kControlFile), 0700);
  const std::string control = tree_.root() + "/" + kControlFile;
  if (unlink(control.c_str()) == 0) {
    sync_directory(parent_directory(control));
  } else if (errno != ENOENT && errno != ENOTDIR) {
    throw_file_error("remove file", control, errno);
  }
  sync_directory(tree_.root());
}

RestoreCounts BackupRestore::write_files() {
  {
    std::deque<FoundReader> found;  // one for each worker
    for (unsigned i = 0; request_.delta && i < request_.jobs; ++i)
      found.emplace_back(request_.ring);
    Workers workers(request_.jobs, 2 * std::size_t{request_.jobs},
                    [&](FileTask& task, unsigned worker) {
                      restore_files(task, request_.delta ? &found[worker] : nullptr);
                    });
    workers_ = &workers;
    contents_.visit_manifest([this](ManifestEntry entry) { take_entry(std::move(entry)); });
    submit(grouper_.take_last());
    while (!workers.empty())
      accept(workers.take());
    workers_ = nullptr;
  }
  write_side_files();
  if (request_.delta) remove_what_is_not_in_the_backup();
  for (auto it = directory_modes_.rbegin(); it != directory_modes_.rend(); ++it) {
    tree_.set_directory_mode(it->first, it->second);
    // initdb --allow-group-access: then the group may read all of it, or nothing.
    if (it->first == "base" && (it->second & S_IRGRP) != 0) tree_.set_directory_mode(".", 0750);
  }
  return counts_;
}

void BackupRestore::take_entry(ManifestEntry entry) {
  if (request_.delta) known_paths_.push_back(path_hash(entry.path));
  if (entry.type == ManifestEntry::Type::kDirectory) {
    if (entry.path == "pg_wal" && !request_.wal_directory.empty()) {
      tree_.make_wal_link(request_.wal_directory);
      return;
    }
    if (entry.path.starts_with("pg_wal/") && !request_.wal_directory.empty()) return;
    tree_.make_directory(entry.path, entry.mode);
    directory_modes_.emplace_back(entry.path, entry.mode);
    return;
  }
  if (entry.type == ManifestEntry::Type::kTablespace) {
    const auto oid = parse_number(last_part(entry.path), 10);
    if (!oid || !request_.tablespaces.contains(static_cast<std::uint32_t>(*oid))) {
      throw Error({.kind = ErrorKind::kCorrupt,
                   .message = fmt::format("backup \"{}\" has an unknown tablespace \"{}\"",
                                          request_.backup.id, entry.path)});
    }
    tree_.make_tablespace_link(static_cast<std::uint32_t>(*oid));
    return;
  }
  ++counts_.files;
  counts_.bytes += entry.size;
  if (entry.path == kControlFile) {
    control_entry_ = std::move(entry);
    return;
  }
  // Files of one object go to one worker, which reads the object once.
  submit(grouper_.add(std::move(entry)));
}

void BackupRestore::submit(FileGroup files) {
  if (files.empty()) return;
  if (workers_->full()) {
    accept(workers_->take());
    if (request_.on_progress) request_.on_progress(counts_.bytes);
  }
  workers_->submit({.files = std::move(files), .counts = {}});
}

void BackupRestore::accept(const FileTask& task) {
  counts_.files_kept += task.counts.files_kept;
  counts_.bytes_written += task.counts.bytes_written;
}

void BackupRestore::restore_files(FileTask& task, FoundReader* found) {
  std::vector<const ManifestEntry*> wanted;
  for (const ManifestEntry& entry : task.files) {
    if (found != nullptr && holds_already(entry, *found)) {
      ++task.counts.files_kept;
    } else {
      wanted.push_back(&entry);
    }
  }
  write_contents(wanted, found, task.counts);
}

void BackupRestore::write_contents(const std::vector<const ManifestEntry*>& files,
                                   FoundReader* found, RestoreCounts& counts) {
  std::optional<File> file;
  std::uint64_t written = 0;  // of the file
  bool has_size = false;      // delta: that it shall have, from the beginning
  contents_.read_files(files, {.on_begin =
                                   [&](const ManifestEntry& entry) {
                                     file = tree_.open_file(entry.path);
                                     written = 0;
                                     if (found != nullptr) {
                                       has_size = entry.size > 0 && file->size() == entry.size;
                                       found->open(*file);
                                     } else {
                                       make_room(*file, entry.size);
                                     }
                                   },
                               .on_bytes =
                                   [&](ByteSpan bytes, std::uint64_t offset) {
                                     if (found != nullptr) {
                                       written += write_changes(*file, bytes, offset,
                                                                found->at(offset, bytes.size()));
                                     } else {
                                       file->write_at(offset, bytes);
                                       written += bytes.size();
                                     }
                                   },
                               .on_end =
                                   [&](const ManifestEntry& entry, bool intact) {
                                     if (!intact)
                                       throw_bad_contents(entry.path, request_.backup.id);
                                     if (found != nullptr) found->close();
                                     finish_file(*file, entry);
                                     file.reset();
                                     counts.bytes_written += written;
                                     if (has_size && written == 0) ++counts.files_kept;
                                   }});
}

bool BackupRestore::holds_already(const ManifestEntry& entry, FoundReader& found) {
  const auto file = tree_.try_open_for_read(entry.path);
  if (!file || file->size() != entry.size || !was_modified_at(*file, entry.modified_at)) {
    return false;
  }
  found.open(*file);
  Xxh3Stream hash;
  for (std::uint64_t offset = 0; offset < entry.size;) {
    const ByteSpan bytes =
        found.at(offset, std::min<std::uint64_t>(kUsualBlockSize, entry.size - offset));
    if (bytes.empty()) break;
    hash.update(bytes);
    offset += bytes.size();
  }
  found.close();
  if (hash.value() != entry.hash) return false;
  finish_file(tree_.open_file(entry.path), entry);
  return true;
}

void BackupRestore::finish_file(const File& file, const ManifestEntry& entry) {
  const auto since_epoch = entry.modified_at.time_since_epoch();
  const auto whole = std::chrono::floor<std::chrono::seconds>(since_epoch);
  timespec time{};
  time.tv_sec = whole.count();
  time.tv_nsec = std::chrono::nanoseconds(since_epoch - whole).count();
  const std::array<timespec, 2> times = {time, time};
  if (ftruncate(file.descriptor(), static_cast<off_t>(entry.size)) != 0 ||
      fchmod(file.descriptor(), entry.mode) != 0 ||
      futimens(file.descriptor(), times.data()) != 0) {
    throw_file_error("finish file", file.path(), errno);
  }
}

// PostgreSQL's own manifest. Not tablespace_map: at its start PostgreSQL would make every link from
// it, over any mapping, onto the living server's tablespaces.
void BackupRestore::write_side_files() {
  for (const BackupSideFile& side : request_.backup.side_files) {
    if (side.purpose != "backup_manifest") continue;
    const StoredFile object = contents_.open_object(side.object);
    const File file = tree_.open_file("backup_manifest");
    object.reader->read_all(
        1, [&](ByteSpan raw, std::uint64_t offset) { file.write_at(offset, raw); });
    finish_file(file, {.path = "backup_manifest",
                       .mode = 0600,
                       .modified_at = now(),
                       .size = object.reader->contents().raw_size});
  }
  if (request_.delta) {
    for (const char* ours : {"backup_manifest", kRestoringMark, kControlFile}) {
      known_paths_.push_back(path_hash(ours));
    }
  }
}

void BackupRestore::remove_what_is_not_in_the_backup() {
  std::sort(known_paths_.begin(), known_paths_.end());
  const auto sweep = [&](const std::string& folder, const std::string& prefix) {
    std::vector<fs::path> doomed;
    for (auto it = fs::recursive_directory_iterator(folder);
         it != fs::recursive_directory_iterator(); ++it) {
      const std::string path = prefix + it->path().string().substr(folder.size() + 1);
      // The WAL that lies here is settled before: it may be the only copy of the newest commits.
      if (path == "pg_wal" || path.starts_with("pg_wal/")) {
        it.disable_recursion_pending();
        continue;
      }
      if (std::binary_search(known_paths_.begin(), known_paths_.end(), path_hash(path))) continue;
      doomed.push_back(it->path());
      if (it->is_directory() && !it->is_symlink()) it.disable_recursion_pending();
    }
    for (const fs::path& path : doomed) {
      std::error_code error;
      counts_.files_removed += fs::remove_all(path, error);
      if (error) throw_file_error("remove", path.string(), error.value());
    }
  };
  sweep(tree_.root(), "");
  // Of a tablespace only this version's folder is ours.
  for (const auto& [oid, place] : tree_.tablespaces()) {
    for (const auto& folder : fs::directory_iterator(place)) {
      const std::string path =
          fmt::format("pg_tblspc/{}/{}", oid, folder.path().filename().string());
      if (std::binary_search(known_paths_.begin(), known_paths_.end(), path_hash(path))) {
        sweep(folder.path().string(), path + "/");
      }
    }
  }
}

void BackupRestore::write_text(const std::string& path, std::string_view contents) {
  const File file = tree_.open_file(path);
  file.write_at(0, as_byte_span(contents));
  if (ftruncate(file.descriptor(), static_cast<off_t>(contents.size())) != 0) {
    throw_file_error("write file", file.path(), errno);
  }
  file.sync();
}

std::string BackupRestore::read_text(const std::string& path) {
  const auto file = tree_.try_open_for_read(path);
  if (!file) return {};
  std::string contents(file->size(), '\0');
  contents.resize(file->read_at(0, std::as_writable_bytes(std::span(contents))));
  return contents;
}

void BackupRestore::finish() {
  if (!control_entry_ || control_entry_->extents.size() != 1) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("backup \"{}\" has no pg_control", request_.backup.id)});
  }
  tree_.sync_everything();
  // Beyond this point all but pg_control is durable; with it the directory can start.
  RestoreCounts of_control_file;  // counted with the others already
  write_contents({&*control_entry_}, nullptr, of_control_file);
  tree_.open_file(kControlFile).sync();
  sync_directory(tree_.root() + "/global");
  const std::string mark = tree_.root() + "/" + kRestoringMark;
  if (unlink(mark.c_str()) != 0) throw_file_error("remove file", mark, errno);
  sync_directory(tree_.root());
}

}  // namespace pitr
