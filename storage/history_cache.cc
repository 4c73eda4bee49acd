#include "storage/history_cache.h"

#include <algorithm>

#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "common/time.h"
#include "io/file.h"

namespace pitr {

namespace {

constexpr const char* kHighest = "highest";
constexpr const char* kUnreachable = "unreachable";

void write_note(const std::string& folder, const std::string& name, std::string_view contents) {
  const std::string path = folder + "/" + name;
  try {
    std::string present;
    if (try_read_whole_file(path, present) && present == contents) return;
    create_directories(folder);
    replace_file(path, contents);
  } catch (const Error& error) {
    log_warning(fmt::format("could not remember a timeline: {}", error.what()));
  }
}

}  // namespace

HistoryCache::HistoryCache(const std::string& state_directory, const ClusterKey& cluster)
    : folder_(fmt::format("{}/history/{}", state_directory, cluster.to_string())) {}

void HistoryCache::remember(TimelineId timeline, std::string_view contents) const {
  write_note(folder_, history_file_name(timeline), contents);
  remember_highest(timeline);
}

void HistoryCache::remember_highest(TimelineId timeline) const {
  if (timeline > highest()) write_note(folder_, kHighest, fmt::format("{}\n", timeline));
}

std::optional<std::string> HistoryCache::contents(TimelineId timeline) const {
  std::string contents;
  if (!try_read_whole_file(folder_ + "/" + history_file_name(timeline), contents)) {
    return std::nullopt;
  }
  return contents;
}

TimelineId HistoryCache::highest() const {
  std::string text;
  try {
    if (!try_read_whole_file(folder_ + "/" + kHighest, text)) return 0;
  } catch (const Error&) {
    return 0;
  }
  const auto highest = parse_number(text.substr(0, text.find('\n')), 10).value_or(0);
  return highest <= 0xFFFF'FFFF ? static_cast<TimelineId>(highest) : 0;
}

void HistoryCache::note_unreachable(std::string_view message) const {
  write_note(folder_, kUnreachable, fmt::format("{} {}\n", to_utc_text(now()), message));
}

std::string HistoryCache::unreachable_note() const {
  std::string note;
  try_read_whole_file(folder_ + "/" + kUnreachable, note);
  return note;
}

void HistoryCache::clear_unreachable() const {
  const std::string path = folder_ + "/" + kUnreachable;
  if (access(path.c_str(), F_OK) == 0) (void)!unlink(path.c_str());
}

}  // namespace pitr
