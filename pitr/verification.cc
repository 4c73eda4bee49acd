#include "pitr/verification.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "basebackup/backup_objects.h"
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

constexpr std::ptrdiff_t kMostOfAKind = 2000;

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
    verify_small_files();
  }
  if (scope_.backups) verify_backups();
  verify_continuity();
  if (scope_.wal && scope_.backup.empty()) compare_with_catalog();
  tell_consequences();
}

void Verification::add(NotedFinding noted) {
  // One file that cannot be read is a finding; a repository that cannot be reached is none.
  if (noted.finding.kind == FindingKind::kUnreadable) {
    const auto record = storage_.open(cluster_record_key(cluster_.key));
    std::array<std::byte, 1> byte{};
    if (record) record->read(0, byte);
  }
  auto& findings = progress_->findings;
  // A verification that goes on finds some things for the second time.
  if (std::find(findings.begin(), findings.end(), noted) != findings.end()) return;
  const auto of_its_kind = std::count_if(
      findings.begin(), findings.end(),
      [&](const NotedFinding& other) { return other.finding.kind == noted.finding.kind; });
  if (of_its_kind < kMostOfAKind) {
    findings.push_back(std::move(noted));
  } else {
    ++progress_->findings_not_kept;
  }
}

void Verification::tell_consequences() {
  Losses losses;
  for (const NotedFinding& noted : progress_->findings) {
    if (noted.is_lost_wal) losses.wal_keys.insert(noted.finding.object);
    if (!noted.backup.empty()) losses.backups.insert(noted.backup);
  }
  if (progress_->findings.empty()) return;
  const LostMoments moments(rows_, losses);
  for (NotedFinding& noted : progress_->findings) {
    if (!noted.finding.consequence.empty()) continue;
    noted.finding.consequence = noted.backup.empty()
                                    ? moments.without_wal(noted.timeline, noted.begin, noted.end)
                                    : moments.without_backup(noted.backup);
  }
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
  const VerifiedWalFile& file = task.verified;
  for (Finding& finding : task.findings) {
    NotedFinding noted{.finding = std::move(finding)};
    if (!noted.finding.consequence.empty()) {
      add(std::move(noted));
      continue;
    }
    if (file.end_lsn == 0) {
      noted.finding.consequence = "no moment is lost: recovery never reads it";
    } else {
      noted.is_lost_wal = true;
      noted.timeline = file.timeline;
      noted.begin = file.start_lsn;
      noted.end = file.end_lsn;
    }
    add(std::move(noted));
  }
  progress_->wal_key = task.key;
  progress_->segments += file.is_segment ? 1 : 0;
  progress_->bytes += file.bytes;
  on_progress_();
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
      finding.consequence = LostMoments::without_history(name->segment.timeline);
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

void Verification::verify_small_files() {
  const std::pair<std::string, const char*> folders[] = {
      {map_folder(cluster_.key), "no moment is lost: pitr history may lack names of relations"},
      {pin_folder(cluster_.key), "no moment is lost: the pin counts by its name"},
      {hold_folder(cluster_.key), "pitr expire removes nothing until the file is removed by hand"},
      {expiry_folder(cluster_.key), "no moment is lost: expired WAL passes for a gap"}};
  for (const auto& [folder, consequence] : folders) {
    storage_.list(folder, "", [&, consequence = consequence](const std::string& key) {
      verify_small_file(key, consequence);
      return true;
    });
  }
}

// ---------------------------------------------------------------------------------------------
// Base backups

void Verification::verify_backups() {
  std::set<std::string> published;
  storage_.list(backup_folder(cluster_.key), "", [&](const std::string& key) {
    published.emplace(last_part(key));
    return true;
  });
  for (const std::string& id : published) {
    const bool is_wanted = scope_.backup.empty() || scope_.backup == id;
    if (is_wanted && id >= progress_->backup) verify_one_backup(id);
  }
  if (scope_.backup.empty()) find_lost_manifests(published);
}

// Where its trailer is damaged the catalog may still tell what the backup was good for.
void Verification::know_backup(const std::string& id) {
  const auto catalog = Catalog::open_for_read(session_.config.state.directory);
  BackupSummary summary;
  for (const BackupSummary& known : rows_.backups) {
    if (known.id == id) return;
  }
  if (!catalog || !catalog->row_cache(cluster_.key).find_backup(id, summary)) return;
  const auto place =
      std::find_if(rows_.backups.begin(), rows_.backups.end(),
                   [&](const BackupSummary& other) { return other.stop_lsn > summary.stop_lsn; });
  rows_.backups.insert(place, std::move(summary));
}

void Verification::verify_one_backup(const std::string& id) {
  if (id != progress_->backup) progress_->backup_files_done = 0;
  progress_->backup = id;
  const auto found = [&](Finding finding) {
    if (has_expired_meanwhile(id)) return;
    const bool is_told = !finding.consequence.empty();
    add({.finding = std::move(finding), .backup = is_told ? "" : id});
  };
  BackupSummary summary;
  try {
    summary = read_summary(storage_, cluster_.key, id);
  } catch (const Error& error) {
    know_backup(id);
    return found(finding_of(error, backup_manifest_key(cluster_.key, id)));
  }
  const VerifyBackupRequest request{
      .cluster = cluster_,
      .backup = std::move(summary),
      .jobs = jobs_,
      .files_done = progress_->backup_files_done,
      .is_chosen = [&](const std::string& path) { return is_chosen(id + "/" + path); }};
  verify_backup(storage_, request, rate_limit_, found, [&](const VerifiedFiles& group) {
    progress_->backup_files_done += group.files;
    progress_->backup_files += group.files;
    progress_->bytes += group.bytes;
    on_progress_();
  });
}

bool Verification::has_expired_meanwhile(const std::string& id) {
  return !storage_.open(backup_manifest_key(cluster_.key, id)) &&
         read_expiry(storage_, cluster_.key).covers_backup(id);
}

// A backup that runs or was given up has an owner still, one that was published has none.
void Verification::find_lost_manifests(const std::set<std::string>& published) {
  for (const std::string& id : storage_.list_folders("data/" + cluster_.key.to_string())) {
    if (published.contains(id) || !has_lost_its_manifest(storage_, cluster_.key, id)) continue;
    know_backup(id);
    add({.finding = {.kind = FindingKind::kMissing,
                     .object = backup_manifest_key(cluster_.key, id),
                     .detail = "the backup's data are stored, its manifest is not"},
         .backup = id});
  }
}

// ---------------------------------------------------------------------------------------------
// What is missing

void Verification::verify_continuity() {
  if (scope_.wal) {
    find_all_gaps();
    find_damaged_records();
    find_missing_histories();
  }
  if (scope_.backups) find_backups_without_wal();
}

// Between the segments of one timeline, and where a path changes from one to the next.
void Verification::find_all_gaps() {
  for (const TimelineId timeline : known_timelines(rows_)) {
    for (const SegmentGap& gap : find_gaps(rows_, timeline)) {
      add_gap(gap.after.next(cluster_.identity.segment_size), gap.before);
    }
  }
}

void Verification::add_gap(const SegmentName& first, const SegmentName& behind) {
  const SegmentSize size = cluster_.identity.segment_size;
  // Archived between the listing of one folder and that of the next.
  const std::string key = wal_key(cluster_.key, *WalFileName::parse(first.to_string()));
  if (storage_.open(key)) return;
  const Lsn begin = first.start(size);
  const Lsn end = std::max(behind.start(size), begin + size);
  const std::uint64_t missing = (end - begin) / size;
  add({.finding = {.kind = FindingKind::kGap,
                   .object = key,
                   .detail = fmt::format(
                       "{} missing before {}",
                       missing == 1 ? "1 segment is" : fmt::format("{} segments are", missing),
                       behind.to_string())},
       .timeline = first.timeline,
       .begin = begin,
       .end = end});
}

// Records over the border of two segments: neither file alone shows that one is damaged.
void Verification::find_damaged_records() {
  const SegmentSize size = cluster_.identity.segment_size;
  for (const LogSummary& log : rows_.wal.logs()) {
    if (!log.damaged) continue;
    const auto loaded = rows_.wal.load(log.timeline, log.log);
    for (const SegmentRow& row : loaded->segments) {
      if (!row.open_record_is_damaged) continue;
      add({.finding = {.kind = FindingKind::kCorrupt,
                       .object = row.key,
                       .detail = fmt::format("the record at {}, which ends in the next segment, is "
                                             "invalid, as it was archived: recovery ends there",
                                             format_lsn(row.index.open_record))},
           .timeline = row.name.timeline,
           .begin = row.name.start(size) + size - 1,
           .end = row.name.start(size) + size + 1});
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
         .consequence = LostMoments::without_history(timeline)});
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
    if (missing.empty()) {
      missing = fmt::format("its WAL from {} to {} cannot be replayed",
                            format_lsn(backup.start_lsn), format_lsn(backup.stop_lsn));
    }
    add({.finding = {.kind = FindingKind::kWalMissing,
                     .object = backup_manifest_key(cluster_.key, backup.id),
                     .detail = missing},
         .backup = backup.id});
  }
}

// ---------------------------------------------------------------------------------------------
// The catalog

void Verification::compare_with_catalog() {
  const std::string& directory = session_.config.state.directory;
  // Opened before the repository is listed: what comes in between is looked for again.
  auto catalog = Catalog::open_for_read(directory);
  // What was stored since the catalog was last brought up to date it need not know: the journal may
  // be lost, and other hosts have their own.
  const auto refreshed_at = catalog ? catalog->refreshed_at() : std::nullopt;
  if (!refreshed_at) return;
  refreshed_at_ = *refreshed_at;
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
  if (Catalog::is_being_written(directory)) {
    log_info("the catalog is being written by another pitr: it was not compared");
    return;
  }
  for (const std::string& key : unknown_to_catalog_) {
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
    if (known.erase(key) > 0 || !name || name->kind == StoredWalName::Kind::kBackupHistory) {
      return true;
    }
    try {
      const auto file = open_stored_file(storage_, key, cluster_.key, last_part(key));
      if (file && file->identity.created_at < refreshed_at_) unknown_to_catalog_.push_back(key);
    } catch (const Error&) {
      // Found before.
    }
    return true;
  });
  const SegmentSize size = cluster_.identity.segment_size;
  for (const std::string& key : known) {
    if (storage_.open(key)) continue;  // came meanwhile
    const auto name = parse_wal_key(key);
    const std::uint64_t number = name ? name->segment.number(size) : 0;
    if (name && rows_.expiry.covers(name->segment.timeline, number, number)) continue;
    NotedFinding noted{
        .finding = {.kind = FindingKind::kNotInRepository,
                    .object = key,
                    .detail = "the catalog knows it, and it is not stored any more"}};
    if (name && name->kind == StoredWalName::Kind::kSegment) {
      noted.timeline = name->segment.timeline;
      noted.begin = name->segment.start(size);
      noted.end = noted.begin + size;
    } else {
      noted.finding.consequence =
          "no moment is lost: recovery reads it only in place of a whole segment";
    }
    add(std::move(noted));
  }
}

void Verification::compare_backups(const std::vector<std::string>& ids) {
  std::set<std::string> known(ids.begin(), ids.end());
  storage_.list(backup_folder(cluster_.key), "", [&](const std::string& key) {
    const std::string id(last_part(key));
    if (known.erase(id) > 0) return true;
    for (const BackupSummary& backup : rows_.backups) {
      if (backup.id == id && backup.finished_at < refreshed_at_) unknown_to_catalog_.push_back(key);
    }
    return true;
  });
  for (const std::string& id : known) {
    const std::string key = backup_manifest_key(cluster_.key, id);
    if (storage_.open(key) || rows_.expiry.covers_backup(id)) continue;
    know_backup(id);
    add({.finding = {.kind = FindingKind::kNotInRepository,
                     .object = key,
                     .detail =
                         "the catalog knows this backup, and its manifest is not stored any more"},
         .backup = id});
  }
}

}  // namespace pitr
