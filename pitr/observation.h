// What can be seen of a cluster's backups at one moment, in a second or less: input of `pitr
// metrics` and of the thresholds of `pitr check`. Nothing is written, and what does not answer is
// left out instead of failing the rest.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "basebackup/server.h"
#include "pitr/audit_reader.h"
#include "pitr/session.h"

namespace pitr {

struct ObservedTimeline {
  TimelineId id = 0;
  std::uint64_t segments = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t gaps = 0;
  std::uint64_t missing_segments = 0;
  // Every moment of it can be reached: up to the newest that can.
  std::optional<Instant> recoverable_from;
  std::optional<Instant> recoverable_to;
};

// One published base backup.
struct ObservedBackup {
  Instant started_at;
  Instant finished_at;
  std::uint64_t size_bytes = 0;
  std::uint64_t stored_bytes = 0;
};

struct ObservedRepository {
  ClusterKey cluster;
  std::uint32_t postgres_version = 0;
  SegmentSize segment_size = 0;
  std::map<std::string, ObservedBackup> last_backups;  // by type: full
  std::uint64_t backups = 0;
  std::uint64_t usable_backups = 0;  // with all WAL that they need
  std::uint64_t backups_stored_bytes = 0;
  std::uint64_t unreadable_files = 0;
  std::vector<ObservedTimeline> timelines;
  std::uint64_t open_gaps = 0;  // behind the newest usable backup: no other reaches beyond
  std::optional<Instant> last_archived_at;
  Lsn archived_up_to = 0;  // on the server's timeline and those before it; 0: not known
};

struct ObservedServer {
  WalPosition position;
  ArchiverState archiver;
};

// Files in pg_wal/archive_status.
struct ReadyFiles {
  std::uint64_t count = 0;
  std::optional<Instant> oldest_at;  // since when the first one by name waits
};

struct VolumeSpace {
  std::uint64_t size_bytes = 0;
  std::uint64_t free_bytes = 0;  // for whoever asks, without what is kept for root

  double free_percent() const;
};

struct Observation {
  Instant at;
  double seconds = 0;  // how long it took
  std::string cluster;
  std::optional<std::uint64_t> system_identifier;
  std::optional<ObservedRepository> repository;
  std::optional<ObservedServer> server;
  std::optional<ReadyFiles> ready_files;
  std::optional<VolumeSpace> space;
  std::vector<AuditEntry> audit;      // of this cluster, oldest first
  std::vector<std::string> failures;  // what did not answer, in words

  // The newest entry of a command that came to an answer; null: none. A verification of a part that
  // found nothing does not take back what one has found before.
  const AuditEntry* last_answer(std::string_view command) const;
};

// WAL that the server has written and the repository does not hold.
struct ArchiveLag {
  std::optional<std::uint64_t> bytes;
  std::optional<std::uint64_t> segments;  // whole ones
  // Since when the first whole segment waits; 0: none does.
  std::optional<double> seconds;
};

// Pure.
ArchiveLag archive_lag(const Observation& observation);

// To the configured server, which must answer within `patience`, now and later.
std::unique_ptr<Server> connect_patiently(const Config& config, std::chrono::seconds patience);
constexpr std::chrono::seconds kServerPatience{3};

// Throws nothing that is not a bug: see Observation::failures.
Observation observe(const Session& session);

// What the rows tell, for a server that is on `timeline` (0: not known). Pure but for loading rows.
ObservedRepository observe_rows(const ClusterRows& rows, TimelineId timeline);

}  // namespace pitr
