#include "pitr/timeline_chart.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace pitr {

namespace {

constexpr char kOnlyWal = '-';
constexpr char kRecoverable = '=';
constexpr char kGap = '.';
constexpr char kBackup = 'B';
constexpr char kFork = '\\';

// Maps the time of all timelines to columns.
class Axis {
 public:
  Axis(const std::vector<ChartTimeline>& timelines, std::size_t width) : width_(width) {
    for (const ChartTimeline& timeline : timelines) {
      if (timeline.wal) take(*timeline.wal);
      for (const Instant backup : timeline.backups)
        take({backup, backup});
    }
  }

  bool empty() const { return !span_; }
  Instant begin() const { return span_->first; }
  Instant end() const { return span_->second; }

  std::size_t column(Instant instant) const {
    const auto length = (end() - begin()).count();
    if (length == 0) return 0;
    const auto since = std::clamp<decltype(length)>((instant - begin()).count(), 0, length);
    return static_cast<std::size_t>(static_cast<double>(since) / static_cast<double>(length) *
                                    static_cast<double>(width_ - 1));
  }

 private:
  void take(const TimeSpan& span) {
    if (!span_) span_ = span;
    span_->first = std::min(span_->first, span.first);
    span_->second = std::max(span_->second, span.second);
  }

  std::size_t width_;
  std::optional<TimeSpan> span_;
};

std::string draw_bar(const ChartTimeline& timeline, const Axis& axis, std::size_t width) {
  std::string bar(width, ' ');
  const auto paint = [&](const TimeSpan& span, char mark) {
    for (std::size_t i = axis.column(span.first); i <= axis.column(span.second); ++i)
      bar[i] = mark;
  };
  if (timeline.wal) paint(*timeline.wal, kOnlyWal);
  for (const TimeSpan& span : timeline.recoverable)
    paint(span, kRecoverable);
  for (const TimeSpan& span : timeline.gaps)
    paint(span, kGap);
  for (const Instant backup : timeline.backups)
    bar[axis.column(backup)] = kBackup;
  const std::size_t first = bar.find_first_not_of(' ');
  if (timeline.parent != 0 && first != std::string::npos && first > 0) bar[first - 1] = kFork;
  bar.erase(bar.find_last_not_of(' ') + 1);
  return bar;
}

// Without the fraction of a second: "2026-11-22 11:00:00+01:00".
std::string label(Instant instant) {
  std::string text = to_local_text(instant);
  constexpr std::size_t kSeconds = std::string_view("2026-11-22 11:00:00").size();
  constexpr std::size_t kFraction = std::string_view(".123456").size();
  if (text.size() > kSeconds + kFraction && text[kSeconds] == '.') text.erase(kSeconds, kFraction);
  return text;
}

}  // namespace

std::string draw_timelines(const std::vector<ChartTimeline>& timelines, std::size_t width) {
  const Axis axis(timelines, width);
  if (axis.empty()) return {};
  const std::string begin = label(axis.begin());
  const std::string end = label(axis.end());
  const std::size_t room = width > begin.size() ? width - begin.size() : 1;
  std::string text =
      fmt::format("  {:>8} {}{:>{}}\n", "", begin, end, std::max(room, end.size() + 1));
  bool gaps = false;
  bool forks = false;
  for (const ChartTimeline& timeline : timelines) {
    text += fmt::format("  {:>8} {}\n", timeline.id, draw_bar(timeline, axis, width));
    gaps |= !timeline.gaps.empty();
    forks |= timeline.parent != 0;
  }
  return text +
         fmt::format(
             "  {:>8} {} any moment can be reached  {} backup  {} WAL without a backup{}{}\n", "",
             kRecoverable, kBackup, kOnlyWal, gaps ? fmt::format("  {} gap", kGap) : "",
             forks ? fmt::format("  {} fork", kFork) : "");
}

}  // namespace pitr
