#include "basebackup/verify_backup.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "basebackup/backup_contents.h"
#include "basebackup/data_directory.h"
#include "basebackup/page_checksum.h"
#include "common/error.h"
#include "io/ordered_workers.h"
#include "wal/control_file.h"

namespace pitr {

namespace {

constexpr const char* kControlFile = "global/pg_control";

// What the manifest says without a look at the objects.
class ManifestCheck {
 public:
  ManifestCheck(const VerifyBackupRequest& request, std::string key)
      : request_(request),
        key_(std::move(key)),
        postgres_manifest_(request.cluster.identity.postgres_version,
                           request.cluster.key.system_identifier) {
    take(postgres_manifest_.begin());
  }

  void add(const ManifestEntry& entry, const FindingConsumer& found) {
    if (entry.type != ManifestEntry::Type::kFile) return;
    ++files_;
    bytes_ += entry.size;
    take(postgres_manifest_.add(entry.path, entry.size, entry.modified_at, entry.crc32c));
    if (entry.path == kControlFile) control_ = entry;
    std::uint64_t end = 0;
    for (const Extent& extent : entry.extents) {
      if (extent.file_offset != end) break;
      end += extent.length;
    }
    if (end != entry.size) {
      found({.kind = FindingKind::kManifest,
             .object = key_,
             .detail = fmt::format("the extents of file \"{}\" do not make up its {} bytes",
                                   entry.path, entry.size)});
    }
  }

  void finish(const FindingConsumer& found) {
    const BackupSummary& backup = request_.backup;
    take(postgres_manifest_.finish(backup.timeline, backup.start_lsn, backup.stop_lsn));
    if (files_ != backup.file_count || bytes_ != backup.size_bytes) {
      found(
          {.kind = FindingKind::kManifest,
           .object = key_,
           .detail = fmt::format("it lists {} files of {} bytes, its summary {} files of {} bytes",
                                 files_, bytes_, backup.file_count, backup.size_bytes)});
    }
    if (!control_) {
      found({.kind = FindingKind::kManifest, .object = key_, .detail = "it has no pg_control"});
    }
  }

  Hash128 postgres_manifest_hash() const { return hash_.value(); }
  const std::optional<ManifestEntry>& control() const { return control_; }

 private:
  void take(const std::string& text) { hash_.update(as_byte_span(text)); }

  const VerifyBackupRequest& request_;
  std::string key_;
  PostgresManifest postgres_manifest_;  // as it must have been written
  Xxh3Stream hash_;
  std::optional<ManifestEntry> control_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
};

// The pages of one relation file, whatever pieces its contents come in.
class PageCheck {
 public:
  PageCheck(const BackupSummary& backup, const std::string& path, std::uint32_t blocks_per_file)
      : backup_(backup) {
    if (!backup.data_checksums || !has_page_checksums(path)) return;
    const auto relation = RelationFileName::parse(path.substr(path.rfind('/') + 1));
    if (!relation) return;
    block_ = relation->segment * blocks_per_file;
    page_.reserve(backup.block_size);
  }

  void feed(ByteSpan bytes) {
    while (page_.capacity() > 0 && !bytes.empty()) {
      const std::size_t wanted = backup_.block_size - page_.size();
      const ByteSpan part = bytes.first(std::min(wanted, bytes.size()));
      page_.insert(page_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (page_.size() < backup_.block_size) return;
      // One that was being written when it was read, the backup's WAL writes anew.
      const Lsn lsn = page_lsn(page_);
      const bool is_written_anew = lsn >= backup_.start_lsn && lsn <= backup_.stop_lsn;
      if (!page_is_valid(page_, block_) && !is_written_anew) damaged_.push_back(block_);
      ++block_;
      page_.clear();
    }
  }

  const std::vector<std::uint32_t>& damaged() const { return damaged_; }

 private:
  const BackupSummary& backup_;
  std::vector<std::byte> page_;
  std::uint32_t block_ = 0;
  std::vector<std::uint32_t> damaged_;
};

struct GroupTask {
  FileGroup files;
  bool is_chosen = true;
  VerifiedFiles verified;
  std::vector<Finding> findings;
};

class BackupCheck {
 public:
  BackupCheck(Storage& storage, const VerifyBackupRequest& request, RateLimit& rate_limit)
      : request_(request),
        rate_limit_(rate_limit),
        contents_(storage, request.cluster.key, request.backup.id),
        key_(backup_manifest_key(request.cluster.key, request.backup.id)) {}

  void run(const FindingConsumer& found,
           const std::function<void(const VerifiedFiles&)>& on_progress) {
    ManifestCheck manifest(request_, key_);
    try {
      contents_.visit_manifest([&](const ManifestEntry& entry) { manifest.add(entry, found); });
    } catch (const Error& error) {
      found(finding_of(error, key_));
      return;
    }
    manifest.finish(found);
    read_relation_size(manifest.control());
    read_all_files(found, on_progress);
    check_side_files(manifest.postgres_manifest_hash(), found);
  }

 private:
  std::string object_key(const std::string& object) const {
    const bool is_of_another = object.find('/') != std::string::npos;
    const std::string folder = fmt::format("data/{}", request_.cluster.key.to_string());
    return is_of_another ? fmt::format("{}/{}", folder, object)
                         : backup_object_key(request_.cluster.key, request_.backup.id, object);
  }

  // Blocks in a file of a relation, from the backup's own pg_control. What is wrong with that is
  // found with all other files.
  void read_relation_size(const std::optional<ManifestEntry>& control) {
    if (!control) return;
    std::vector<std::byte> bytes;
    try {
      contents_.read_files({&*control}, {.on_bytes = [&](ByteSpan part, std::uint64_t) {
                             bytes.insert(bytes.end(), part.begin(), part.end());
                           }});
      blocks_per_file_ = ControlFile::parse(bytes).blocks_per_file;
    } catch (const Error&) {
    }
  }

  void read_all_files(const FindingConsumer& found,
                      const std::function<void(const VerifiedFiles&)>& on_progress) {
    OrderedWorkers<GroupTask> workers(request_.jobs, 2 * std::size_t{request_.jobs},
                                      [this](GroupTask& task, unsigned) { read_group(task); });
    const auto take = [&] {
      const GroupTask task = workers.take();
      for (const Finding& finding : task.findings)
        found(finding);
      on_progress(task.verified);
    };
    FileGrouper grouper;
    const auto submit = [&](FileGroup files) {
      if (files.empty()) return;
      if (workers.full()) take();
      const bool is_chosen = request_.is_chosen(files.front().path);
      workers.submit(
          {.files = std::move(files), .is_chosen = is_chosen, .verified = {}, .findings = {}});
    };
    std::uint64_t passed_over = 0;
    contents_.visit_manifest([&](ManifestEntry entry) {
      if (entry.type != ManifestEntry::Type::kFile) return;
      if (passed_over++ < request_.files_done) return;
      submit(grouper.add(std::move(entry)));
    });
    submit(grouper.take_last());
    while (!workers.empty())
      take();
  }

  void read_group(GroupTask& task) const {
    task.verified.files = task.files.size();
    if (!task.is_chosen) return;
    std::vector<const ManifestEntry*> files;
    for (const ManifestEntry& file : task.files)
      files.push_back(&file);
    std::set<std::string> read;  // paths
    std::optional<PageCheck> pages;
    const FileConsumer consumer{.on_begin =
                                    [&](const ManifestEntry& file) {
                                      pages.emplace(request_.backup, file.path, blocks_per_file_);
                                    },
                                .on_bytes =
                                    [&](ByteSpan bytes, std::uint64_t) {
                                      rate_limit_.wait_for(bytes.size());
                                      task.verified.bytes += bytes.size();
                                      pages->feed(bytes);
                                    },
                                .on_end =
                                    [&](const ManifestEntry& file, bool intact) {
                                      read.insert(file.path);
                                      if (!intact) add_mismatch(task, file);
                                      add_damaged_pages(task, file.path, pages->damaged());
                                    }};
    try {
      contents_.read_files(files, consumer);
    } catch (const Error& error) {
      add_unreadable(task, error, read);
    }
  }

  void add_mismatch(GroupTask& task, const ManifestEntry& file) const {
    task.findings.push_back(
        {.kind = FindingKind::kManifest,
         .object = object_key(file.extents.empty() ? key_ : file.extents.front().object),
         .detail = fmt::format("file \"{}\" has not the checksum of the manifest", file.path)});
  }

  void add_damaged_pages(GroupTask& task, const std::string& path,
                         const std::vector<std::uint32_t>& blocks) const {
    for (const std::uint32_t block : blocks) {
      const PageError error{.path = path, .block = block};
      const auto& known = request_.backup.page_errors;
      const bool is_known = std::find(known.begin(), known.end(), error) != known.end();
      task.findings.push_back(
          {.kind = FindingKind::kCorrupt,
           .object = key_,
           .detail = fmt::format("page {} of \"{}\" fails its checksum{}", block, path,
                                 is_known ? ", as it did on the server when it was read" : ""),
           .consequence = "a restore brings the damaged page back; another backup may be better"});
    }
  }

  // The first file that could not be read any more tells which object is damaged.
  void add_unreadable(GroupTask& task, const Error& error,
                      const std::set<std::string>& read) const {
    std::vector<const ManifestEntry*> lost;
    for (const ManifestEntry& file : task.files) {
      if (!read.contains(file.path)) lost.push_back(&file);
    }
    const ManifestEntry& first = lost.empty() ? task.files.front() : *lost.front();
    Finding finding =
        finding_of(error, first.extents.empty() ? key_ : object_key(first.extents.front().object));
    finding.detail += fmt::format(" ({} of its files, among them \"{}\")",
                                  std::max<std::size_t>(1, lost.size()), first.path);
    task.findings.push_back(std::move(finding));
  }

  void check_side_files(const Hash128& postgres_manifest_hash, const FindingConsumer& found) const {
    for (const BackupSideFile& side : request_.backup.side_files) {
      try {
        const StoredFile file = contents_.open_object(side.object);
        file.reader->read_all(1, [](ByteSpan, std::uint64_t) {});
        if (side.purpose == "backup_manifest" &&
            file.reader->contents().raw_hash != postgres_manifest_hash) {
          found({.kind = FindingKind::kManifest,
                 .object = object_key(side.object),
                 .detail = "PostgreSQL's manifest and ours disagree",
                 .consequence = "pg_verifybackup will not accept a directory restored from it"});
        }
      } catch (const Error& error) {
        found(finding_of(error, object_key(side.object)));
      }
    }
  }

  const VerifyBackupRequest& request_;
  RateLimit& rate_limit_;
  BackupContents contents_;
  std::string key_;
  std::uint32_t blocks_per_file_ = 131072;
};

}  // namespace

void verify_backup(Storage& storage, const VerifyBackupRequest& request, RateLimit& rate_limit,
                   const FindingConsumer& found,
                   const std::function<void(const VerifiedFiles& group)>& on_progress) {
  BackupCheck(storage, request, rate_limit).run(found, on_progress);
}

}  // namespace pitr
