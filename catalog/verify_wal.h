// Reads one stored WAL file back and compares it with its name, its trailer and its index.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "catalog/finding.h"
#include "storage/repository.h"

namespace pitr {

struct VerifiedWalFile {
  bool is_segment = false;  // a whole one
  std::uint64_t bytes = 0;  // of raw contents that were read
  // Of the WAL that the file holds, if it holds any.
  TimelineId timeline = 0;
  Lsn start_lsn = 0;
  Lsn end_lsn = 0;
};

// What it finds has no consequence yet. With `contents` false only the trailer is read.
// `before_read` is told of the bytes of each block. A storage that fails is a finding, too: the
// caller finds out whether it answers at all. A file that is gone was removed meanwhile, and is
// none.
VerifiedWalFile verify_wal_file(Storage& storage, const ClusterRecord& cluster,
                                const std::string& key, bool contents,
                                const std::function<void(std::uint64_t bytes)>& before_read,
                                const FindingConsumer& found);

}  // namespace pitr
