#include "pitr/verification.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "basebackup/verify_backup.h"
#include "catalog/catalog.h"
#include "catalog/lost_moments.h"
#include "catalog/recovery_plan.h"
#include "catalog/verify_wal.h"
#include "catalog/wal_path.h"
#include "common/error.h"
#include "common/log.h"
#include "io/checksum.h"
#include "io/ordered_workers.h"

namespace pitr {

namespace {

constexpr std::size_t kMostFindings = 10'000;

ClusterRows read_all_trailers(Storage& storage, const ClusterRecord& cluster) {
  return read_rows(storage, cluster, RowCache{});
}

}  // namespace

struct Verification::WalTask {
  std::string key;
  VerifiedWalFile verified;
  std::vector<Finding> findings;
};

Verification::Verification(const Session& session, Storage& storage, const ClusterRecord& cluster,
                           const VerificationScope& scope, unsigned jobs, RateLimit& rate_limit)
    : session_(session),
      storage_(storage),
      cluster_(cluster),
      scope_(scope),
      jobs_(jobs),
      rate_limit_(rate_limit),
      rows_(scope.wal ? read_all_trailers(storage, cluster)
                      : session_rows(session, storage, cluster)) {}

std::uint64_t Verification::total_bytes() const {
  std::uint64_t bytes = 0;
  for (const LogSummary& log : rows_.wal.logs()) {
    if (scope_.wal) bytes += std::uint64_t{log.segments} * cluster_.identity.segment_size;
  }
  for (const BackupSummary& backup : rows_.backups) {
    const bool is_wanted = scope_.backups && (scope_.backup.empty() || scope_.backup == backup.id);
    if (is_wanted) bytes += backup.size_bytes;
  }
  return bytes;
}

void Verification::run(VerifyProgress& progress, const std::function<void()>& on_progress) {
  progress_ = &progress;
  on_progress_ = on_progress;
  if (scope_.wal) {
    verify_wal();
    verify_small_file(cluster_record_key(cluster_.key),
                      "no moment is lost: what is used of it, its trailer, is whole");
    verify_history_files();
    verify_maps();
  }
  if (scope_.backups) verify_backups();
  verify_continuity();
  if (scope_.wal && scope_.backup.empty()) compare_with_catalog();
}

void Verification::add(Finding finding) {
  // One file that cannot be read is a finding; a repository that cannot be reached is none.
  if (finding.kind == FindingKind::kUnreadable) list_clusters(storage_);
  auto& findings = progress_->findings;
  // A verification that goes on finds some things for the second time.
  if (std::find(findings.begin(), findings.end(), finding) != findings.end()) return;
  if (findings.size() < kMostFindings) findings.push_back(std::move(finding));
}

// By chance, and the same way again in a verification that goes on.
bool Verification::is_chosen(const std::string& name) const {
  if (scope_.share >= 1) return true;
  const std::string text = fmt::format("{} {}", to_utc_text(progress_->started_at), name);
  constexpr std::uint64_t kParts = 1'000'000;
  return static_cast<double>(xxh3_64(as_byte_span(text)) % kParts) < scope_.share * kParts;
}

// ---------------------------------------------------------------------------------------------
// WAL

void Verification::verify_wal() {
  OrderedWorkers<WalTask> workers(jobs_, 4 * std::size_t{jobs_}, [this](WalTask& task, unsigned) {
    task.verified = verify_wal_file(
        storage_, cluster_, task.key, is_chosen(task.key),
        [this](std::uint64_t bytes) { rate_limit_.wait_for(bytes); },
        [&](Finding finding) { task.findings.push_back(std::move(finding)); });
  });
  storage_.list(wal_folder(cluster_.key), progress_->wal_key, [&](const std::string& key) {
    if (workers.full()) take_wal(workers.take());
    workers.submit({.key = key, .verified = {}, .findings = {}});
    return true;
  });
  while (!workers.empty())
    take_wal(workers.take());
}

void Verification::take_wal(WalTask task) {
  for (Finding& finding : task.findings) {
    if (finding.consequence.empty()) finding.consequence = consequence_of(task);
    add(std::move(finding));
  }
  progress_->wal_key = task.key;
  progress_->segments += task.verified.is_segment ? 1 : 0;
  progress_->bytes += task.verified.bytes;
  on_progress_();
}

std::string Verification::consequence_of(const WalTask& task) const {
  const VerifiedWalFile& file = task.verified;
  if (file.end_lsn == 0) return "no moment is lost: recovery never reads it";
  const SegmentName name =
      SegmentName::containing(file.timeline, file.start_lsn, cluster_.identity.segment_size);
  if (!file.is_segment && rows_.wal.find_whole(name)) {
    return "no moment is lost: the whole segment is stored, too";
  }
  return without_wal(rows_, file.timeline, file.start_lsn, file.end_lsn);
}

void Verification::verify_history_files() {
  storage_.list(history_folder(cluster_.key), "", [&](const std::string& key) {
    const auto name = WalFileName::parse(last_part(key));
    if (!name || name->kind != WalFileKind::kHistory) {
      add({.kind = FindingKind::kForeign,
           .object = key,
           .detail = "nobody asks for a file of this name here",
           .consequence = "no moment is lost: it is never used"});
      return true;
    }
    try {
      const auto contents = fetch_text(storage_, key, cluster_.key, name->text);
      if (contents) parse_timeline_history(name->segment.timeline, *contents);
    } catch (const Error& error) {
      Finding finding = finding_of(error, key);
      finding.consequence = without_history(name->segment.timeline);
      add(std::move(finding));
    }
    return true;
  });
}

void Verification::verify_small_file(const std::string& key, const std::string& consequence) {
  try {
    const auto file = open_stored_file(storage_, key, cluster_.key, last_part(key));
    if (file) file->reader->read_all(1, [](ByteSpan, std::uint64_t) {});
  } catch (const Error& error) {
    Finding finding = finding_of(error, key);
    finding.consequence = consequence;
    add(std::move(finding));
  }
}

void Verification::verify_maps() {
  storage_.list(map_folder(cluster_.key), "", [&](const std::string& key) {
    verify_small_file(key, "no moment is lost: pitr history may lack names of relations");
    return true;
  });
}

// ---------------------------------------------------------------------------------------------
// Base backups

void Verification::verify_backups() {
  std::vector<std::string> ids;
  storage_.list(backup_folder(cluster_.key), "", [&](const std::string& key) {
    const std::string id(last_part(key));
    const bool is_wanted = scope_.backup.empty() || scope_.backup == id;
    if (is_wanted && id >= progress_->backup) ids.push_back(id);
    return true;
  });
  if (ids.empty() && !scope_.backup.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("there is no backup \"{}\"", scope_.backup),
                 .hint = "pitr info lists the backups."});
  }
  for (const std::string& id : ids)
    verify_one_backup(id);
}

void Verification::verify_one_backup(const std::string& id) {
  if (id != progress_->backup) progress_->backup_files_done = 0;
  progress_->backup = id;
  const auto found = [&](Finding finding) {
    if (finding.consequence.empty()) finding.consequence = without_backup(rows_, id);
    add(std::move(finding));
  };
  try {
    const VerifyBackupRequest request{
        .cluster = cluster_,
        .backup = read_summary(storage_, cluster_.key, id),
        .jobs = jobs_,
        .files_done = progress_->backup_files_done,
        .is_chosen = [&](const std::string& path) { return is_chosen(id + "/" + path); }};
    verify_backup(storage_, request, rate_limit_, found, [&](const VerifiedFiles& group) {
      progress_->backup_files_done += group.files;
      progress_->backup_files += group.files;
      progress_->bytes += group.bytes;
      on_progress_();
    });
  } catch (const Error& error) {
    found(finding_of(error, backup_manifest_key(cluster_.key, id)));
  }
}

// ---------------------------------------------------------------------------------------------
// What is missing

void Verification::verify_continuity() {
  if (scope_.wal) {
    find_all_gaps();
    find_missing_histories();
  }
  if (scope_.backups) find_backups_without_wal();
}

void Verification::find_all_gaps() {
  const SegmentSize size = cluster_.identity.segment_size;
  for (const TimelineId timeline : known_timelines(rows_)) {
    for (const SegmentGap& gap : find_gaps(rows_, timeline)) {
      const SegmentName first = gap.after.next(size);
      // Archived between the listing of one folder and that of the next.
      if (storage_.open(wal_key(cluster_.key, *WalFileName::parse(first.to_string())))) continue;
      add({.kind = FindingKind::kGap,
           .object = fmt::format("{}/{:08X}/{}", timeline_folder(cluster_.key, timeline), first.log,
                                 first.to_string()),
           .detail = fmt::format(
               "{} missing between {} and {}",
               gap.missing == 1 ? "1 segment is" : fmt::format("{} segments are", gap.missing),
               gap.after.to_string(), gap.before.to_string()),
           .consequence = without_wal(rows_, timeline, first.start(size), gap.before.start(size))});
    }
  }
}

void Verification::find_missing_histories() {
  for (const TimelineId timeline : known_timelines(rows_)) {
    if (timeline == 1 || timeline_path(rows_, timeline)) continue;
    const std::string key =
        fmt::format("{}/{:08X}.history", history_folder(cluster_.key), timeline);
    if (storage_.open(key)) continue;  // damaged: found before
    add({.kind = FindingKind::kMissing,
         .object = key,
         .detail = fmt::format("timeline {} has WAL or backups and no history file", timeline),
         .consequence = without_history(timeline)});
  }
}

void Verification::find_backups_without_wal() {
  const std::vector<ReachableWindow> windows = reachable_windows(rows_);
  const SegmentSize size = cluster_.identity.segment_size;
  for (const BackupSummary& backup : rows_.backups) {
    if (!scope_.backup.empty() && scope_.backup != backup.id) continue;
    const bool is_usable =
        std::any_of(windows.begin(), windows.end(),
                    [&](const ReachableWindow& window) { return window.backup_id == backup.id; });
    if (is_usable) continue;
    std::string missing;
    for (Lsn lsn = backup.start_lsn / size * size; lsn < backup.stop_lsn; lsn += size) {
      const SegmentName name = SegmentName::containing(backup.timeline, lsn, size);
      if (rows_.wal.find_whole(name)) continue;
      missing = fmt::format("segment {} is missing", name.to_string());
      break;
    }
    add({.kind = FindingKind::kWalMissing,
         .object = backup_manifest_key(cluster_.key, backup.id),
         .detail = missing.empty()
                       ? fmt::format("its WAL from {} to {} cannot be replayed",
                                     format_lsn(backup.start_lsn), format_lsn(backup.stop_lsn))
                       : missing,
         .consequence = without_backup(rows_, backup.id)});
  }
}

// ---------------------------------------------------------------------------------------------
// The catalog

void Verification::compare_with_catalog() {
  const std::string& directory = session_.config.state.directory;
  // Opened before the repository is listed: what comes in between is looked for again.
  auto catalog = Catalog::open_for_read(directory);
  if (!catalog) return;
  {
    const RowCache cache = catalog->row_cache(cluster_.key);
    std::set<std::string> folders;
    for (const std::string& folder : catalog->wal_folders(cluster_.key))
      folders.insert(folder);
    for (const LogSummary& log : rows_.wal.logs()) {
      folders.insert(
          fmt::format("{}/{:08X}", timeline_folder(cluster_.key, log.timeline), log.log));
    }
    for (const std::string& folder : folders)
      compare_folder(cache, folder);
    compare_backups(catalog->backup_ids(cluster_.key));
  }
  if (unknown_to_catalog_.empty()) return;
  // pitr-archive notes a file in the journal after it is stored: it may be about to.
  std::this_thread::sleep_for(std::chrono::seconds(2));
  if (Catalog::is_being_written(directory)) {
    log_info("the catalog is being written by another pitr: it was not compared");
    return;
  }
  catalog = Catalog::open_for_read(directory);
  const RowCache cache = catalog ? catalog->row_cache(cluster_.key) : RowCache{};
  for (const std::string& key : unknown_to_catalog_) {
    WalFileEntry entry;
    BackupSummary summary;
    const bool is_wal = parse_wal_key(key).has_value();
    const bool is_known =
        is_wal ? cache.find_wal && cache.find_wal(key, entry)
               : cache.find_backup && cache.find_backup(std::string(last_part(key)), summary);
    if (is_known) continue;
    add({.kind = FindingKind::kNotInCatalog,
         .object = key,
         .detail = "it is stored, and the catalog of this host does not know it",
         .consequence = "no moment is lost: every plan reads its trailer; pitr catalog rebuild "
                        "takes it in"});
  }
}

void Verification::compare_folder(const RowCache& cache, const std::string& folder) {
  std::set<std::string> known;
  cache.visit_wal(folder, [&](const WalFileEntry& entry) { known.insert(entry.key); });
  storage_.list(folder, "", [&](const std::string& key) {
    const auto name = parse_wal_key(key);
    // Backup history files are told to nobody by the catalog.
    if (known.erase(key) == 0 && name && name->kind != StoredWalName::Kind::kBackupHistory) {
      unknown_to_catalog_.push_back(key);
    }
    return true;
  });
  const SegmentSize size = cluster_.identity.segment_size;
  for (const std::string& key : known) {
    if (storage_.open(key)) continue;  // came meanwhile
    const auto name = parse_wal_key(key);
    const bool is_whole = name && name->kind == StoredWalName::Kind::kSegment;
    const Lsn start = name ? name->segment.start(size) : 0;
    add({.kind = FindingKind::kNotInRepository,
         .object = key,
         .detail = "the catalog knows it, and it is not stored any more",
         .consequence =
             is_whole ? without_wal(rows_, name->segment.timeline, start, start + size)
                      : "no moment is lost: recovery reads it only in place of a whole segment"});
  }
}

void Verification::compare_backups(const std::vector<std::string>& ids) {
  std::set<std::string> known(ids.begin(), ids.end());
  storage_.list(backup_folder(cluster_.key), "", [&](const std::string& key) {
    if (known.erase(std::string(last_part(key))) == 0) unknown_to_catalog_.push_back(key);
    return true;
  });
  for (const std::string& id : known) {
    const std::string key = backup_manifest_key(cluster_.key, id);
    if (storage_.open(key)) continue;
    add({.kind = FindingKind::kNotInRepository,
         .object = key,
         .detail = "the catalog knows this backup, and its manifest is not stored any more",
         .consequence = without_backup(rows_, id)});
  }
}

}  // namespace pitr
