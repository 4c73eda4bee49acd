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

namespace pitr {

struct VerifyProgress {
  Instant started_at;
  std::string wal_key;  // the WAL file that was verified last; empty: none yet
  std::string backup;   // the base backup that was begun last; empty: none yet
  std::uint64_t backup_files_done = 0;
  std::uint64_t segments = 0;
  std::uint64_t backup_files = 0;
  std::uint64_t bytes = 0;
  std::vector<Finding> findings;
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
