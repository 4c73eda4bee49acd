#include "storage/hold.h"

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

std::string encode(const Hold& hold) {
  std::string text = fmt::format("command {}\nprocess {}\nsince {}\n", hold.command,
                                 hold.process.to_string(), hold.since.time_since_epoch().count());
  if (!hold.backup.empty()) text += fmt::format("backup {}\n", hold.backup);
  if (hold.until) text += fmt::format("until {}\n", hold.until->time_since_epoch().count());
  return text;
}

// False: this is no line of a hold.
bool decode_line(std::string_view line, Hold& hold) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return false;
  const std::string_view what = line.substr(0, blank);
  const std::string_view value = line.substr(blank + 1);
  if (what == "command") {
    hold.command = value;
  } else if (what == "backup") {
    hold.backup = value;
  } else if (what == "process") {
    const auto process = ProcessIdentity::parse(value);
    if (!process) return false;
    hold.process = *process;
  } else if (what == "since" || what == "until") {
    const auto count = parse_number(value, 10);
    if (!count) return false;
    const Instant moment(std::chrono::microseconds(static_cast<std::int64_t>(*count)));
    if (what == "since") {
      hold.since = moment;
    } else {
      hold.until = moment;
    }
  } else {
    return false;
  }
  return true;
}

Hold decode(std::string_view text, const std::string& key) {
  Hold hold{.name = std::string(last_part(key))};
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !decode_line(text.substr(0, end), hold)) break;
    text.remove_prefix(end + 1);
  }
  if (!text.empty() || hold.command.empty() || hold.process.pid == 0) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("stored file \"{}\" is damaged", key)});
  }
  return hold;
}

}  // namespace

std::string describe(const Hold& hold) {
  const std::string who = fmt::format("process {} on {} since {}", hold.process.pid,
                                      hold.process.host, to_local_text(hold.since));
  if (!hold.until) return fmt::format("pitr {}, {}", hold.command, who);
  return fmt::format("the recovery that pitr restore, {}, has begun; held until {}", who,
                     to_local_text(*hold.until));
}

bool is_over(const Hold& hold, Instant now) {
  if (hold.until) return *hold.until <= now;
  if (hold.process.is_dead()) return true;
  return !hold.process.is_of_this_host() && now - hold.since > kForeignProcessGone;
}

std::string place_hold(Storage& storage, const ClusterRecord& cluster, Hold hold) {
  hold.name = make_unique_name(hold.since);
  const FileIdentity identity{.kind = FileKind::kHold,
                              .name = hold.name,
                              .cluster_name = cluster.key.name,
                              .cluster = cluster.identity,
                              .created_at = hold.since};
  // Whoever removes the last hold of a folder takes the folder with it: perhaps just now.
  constexpr int kTries = 5;
  for (int i = 1;; ++i) {
    try {
      if (store_text(storage, hold_key(cluster.key, hold.name), identity, encode(hold))) {
        return hold.name;
      }
      throw Error({.kind = ErrorKind::kSystem,
                   .message = fmt::format("a hold \"{}\" exists already", hold.name)});
    } catch (const Error& error) {
      if (i == kTries || error.report().kind != ErrorKind::kSystem) throw;
    }
  }
}

void remove_hold(Storage& storage, const ClusterKey& cluster, const std::string& name) {
  storage.remove(hold_key(cluster, name));
}

std::vector<Hold> read_holds(Storage& storage, const ClusterKey& cluster) {
  std::vector<Hold> holds;
  storage.list(hold_folder(cluster), "", [&](const std::string& key) {
    const auto text = fetch_text(storage, key, cluster, last_part(key));
    if (text) holds.push_back(decode(*text, key));
    return true;
  });
  return holds;
}

}  // namespace pitr
