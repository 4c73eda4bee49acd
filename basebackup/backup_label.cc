#include "basebackup/backup_label.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/error.h"
#include "wal/segment_name.h"

namespace pitr {

namespace {

// The next line, without its end; `contents` goes on behind it.
std::string_view take_line(std::string_view& contents) {
  const std::string_view line = contents.substr(0, contents.find('\n'));
  contents.remove_prefix(std::min(line.size() + 1, contents.size()));
  return line;
}

// What follows `key`; empty for another line.
std::string_view value_of(std::string_view line, std::string_view key) {
  return line.starts_with(key) ? line.substr(key.size()) : std::string_view();
}

}  // namespace

BackupLabel parse_backup_label(std::string_view contents) {
  constexpr std::string_view kFile = " (file ";
  // A/2000028 (file 000000030000000A00000002)
  const std::string_view location = value_of(take_line(contents), "START WAL LOCATION: ");
  const std::size_t file = std::min(location.find(kFile), location.size());
  std::string_view name = location.substr(std::min(file + kFile.size(), location.size()));
  const bool closed = name.ends_with(')');
  if (closed) name.remove_suffix(1);
  const auto segment = SegmentName::parse(name);
  const auto start = parse_lsn(location.substr(0, file));
  const auto checkpoint = parse_lsn(value_of(take_line(contents), "CHECKPOINT LOCATION: "));
  std::optional<std::uint64_t> timeline;
  while (!contents.empty() && !timeline) {
    timeline = parse_number(value_of(take_line(contents), "START TIMELINE: "), 10);
  }
  if (!start || !closed || !segment || !checkpoint || !timeline || *timeline == 0 ||
      *timeline != segment->timeline) {
    throw Error({.kind = ErrorKind::kCorrupt, .message = "backup_label is damaged"});
  }
  return {.start_lsn = *start,
          .checkpoint_lsn = *checkpoint,
          .timeline = static_cast<TimelineId>(*timeline)};
}

}  // namespace pitr
