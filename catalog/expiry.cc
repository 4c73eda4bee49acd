#include "catalog/expiry.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

// An id is of no use any more when every catalog that knew it has been brought up to date.
constexpr std::size_t kMostBackups = 1000;

[[noreturn]] void throw_damaged() {
  throw Error({.kind = ErrorKind::kCorrupt, .message = "the record of what expired is damaged"});
}

std::uint64_t number_in(std::string_view text, int base) {
  const auto number = parse_number(text, base);
  if (!number) throw_damaged();
  return *number;
}

// The next word of a line.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

void decode_line(std::string_view line, Expiry& expiry) {
  const std::string_view what = take_word(line);
  if (what == "expired_at") {
    const auto count = static_cast<std::int64_t>(number_in(take_word(line), 10));
    expiry.expired_at = Instant(std::chrono::microseconds(count));
  } else if (what == "wal") {
    SegmentRange range;
    range.timeline = static_cast<TimelineId>(number_in(take_word(line), 16));
    range.first = number_in(take_word(line), 16);
    range.last = number_in(take_word(line), 16);
    if (range.last < range.first) throw_damaged();
    expiry.wal.push_back(range);
  } else if (what == "backup") {
    expiry.backups.emplace_back(take_word(line));
  } else {
    throw_damaged();
  }
}

}  // namespace

std::vector<SegmentRange> join_ranges(std::vector<SegmentRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const SegmentRange& a, const SegmentRange& b) {
    return std::tie(a.timeline, a.first, a.last) < std::tie(b.timeline, b.first, b.last);
  });
  std::vector<SegmentRange> joined;
  for (const SegmentRange& range : ranges) {
    const bool touches =
        !joined.empty() && joined.back().timeline == range.timeline &&
        (joined.back().last >= range.first || joined.back().last + 1 == range.first);
    if (touches) {
      joined.back().last = std::max(joined.back().last, range.last);
    } else {
      joined.push_back(range);
    }
  }
  return joined;
}

std::vector<SegmentRange> subtract_ranges(const std::vector<SegmentRange>& ranges,
                                          const std::vector<SegmentRange>& taken) {
  const std::vector<SegmentRange> cuts = join_ranges(taken);
  std::vector<SegmentRange> left;
  for (SegmentRange range : ranges) {
    bool has_rest = true;
    for (const SegmentRange& cut : cuts) {
      if (cut.timeline != range.timeline || cut.last < range.first) continue;
      if (cut.first > range.last) break;
      if (cut.first > range.first) left.push_back({range.timeline, range.first, cut.first - 1});
      has_rest = cut.last < range.last;
      if (!has_rest) break;
      range.first = cut.last + 1;
    }
    if (has_rest) left.push_back(range);
  }
  return left;
}

bool Expiry::covers(TimelineId timeline, std::uint64_t first, std::uint64_t last) const {
  return std::any_of(wal.begin(), wal.end(), [&](const SegmentRange& range) {
    return range.timeline == timeline && range.first <= first && last <= range.last;
  });
}

bool Expiry::covers_backup(const std::string& id) const {
  return std::find(backups.begin(), backups.end(), id) != backups.end();
}

std::string encode_expiry(const Expiry& expiry) {
  std::string text = fmt::format("expired_at {}\n", expiry.expired_at.time_since_epoch().count());
  for (const SegmentRange& range : expiry.wal)
    text += fmt::format("wal {:08X} {:X} {:X}\n", range.timeline, range.first, range.last);
  for (const std::string& id : expiry.backups)
    text += fmt::format("backup {}\n", id);
  return text;
}

Expiry decode_expiry(std::string_view text) {
  Expiry expiry;
  if (!text.empty() && !text.ends_with('\n')) throw_damaged();
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    decode_line(text.substr(0, end), expiry);
    text.remove_prefix(end + 1);
  }
  expiry.wal = join_ranges(std::move(expiry.wal));
  return expiry;
}

Expiry join(const Expiry& earlier, const Expiry& later) {
  Expiry joined{.expired_at = std::max(earlier.expired_at, later.expired_at),
                .wal = earlier.wal,
                .backups = earlier.backups};
  joined.wal.insert(joined.wal.end(), later.wal.begin(), later.wal.end());
  joined.wal = join_ranges(std::move(joined.wal));
  for (const std::string& id : later.backups) {
    if (!joined.covers_backup(id)) joined.backups.push_back(id);
  }
  if (joined.backups.size() > kMostBackups) {
    joined.backups.erase(joined.backups.begin(),
                         joined.backups.end() - static_cast<std::ptrdiff_t>(kMostBackups));
  }
  return joined;
}

Expiry read_expiry(Storage& storage, const ClusterKey& cluster) {
  constexpr int kTries = 10;
  for (int i = 1;; ++i) {
    Expiry expiry;
    bool vanished = false;
    storage.list(expiry_folder(cluster), "", [&](const std::string& key) {
      const auto text = fetch_text(storage, key, cluster, last_part(key));
      vanished = vanished || !text;
      if (text) expiry = join(expiry, decode_expiry(*text));
      return true;
    });
    // Another record has taken its place.
    if (!vanished || i == kTries) return expiry;
  }
}

void replace_expiry(Storage& storage, const ClusterRecord& cluster, const Expiry& expiry) {
  std::vector<std::string> earlier;
  storage.list(expiry_folder(cluster.key), "", [&](const std::string& key) {
    earlier.push_back(key);
    return true;
  });
  const FileIdentity identity{.kind = FileKind::kExpiry,
                              .name = make_unique_name(now()),
                              .cluster_name = cluster.key.name,
                              .cluster = cluster.identity,
                              .created_at = now()};
  const std::string key = expiry_key(cluster.key, identity.name);
  if (!store_text(storage, key, identity, encode_expiry(expiry))) {
    throw Error({.kind = ErrorKind::kSystem, .message = fmt::format("\"{}\" exists already", key)});
  }
  for (const std::string& before : earlier)
    storage.remove(before);
}

}  // namespace pitr
