#include "pitr/observation.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <set>

#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fmt/format.h>

#include "catalog/recovery_plan.h"
#include "catalog/retention.h"
#include "catalog/wal_path.h"
#include "common/error.h"

namespace pitr {

namespace {

double seconds_between(Instant from, Instant to) {
  return std::chrono::duration<double>(to - from).count();
}

// Among the moments that can be reached the unbroken ones up to the newest.
void add_window(ObservedTimeline& timeline, const std::vector<ReachableWindow>& windows) {
  Lsn end = 0;
  for (const ReachableWindow& window : windows) {
    if (window.timeline != timeline.id || window.to_lsn < end) continue;
    const Instant to = window.to_time.value_or(window.from_time);
    if (window.to_lsn > end) timeline.recoverable_from = window.from_time;
    end = window.to_lsn;
    timeline.recoverable_from = std::min(*timeline.recoverable_from, window.from_time);
    timeline.recoverable_to = std::max(timeline.recoverable_to.value_or(to), to);
  }
}

ObservedTimeline observe_timeline(const ClusterRows& rows, TimelineId id,
                                  const std::vector<ReachableWindow>& windows) {
  ObservedTimeline timeline{.id = id};
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.timeline != id) continue;
    timeline.segments += log.segments;
    timeline.stored_bytes += log.stored_bytes;
  }
  for (const SegmentGap& gap : find_gaps(rows, id)) {
    ++timeline.gaps;
    timeline.missing_segments += gap.missing;
  }
  add_window(timeline, windows);
  return timeline;
}

// Behind the newest backup that is usable.
std::uint64_t count_open_gaps(const ClusterRows& rows, const std::set<std::string>& usable) {
  const std::vector<const BackupSummary*> backups = newest_first(rows);
  const auto newest =
      std::find_if(backups.begin(), backups.end(),
                   [&](const BackupSummary* backup) { return usable.contains(backup->id); });
  if (newest == backups.end()) return 0;
  std::vector<SegmentGap> all;
  for (const TimelineId id : known_timelines(rows)) {
    const std::vector<SegmentGap> gaps = find_gaps(rows, id);
    all.insert(all.end(), gaps.begin(), gaps.end());
  }
  const SegmentSize size = rows.cluster.identity.segment_size;
  return static_cast<std::uint64_t>(std::count_if(
      all.begin(), all.end(),
      [&](const SegmentGap& gap) { return gap.before.start(size) > (*newest)->stop_lsn; }));
}

// Of an abandoned timeline only what lies before the fork counts: its later segments would hide
// that nothing of the present one is archived.
Lsn archived_up_to(const ClusterRows& rows, TimelineId timeline) {
  const SegmentSize size = rows.cluster.identity.segment_size;
  const auto path = timeline_path(rows, timeline);
  Lsn end = 0;
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.segments == 0) continue;
    const Lsn log_end = SegmentName{log.timeline, log.log, log.last}.start(size) + size;
    if (!path) {
      if (log.timeline == timeline) end = std::max(end, log_end);
      continue;
    }
    for (const TimelineStretch& stretch : *path) {
      if (stretch.timeline == log.timeline) end = std::max(end, std::min(log_end, stretch.end));
    }
  }
  return end;
}

ReadyFiles count_ready_files(const std::string& data_directory) {
  const std::string folder = data_directory + "/pg_wal/archive_status";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(folder.c_str()), closedir);
  if (!directory) throw_file_error("read directory", folder, errno);
  ReadyFiles ready;
  std::string first;
  errno = 0;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (!name.ends_with(".ready")) continue;
    ++ready.count;
    if (first.empty() || name < first) first = name;
  }
  if (errno != 0) throw_file_error("read directory", folder, errno);
  struct stat status {};
  // It may have been archived in the meantime.
  if (!first.empty() && stat((folder + "/" + first).c_str(), &status) == 0) {
    ready.oldest_at = from_unix_time(status.st_mtim.tv_sec);
  }
  return ready;
}

VolumeSpace space_of(const std::string& path) {
  struct statvfs status {};
  if (statvfs(path.c_str(), &status) != 0) throw_file_error("read free space of", path, errno);
  return {.size_bytes = std::uint64_t{status.f_blocks} * status.f_frsize,
          .free_bytes = std::uint64_t{status.f_bavail} * status.f_frsize};
}

// Notes what does not answer, and goes on.
void try_to(Observation& observation, const char* what, const std::function<void()>& look) {
  try {
    look();
  } catch (const Error& error) {
    const ErrorReport& report = error.report();
    std::string words = fmt::format("{}: {}", what, report.message);
    if (!report.detail.empty()) words += ": " + report.detail;
    observation.failures.push_back(std::move(words));
  }
}

ObservedServer observe_server(const Config& config) {
  const auto server = connect_patiently(config, kServerPatience);
  return {.position = server->wal_position(), .archiver = server->archiver_state()};
}

ObservedRepository observe_repository(const Session& session, TimelineId timeline) {
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = session_cluster(session, *storage);
  return observe_rows(session_rows(session, *storage, cluster), timeline);
}

}  // namespace

std::unique_ptr<Server> connect_patiently(const Config& config, std::chrono::seconds patience) {
  // libpq's default for a string that sets none.
  setenv("PGCONNECT_TIMEOUT", std::to_string(patience.count()).c_str(), 0);
  auto server = std::make_unique<Server>(config.cluster.connection);
  server->limit_answers(patience);
  return server;
}

double VolumeSpace::free_percent() const {
  return size_bytes == 0 ? 0
                         : 100 * static_cast<double>(free_bytes) / static_cast<double>(size_bytes);
}

const AuditEntry* Observation::last_answer(std::string_view command) const {
  const AuditEntry* last = nullptr;
  for (const AuditEntry& entry : audit) {
    if (entry.command != command || !entry.has_answer()) continue;
    const bool is_part = entry.did.contains("part") && !entry.did.at("part").is_null();
    if (last != nullptr && last->outcome == "finding" && entry.outcome == "ok" && is_part) continue;
    last = &entry;
  }
  return last;
}

ArchiveLag archive_lag(const Observation& observation) {
  ArchiveLag lag;
  const auto& repository = observation.repository;
  if (repository && observation.server && repository->archived_up_to > 0) {
    const Lsn written = observation.server->position.lsn;
    const Lsn archived = repository->archived_up_to;
    lag.bytes = written > archived ? written - archived : 0;
    lag.segments = *lag.bytes / repository->segment_size;
  }
  const auto& ready = observation.ready_files;
  if (ready && ready->oldest_at) {
    lag.seconds = std::max(0.0, seconds_between(*ready->oldest_at, observation.at));
  } else if (lag.segments && *lag.segments > 0 && repository->last_archived_at) {
    // Nothing waits to be archived, and yet it is not there: nobody will bring it.
    lag.seconds = std::max(0.0, seconds_between(*repository->last_archived_at, observation.at));
  } else if (lag.segments || ready) {
    lag.seconds = 0;
  }
  return lag;
}

ObservedRepository observe_rows(const ClusterRows& rows, TimelineId timeline) {
  const std::vector<ReachableWindow> windows = reachable_windows(rows);
  ObservedRepository seen{.cluster = rows.cluster.key,
                          .postgres_version = rows.cluster.identity.postgres_version,
                          .segment_size = rows.cluster.identity.segment_size,
                          .backups = rows.backups.size(),
                          .unreadable_files = rows.unreadable.size()};
  std::set<std::string> usable;
  for (const ReachableWindow& window : windows)
    usable.insert(window.backup_id);
  for (const BackupSummary& backup : rows.backups) {
    seen.backups_stored_bytes += backup.stored_bytes;
    if (usable.contains(backup.id) && backup.page_errors.empty()) ++seen.usable_backups;
    ObservedBackup& last = seen.last_backups["full"];
    if (backup.finished_at < last.finished_at) continue;
    last = {backup.started_at, backup.finished_at, backup.size_bytes, backup.stored_bytes};
  }
  for (const TimelineId id : known_timelines(rows))
    seen.timelines.push_back(observe_timeline(rows, id, windows));
  seen.open_gaps = count_open_gaps(rows, usable);
  for (const LogSummary& log : rows.wal.logs()) {
    if (log.segments == 0) continue;
    seen.last_archived_at =
        std::max(seen.last_archived_at.value_or(log.last_archived_at), log.last_archived_at);
  }
  if (timeline != 0) seen.archived_up_to = archived_up_to(rows, timeline);
  return seen;
}

Observation observe(const Session& session) {
  const Config& config = session.config;
  const auto begun = std::chrono::steady_clock::now();
  Observation seen{.cluster = config.cluster.name};
  seen.system_identifier = local_system_identifier(config);
  try_to(seen, "server", [&] { seen.server = observe_server(config); });
  const TimelineId timeline = seen.server ? seen.server->position.timeline : 0;
  try_to(seen, "repository", [&] {
    seen.repository = observe_repository(session, timeline);
    seen.system_identifier = seen.repository->cluster.system_identifier;
  });
  if (!config.cluster.data_directory.empty()) {
    try_to(seen, "waiting WAL",
           [&] { seen.ready_files = count_ready_files(config.cluster.data_directory); });
  }
  try_to(seen, "free space", [&] { seen.space = space_of(repository_path(config)); });
  try_to(seen, "audit log", [&] {
    // Rotated a moment ago, most of it may be in the file before.
    seen.audit = read_audit_tail(audit_log_path(config) + ".1");
    for (AuditEntry& entry : read_audit_tail(audit_log_path(config)))
      seen.audit.push_back(std::move(entry));
    std::erase_if(seen.audit, [&](const AuditEntry& entry) {
      const auto identifier = entry.system_identifier;
      return entry.cluster != seen.cluster ||
             (identifier && seen.system_identifier && *identifier != *seen.system_identifier);
    });
  });
  seen.at = now();
  seen.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return seen;
}

}  // namespace pitr
