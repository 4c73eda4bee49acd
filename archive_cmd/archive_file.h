// The way of a segment into the repository.
#pragma once

#include <chrono>
#include <string>

#include "catalog/journal.h"
#include "common/config.h"
#include "storage/repository.h"

namespace pitr {

struct ArchiveRequest {
  std::string path;  // of the WAL file; its last part is the name under which it is stored
  ClusterRecord cluster;
  Compression compression;
  unsigned jobs = 1;
  unsigned look_ahead = 0;  // further segments that one call may archive, see look_ahead.h
  std::chrono::milliseconds look_ahead_time{0};
  RingMode ring = RingMode::kAuto;
};

// Stores one WAL file. Beyond its return the file is durable in the repository, now or since an
// earlier call with the same contents, and PostgreSQL may remove its own copy. Throws, and leaves
// what was stored before as it was, in every other case.
void archive_file(const ArchiveRequest& request, Storage& storage, const Journal& journal);

}  // namespace pitr
