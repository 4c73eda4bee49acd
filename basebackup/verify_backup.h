// Reads a stored base backup back: its manifest, every object and file, the pages of relations, and
// PostgreSQL's manifest beside ours.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "catalog/backup_summary.h"
#include "catalog/finding.h"
#include "io/rate_limit.h"
#include "storage/repository.h"

namespace pitr {

struct VerifyBackupRequest {
  ClusterRecord cluster;
  BackupSummary backup;
  unsigned jobs = 1;
  std::uint64_t files_done = 0;  // files of the manifest that were verified before: passed over
  // Whether the contents of a group of files are read, by the path of its first one.
  std::function<bool(const std::string& path)> is_chosen;
};

struct VerifiedFiles {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

// What it finds has no consequence yet. After each group of files, in the manifest's order,
// `on_progress` is told what was read. Both are called on the caller's thread. A storage that
// fails is a finding: the caller finds out whether it answers at all.
void verify_backup(Storage& storage, const VerifyBackupRequest& request, RateLimit& rate_limit,
                   const FindingConsumer& found,
                   const std::function<void(const VerifiedFiles& group)>& on_progress);

}  // namespace pitr
