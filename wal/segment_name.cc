#include "wal/segment_name.h"

#include <fmt/format.h>

namespace pitr {

namespace {

constexpr std::size_t kNameLength = 24;
constexpr std::size_t kFieldLength = 8;

std::uint32_t parse_field(std::string_view text, std::size_t index) {
  const auto number = parse_number(text.substr(index * kFieldLength, kFieldLength), 16);
  return static_cast<std::uint32_t>(number.value_or(0));
}

}  // namespace

std::optional<SegmentName> SegmentName::parse(std::string_view text) {
  if (text.size() != kNameLength) return std::nullopt;
  if (text.find_first_not_of("0123456789ABCDEF") != std::string_view::npos) return std::nullopt;
  return SegmentName{parse_field(text, 0), parse_field(text, 1), parse_field(text, 2)};
}

SegmentName SegmentName::containing(TimelineId timeline, Lsn lsn, SegmentSize size) {
  const std::uint64_t number = lsn / size;
  return {.timeline = timeline,
          .log = static_cast<std::uint32_t>(number / segments_per_log(size)),
          .segment = static_cast<std::uint32_t>(number % segments_per_log(size))};
}

std::string SegmentName::to_string() const {
  return fmt::format("{:08X}{:08X}{:08X}", timeline, log, segment);
}

std::uint64_t SegmentName::number(SegmentSize size) const {
  return log * segments_per_log(size) + segment;
}

Lsn SegmentName::start(SegmentSize size) const { return number(size) * size; }

SegmentName SegmentName::next(SegmentSize size) const {
  return containing(timeline, start(size) + size, size);
}

}  // namespace pitr
