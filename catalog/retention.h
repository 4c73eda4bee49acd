// Which base backups and which WAL stay, and why: docs/retention.md says it for people. Pure over
// the rows: it decides, `pitr expire` does.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "catalog/cluster_rows.h"
#include "catalog/pins.h"
#include "common/config.h"

namespace pitr {

// A restore that reads a backup, or a recovery that goes on from it.
struct BackupUse {
  std::string backup;
  std::string by;  // "pitr restore, process 4711 on db1"
};

struct RetentionRequest {
  RetentionPolicy policy;
  std::vector<BackupPin> pins;
  std::vector<BackupUse> uses;
  // Backups that cannot be restored although all of their WAL is there.
  std::set<std::string> broken;
  // Whose data the files of a backup lie in, besides its own.
  std::map<std::string, std::set<std::string>> references;
  Instant now;
  // Moments of the same name's other system identifiers: time went on there, too.
  std::vector<Instant> also_recorded;
  bool is_current = true;  // false: a system identifier from before pg_upgrade
};

struct BackupVerdict {
  const BackupSummary* backup = nullptr;
  bool is_usable = false;            // all of its WAL is there, and it is not broken
  bool keeps_wal = false;            // all WAL after it stays, too
  std::vector<std::string> reasons;  // why it stays; empty: it goes

  bool is_kept() const { return !reasons.empty(); }
};

// Segments of one timeline, by number, that go. Tails and partial segments among them go as well.
struct ExpiredWal {
  SegmentRange range;
  std::uint64_t segments = 0;  // that are stored, whole ones
  std::uint64_t stored_bytes = 0;
};

// What stays of a timeline, for people.
struct KeptWal {
  SegmentRange range;  // `last` is the greatest number where there is no end
  std::string reason;
};

struct RetentionDecision {
  std::vector<BackupVerdict> backups;  // newest first
  std::vector<ExpiredWal> wal;         // by timeline, oldest first; never touching what is kept
  std::vector<KeptWal> kept_wal;       // by timeline
  // With `days`: every moment from here on that could be reached before can be reached still.
  std::optional<Instant> days_begin;

  const BackupVerdict* find(const std::string& id) const;
};

// The rows must outlive it. The policy is not empty.
RetentionDecision decide_retention(const ClusterRows& rows, const RetentionRequest& request);

// Why one backup may not be removed by its id; nothing: it may. The policy is not asked, and of a
// system identifier from before pg_upgrade also the last one may go.
std::optional<std::string> why_not_removable(const ClusterRows& rows,
                                             const RetentionRequest& request,
                                             const std::string& id);

// The last `count` days begin here. A clock that is ahead of everything that was ever recorded does
// not count, and where nothing was recorded for more than a week that time does not count, either:
// it may have been a clock that jumped. `recorded` in any order.
Instant begin_of_days(std::vector<Instant> recorded, Instant now, unsigned count);

// `now`, but not more than a day ahead of everything that was ever recorded.
Instant trusted_now(const std::vector<Instant>& recorded, Instant now);

// When something of the cluster was finished, archived or committed.
std::vector<Instant> recorded_moments(const ClusterRows& rows);

// The record of what was removed, once the decision is carried out: also what is missing between
// the pieces that stay. What is stored and stays is not in it, although an expiry that was stopped
// may have meant to remove it. The rows know what was recorded before.
Expiry expiry_after(const ClusterRows& rows, const RetentionDecision& decision);

// Newest first: by LSN along the timelines; where these say nothing, by the time of their end.
std::vector<const BackupSummary*> newest_first(const ClusterRows& rows);

}  // namespace pitr
