// The process that stays ahead of recovery, one for each destination.
//
// PostgreSQL asks for one segment, replays it, asks for the next. Meanwhile this process fetches
// and verifies those that it will ask for, and the next call takes one by a rename. It only ever
// makes a "here it is" faster: what is absent, damaged or behind a gap is left to the call itself,
// which finds it and says so. So it may be killed, be wrong about what comes next, or be missing.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "common/config.h"
#include "restore_cmd/prefetch_folder.h"
#include "wal/timeline_history.h"

namespace pitr {

// Until recovery ends, the server or the folder is gone, or nothing was asked for a minute; then
// the folder is removed. Throws nothing. The folder is locked by the caller; the working directory
// is the data directory.
void run_prefetcher(const Config& config, const PrefetchOwner& owner, PrefetchFolder& folder);

// How many segments are fetched ahead where replay takes `per_segment` for one; nothing: not known
// yet. At most `most`.
unsigned prefetch_window(std::optional<std::chrono::duration<double>> per_segment, unsigned most);

// How many segments may lie on a volume with so many bytes left: a quarter of what was free without
// the `held` ones that lie there already. On a full volume PostgreSQL ends with a PANIC.
std::uint64_t prefetch_room(std::uint64_t bytes_left, std::uint64_t held, SegmentSize size);

// The segment of that number which recovery asks for first: that of the newest timeline on its path
// that has begun there (XLogFileReadAnyTLI() in xlogrecovery.c).
SegmentName segment_on_path(const std::vector<TimelineStretch>& path, std::uint64_t number,
                            SegmentSize size);

}  // namespace pitr
