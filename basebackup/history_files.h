// Timeline history files that PostgreSQL will never offer again: a cluster that was on timeline 2
// before pitr came archived 00000002.history long ago, and without it no recovery on that timeline
// is possible.
#pragma once

#include <string>

#include "storage/repository.h"

namespace pitr {

// Copies every pg_wal/*.history that the repository lacks. Throws kMismatch when it holds another
// file of the same name.
void store_missing_history_files(Storage& storage, const ClusterRecord& cluster,
                                 const std::string& data_directory);

// Stores one that is not there yet; throws kMismatch as above, kCorrupt for a damaged one.
void store_history(Storage& storage, const ClusterRecord& cluster, const WalFileName& name,
                   const std::string& contents);

// Throws kSystem unless the repository holds the history file of a timeline other than 1.
void require_history_file(Storage& storage, const ClusterRecord& cluster, TimelineId timeline);

}  // namespace pitr
