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

}  // namespace pitr
