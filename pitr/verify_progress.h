// How far a verification has come, noted in the state directory: one that was stopped goes on
// there.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "catalog/finding.h"
#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

// What was found, and what it takes away. Which moments that costs, the end tells: it depends on
// everything else that was found.
struct NotedFinding {
  Finding finding;
  std::string backup;        // that cannot be restored without it; empty: none
  bool is_lost_wal = false;  // finding.object is a file of WAL that cannot be used
  TimelineId timeline = 0;   // of the WAL that is lost; begin and end are 0 where none is
  Lsn begin = 0;
  Lsn end = 0;

  bool operator==(const NotedFinding&) const = default;
};

struct VerifyProgress {
  Instant started_at;
  std::string wal_key;  // the WAL file that was verified last; empty: none yet
  std::string backup;   // the base backup that was begun last; empty: none yet
  std::uint64_t backup_files_done = 0;
  std::uint64_t segments = 0;
  std::uint64_t backup_files = 0;
  std::uint64_t bytes = 0;
  std::vector<NotedFinding> findings;
  std::uint64_t findings_not_kept = 0;  // more than the most of a kind
};

// Not thread-safe.
class VerifyProgressFile {
 public:
  // `question` is what was asked for: each has a note of its own.
  VerifyProgressFile(const std::string& state_directory, const std::string& question);

  // Nothing where there is none that can be read.
  std::optional<VerifyProgress> load() const;
  // At most once a second. A state directory that cannot be written costs a warning.
  void save(const VerifyProgress& progress);
  void remove();

 private:
  std::string path_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
  bool usable_ = true;
};

}  // namespace pitr
