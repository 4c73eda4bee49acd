#include "wal/timeline_history.h"

#include <fmt/format.h>

#include "common/error.h"
#include "wal/file_name.h"

namespace pitr {

namespace {

[[noreturn]] void throw_bad_line(TimelineId timeline, std::string_view line) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("timeline history file \"{}\" is damaged",
                                      history_file_name(timeline)),
               .detail = fmt::format("It has the line \"{}\".", line.substr(0, 200))});
}

std::string_view take_word(std::string_view& line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  const std::size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

}  // namespace

std::vector<TimelineStretch> parse_timeline_history(TimelineId timeline,
                                                    std::string_view contents) {
  std::vector<TimelineStretch> path;
  Lsn begin = 0;
  while (!contents.empty()) {
    const std::string_view line = contents.substr(0, contents.find('\n'));
    contents.remove_prefix(std::min(line.size() + 1, contents.size()));
    std::string_view rest = line;
    const std::string_view id_text = take_word(rest);
    if (id_text.empty() || id_text.front() == '#' || id_text == "\r") continue;
    const auto id = parse_number(id_text, 10);
    const auto end = parse_lsn(take_word(rest));
    // A timeline's number is greater than its parent's, and less than the file's own.
    if (!id || !end || *id == 0 || *id >= timeline || *end < begin ||
        (!path.empty() && *id <= path.back().timeline)) {
      throw_bad_line(timeline, line);
    }
    path.push_back({static_cast<TimelineId>(*id), begin, *end});
    begin = *end;
  }
  path.push_back({timeline, begin, kEndOfTime});
  return path;
}

TimelineId timeline_of(const std::vector<TimelineStretch>& path, Lsn lsn) {
  for (const TimelineStretch& stretch : path) {
    if (lsn < stretch.end) return stretch.timeline;
  }
  return path.back().timeline;
}

}  // namespace pitr
