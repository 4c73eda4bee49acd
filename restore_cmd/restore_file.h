// The way of a segment back out of the repository.
#pragma once

#include <optional>
#include <string>

#include "storage/repository.h"
#include "wal/file_name.h"

namespace pitr {

struct RestoreRequest {
  WalFileName name;
  std::string destination;
  ClusterRecord cluster;
  unsigned jobs = 1;
  // A standby goes on asking, and may get what is missing from its primary: to it "absent" is
  // harmless where another timeline has forked off later.
  bool standby = false;
};

enum class RestoreOutcome {
  kRestored,  // the complete, verified file is at the destination
  kAbsent,    // certainly not stored, and no later WAL is
  kGap,       // not stored, but a later segment is, of its timeline or of one that forked off later
};

struct RestoreAnswer {
  RestoreOutcome outcome = RestoreOutcome::kAbsent;
  std::string present;  // kGap: the later segment that is stored
};

// Its two steps, for the prefetcher. The stored file under a key, with every check that its trailer
// allows; nothing: certainly not stored.
std::optional<StoredFile> open_wal_file(const RestoreRequest& request, Storage& storage,
                                        const std::string& key);
// Hands on the contents as ArchiveReader::inspect_all() does, so in no order and on several
// threads, the header of the first page checked.
void read_wal_file(const RestoreRequest& request, const StoredFile& stored,
                   const ArchiveReader::Consumer& consumer);

// Fetches one WAL file. Throws kSystem while the repository cannot answer, and kCorrupt for a
// stored file that fails its checks; the destination is untouched then.
RestoreAnswer restore_file(const RestoreRequest& request, Storage& storage);

}  // namespace pitr
