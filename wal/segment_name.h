// The names PostgreSQL gives to WAL segments.
//
// A name is 24 upper-case hex digits, TTTTTTTTLLLLLLLLSSSSSSSS: the timeline, then the segment
// number in two halves. Where the halves divide depends on wal_segment_size, so a name alone gives
// no position in the WAL. Same arithmetic as XLogFileName() in PostgreSQL's xlog_internal.h.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wal/lsn.h"

namespace pitr {

struct SegmentName {
  TimelineId timeline = 0;
  std::uint32_t log = 0;      // high half of the segment number
  std::uint32_t segment = 0;  // low half, less than segments_per_log(size) in a valid name

  // Nothing unless `text` is exactly a segment name. Files called .partial, .backup or .history
  // are WAL files of another kind: see wal/file_name.h.
  static std::optional<SegmentName> parse(std::string_view text);

  // The segment on `timeline` that holds the byte at `lsn`.
  static SegmentName containing(TimelineId timeline, Lsn lsn, SegmentSize size);

  std::string to_string() const;
  bool is_valid(SegmentSize size) const { return segment < segments_per_log(size); }
  std::uint64_t number(SegmentSize size) const;  // segment number, LSN / size
  Lsn start(SegmentSize size) const;             // position of the first byte
  SegmentName next(SegmentSize size) const;      // the following segment of the same timeline

  auto operator<=>(const SegmentName&) const = default;
};

}  // namespace pitr
