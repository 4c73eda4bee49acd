// The four kinds of WAL file that archive_command is given: segment, partial segment, timeline
// history and backup history file.
//
// A name that does not match this grammar never becomes a path: `%f` and `%p` come from outside.
// Same rules as IsXLogFileName() and its sisters in PostgreSQL's xlog_internal.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wal/segment_name.h"

namespace pitr {

enum class WalFileKind {
  kSegment,         // 000000010000000000000001
  kPartialSegment,  // 000000010000000000000001.partial
  kHistory,         // 00000002.history
  kBackupHistory,   // 000000010000000000000001.00000028.backup
};

struct WalFileName {
  WalFileKind kind = WalFileKind::kSegment;
  SegmentName segment;             // for kHistory only its timeline counts
  std::uint32_t backup_start = 0;  // kBackupHistory: offset of the start LSN in the segment
  std::string text;

  // Nothing unless `text` is exactly the name of a WAL file.
  static std::optional<WalFileName> parse(std::string_view text);

  bool has_pages() const {
    return kind == WalFileKind::kSegment || kind == WalFileKind::kPartialSegment;
  }
};

// In pg_wal, while recovery runs: segments that pitr-restore has fetched ahead. All of them are in
// the repository.
constexpr const char* kPrefetchFolder = "pitr.prefetch";

// "00000002.history"
std::string history_file_name(TimelineId timeline);

}  // namespace pitr
