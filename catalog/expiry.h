// What `pitr expire` has removed of a cluster: without this record the WAL that is not there any
// more between two kept pieces would pass for a gap. Format: "Expiry records" in
// storage/LAYOUT.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/time.h"
#include "storage/repository.h"
#include "wal/segment_name.h"

namespace pitr {

// Segments `first` to `last`, by number, of one timeline.
struct SegmentRange {
  TimelineId timeline = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  bool operator==(const SegmentRange&) const = default;
};

// Sorted by timeline, then number; ranges that touch or overlap are joined.
std::vector<SegmentRange> join_ranges(std::vector<SegmentRange> ranges);
// What of `ranges` is not in `taken`.
std::vector<SegmentRange> subtract_ranges(const std::vector<SegmentRange>& ranges,
                                          const std::vector<SegmentRange>& taken);

struct Expiry {
  Instant expired_at;                // the last time
  std::vector<SegmentRange> wal;     // joined
  std::vector<std::string> backups;  // ids; the last of many

  bool covers(TimelineId timeline, std::uint64_t first, std::uint64_t last) const;
  bool covers_backup(const std::string& id) const;
  bool operator==(const Expiry&) const = default;
};

std::string encode_expiry(const Expiry& expiry);
// Throws kCorrupt.
Expiry decode_expiry(std::string_view text);

// Both together.
Expiry join(const Expiry& earlier, const Expiry& later);

// All records of the cluster, joined. Throws kCorrupt.
Expiry read_expiry(Storage& storage, const ClusterKey& cluster);

// Makes `expiry` the cluster's only record: the ones before are removed when it is durable.
void replace_expiry(Storage& storage, const ClusterRecord& cluster, const Expiry& expiry);

}  // namespace pitr
