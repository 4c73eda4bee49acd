// Every row of a cluster at once, which only a test may hold.
#pragma once

#include "catalog/cluster_rows.h"

namespace pitr::testing {

inline LogRows all_rows(const ClusterRows& rows) {
  LogRows all;
  for (const LogSummary& log : rows.wal.logs()) {
    const auto loaded = rows.wal.load(log.timeline, log.log);
    all.segments.insert(all.segments.end(), loaded->segments.begin(), loaded->segments.end());
    all.beginnings.insert(all.beginnings.end(), loaded->beginnings.begin(),
                          loaded->beginnings.end());
  }
  return all;
}

}  // namespace pitr::testing
