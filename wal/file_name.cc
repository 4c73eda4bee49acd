#include "wal/file_name.h"

#include <fmt/format.h>

namespace pitr {

namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

std::optional<std::uint32_t> parse_hex8(std::string_view text) {
  if (text.size() != 8 || text.find_first_not_of(kHexDigits) != std::string_view::npos) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(parse_number(text, 16).value_or(0));
}

}  // namespace

std::optional<WalFileName> WalFileName::parse(std::string_view text) {
  const std::size_t dot = text.find('.');
  const std::string_view stem = text.substr(0, dot);
  const std::string_view suffix = dot == std::string_view::npos ? "" : text.substr(dot);
  WalFileName name{.text = std::string(text)};

  if (suffix == ".history") {
    const auto timeline = parse_hex8(stem);
    if (!timeline) return std::nullopt;
    name.kind = WalFileKind::kHistory;
    name.segment.timeline = *timeline;
    return name;
  }
  const auto segment = SegmentName::parse(stem);
  if (!segment) return std::nullopt;
  name.segment = *segment;
  if (suffix.empty()) {
    name.kind = WalFileKind::kSegment;
  } else if (suffix == ".partial") {
    name.kind = WalFileKind::kPartialSegment;
  } else if (suffix.size() == 16 && suffix.ends_with(".backup")) {
    const auto offset = parse_hex8(suffix.substr(1, 8));
    if (!offset) return std::nullopt;
    name.kind = WalFileKind::kBackupHistory;
    name.backup_start = *offset;
  } else {
    return std::nullopt;
  }
  return name;
}

std::string history_file_name(TimelineId timeline) {
  return fmt::format("{:08X}.history", timeline);
}

}  // namespace pitr
