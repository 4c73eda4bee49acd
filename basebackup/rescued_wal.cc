#include "basebackup/rescued_wal.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <tuple>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "catalog/wal_contents.h"
#include "catalog/wal_path.h"
#include "common/error.h"
#include "common/log.h"
#include "io/file.h"
#include "wal/timeline_history.h"

namespace pitr {

namespace {

bool is_rescued(const SegmentRow& row) { return row.key.starts_with('/'); }

// False for zeros and for an older segment's pages under a future name.
bool holds_its_own_wal(const std::string& path, const SegmentName& name, SegmentSize size) {
  std::array<std::byte, kLongPageHeaderSize> bytes{};
  const File file = File::open_for_read(path);
  const std::size_t count = file.read_at(0, bytes);
  const auto header = parse_page_header(ByteSpan(bytes).first(count));
  return header && header->magic != 0 && header->address == name.start(size);
}

// True when there are segments, and all of them are of this cluster.
bool is_folder_of(const std::string& folder, const std::vector<WalFileName>& names,
                  const ClusterIdentity& cluster) {
  bool any = false;
  for (const WalFileName& name : names) {
    if (!name.has_pages()) continue;
    std::array<std::byte, kLongPageHeaderSize> bytes{};
    const File file = File::open_for_read(folder + "/" + name.text);
    const std::size_t count = file.read_at(0, bytes);
    const auto header = parse_page_header(ByteSpan(bytes).first(count));
    if (!header || header->system_identifier != cluster.system_identifier) return false;
    any = true;
  }
  return any;
}

SegmentIndex index_of(const File& file, const SegmentName& name, SegmentSize size) {
  SegmentIndexer indexer(name.start(size), size);
  scan_wal_file(file, [&](ByteSpan pages) { indexer.feed(pages); });
  return indexer.finish();
}

void add_segment(ClusterRows& rows, const std::string& path, const WalFileName& name) {
  const ClusterIdentity& cluster = rows.cluster.identity;
  const File file = File::open_for_read(path);
  std::array<std::byte, kLongPageHeaderSize> header{};
  const std::size_t count = file.read_at(0, header);
  check_segment_header(ByteSpan(header).first(count), file.size(), name.segment, cluster);
  if (rows.wal.find_whole(name.segment)) return;
  SegmentRow row{.name = name.segment, .key = path, .archived_at = now()};
  row.index = index_of(file, name.segment, cluster.segment_size);
  if (!row.index.complete && !row.index.damaged) {
    row.kind = StoredWalName::Kind::kTail;
  }
  rows.wal.add(std::move(row), cluster.segment_size, cluster.postgres_version);
}

// Rescued rows lie in the logs that were added to, which are in memory.
template <typename Visit>
void for_each_rescued(const ClusterRows& rows, const Visit& visit) {
  for (const auto& [key, log] : rows.wal.added_logs()) {
    for (const auto* list : {&log->segments, &log->beginnings}) {
      for (const SegmentRow& row : *list) {
        if (is_rescued(row)) visit(row);
      }
    }
  }
}

void add_history(ClusterRows& rows, const std::string& path, const WalFileName& name) {
  const TimelineId timeline = name.segment.timeline;
  const bool known =
      std::any_of(rows.histories.begin(), rows.histories.end(),
                  [&](const HistoryFile& history) { return history.timeline == timeline; });
  if (known) return;
  std::string contents = read_whole_file(path);
  parse_timeline_history(timeline, contents);  // refuses a damaged one
  rows.histories.push_back({.timeline = timeline, .contents = std::move(contents)});
}

void copy_durably(const std::string& from, const std::string& to,
                  const std::optional<FileOwner>& owner) {
  const File source = File::open_for_read(from);
  const File copy = File::open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
  std::uint64_t offset = 0;
  scan_wal_file(source, [&](ByteSpan bytes) {
    copy.write_at(offset, bytes);
    offset += bytes.size();
  });
  if (owner && fchown(copy.descriptor(), owner->user, owner->group) != 0) {
    throw_file_error("give to its owner", to, errno);
  }
  copy.sync();
}

}  // namespace

std::vector<WalFileName> list_rescued_files(const std::string& folder,
                                            const ClusterIdentity& cluster) {
  std::vector<WalFileName> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const auto name = WalFileName::parse(entry.path().filename().string());
    if (!name || !entry.is_regular_file()) continue;
    if (name->has_pages() &&
        !holds_its_own_wal(entry.path().string(), name->segment, cluster.segment_size)) {
      log_debug(fmt::format("\"{}\" holds no WAL of its own name", name->text));
      continue;
    }
    names.push_back(*name);
  }
  if (error) throw_file_error("read directory", folder, error.value());
  // History files do not say whose they are: the segments beside them must.
  if (!is_folder_of(folder, names, cluster)) {
    std::erase_if(names, [](const WalFileName& name) { return !name.has_pages(); });
  }
  std::sort(names.begin(), names.end(), [](const WalFileName& a, const WalFileName& b) {
    const bool a_later = a.kind != WalFileKind::kHistory;
    const bool b_later = b.kind != WalFileKind::kHistory;
    return std::tie(a_later, a.text) < std::tie(b_later, b.text);
  });
  return names;
}

std::vector<std::string> segments_that_are_no_files(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto name = WalFileName::parse(entry.path().filename().string());
    if (name && name->has_pages() && !entry.is_regular_file()) names.push_back(name->text);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> history_files_of_nobody(const std::string& folder,
                                                 const ClusterIdentity& cluster) {
  std::vector<std::string> nobodys;
  const std::vector<WalFileName> ours = list_rescued_files(folder, cluster);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto name = WalFileName::parse(entry.path().filename().string());
    if (!name || name->kind != WalFileKind::kHistory) continue;
    const bool is_ours = std::any_of(ours.begin(), ours.end(), [&](const WalFileName& other) {
      return other.text == name->text;
    });
    if (!is_ours) nobodys.push_back(name->text);
  }
  return nobodys;
}

void add_rescued_wal(ClusterRows& rows, const std::string& folder) {
  const std::vector<WalFileName> names = list_rescued_files(folder, rows.cluster.identity);
  for (const std::string& name : segments_that_are_no_files(folder))
    log_warning(fmt::format("--wal-from: \"{}\" is passed over: it is not a regular file", name));
  for (const WalFileName& name : names) {
    const std::string path = folder + "/" + name.text;
    try {
      if (name.kind == WalFileKind::kSegment) add_segment(rows, path, name);
      if (name.kind == WalFileKind::kHistory) add_history(rows, path, name);
    } catch (const Error& error) {
      if (error.report().kind == ErrorKind::kSystem) throw;
      log_warning(fmt::format("--wal-from: \"{}\" is passed over: {}", name.text, error.what()));
    }
  }
  std::sort(rows.histories.begin(), rows.histories.end(),
            [](const HistoryFile& a, const HistoryFile& b) { return a.timeline < b.timeline; });
}

void refuse_shadowed_wal(const ClusterRows& rows) {
  const auto refuse = [](const SegmentRow& row, const std::string& stored) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("rescued segment \"{}\" must be archived first",
                                        row.name.to_string()),
                 .detail = fmt::format("The repository holds \"{}\", so PostgreSQL would not look "
                                       "for it in pg_wal.",
                                       stored),
                 .hint = fmt::format("Run: pitr push --from {}", parent_directory(row.key))});
  };
  for_each_rescued(rows, [&](const SegmentRow& row) {
    const auto later =
        later_wal(rows, row.name, [](const SegmentRow& other) { return !is_rescued(other); });
    if (later) refuse(row, later->to_string());
    // A stored beginning of the same segment is no matter: pitr-restore gives whichever is longer.
  });
}

std::size_t place_rescued_wal(const ClusterRows& rows, const std::string& folder,
                              const std::string& wal_directory,
                              const std::optional<FileOwner>& owner) {
  std::size_t placed = 0;
  for_each_rescued(rows, [&](const SegmentRow& row) {
    const std::string name = row.name.to_string();
    copy_durably(folder + "/" + name, wal_directory + "/" + name, owner);
    ++placed;
  });
  for (const HistoryFile& history : rows.histories) {
    const std::string name = history_file_name(history.timeline);
    const std::string path = folder + "/" + name;
    struct stat status {};
    if (stat(path.c_str(), &status) == 0) {
      copy_durably(path, wal_directory + "/" + name, owner);
    } else if (errno != ENOENT) {
      throw_file_error("read", path, errno);
    }
  }
  sync_directory(wal_directory);
  return placed;
}

}  // namespace pitr
