#include "catalog/cluster_rows.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "common/units.h"
#include "io/ordered_workers.h"

namespace pitr {

namespace {

bool by_position(const SegmentRow& a, const SegmentRow& b) {
  return std::tie(a.name, a.key) < std::tie(b.name, b.key);
}

SegmentRow to_row(const StoredWalName& name, const WalFileEntry& entry) {
  return {.name = name.segment,
          .kind = name.kind,
          .key = entry.key,
          .stored_bytes = entry.stored_bytes,
          .archived_at = entry.archived_at,
          .index = decode_index(entry.index)};
}

// Throws kSystem where the repository as a whole cannot be read.
void require_repository(Storage& storage, const ClusterKey& cluster) {
  const std::string key = cluster_record_key(cluster);
  const auto record = storage.open(key);
  std::array<std::byte, 1> byte{};
  if (record) record->read(0, byte);
}

// Runs `step`; what is damaged, or cannot be read although the repository can, is noted. Everything
// else goes on to the caller.
template <typename Step>
bool note_damage(Storage& storage, const ClusterKey& cluster,
                 std::vector<UnreadableFile>& unreadable, const std::string& key,
                 const Step& step) {
  try {
    step();
    return true;
  } catch (const Error& error) {
    const ErrorKind kind = error.report().kind;
    if (kind != ErrorKind::kCorrupt && kind != ErrorKind::kSystem) throw;
    if (kind == ErrorKind::kSystem) require_repository(storage, cluster);
    unreadable.push_back(
        {.key = key, .reason = error.what(), .is_damaged = kind == ErrorKind::kCorrupt});
    return false;
  }
}

// pitr-restore will refuse the file, so a plan must know that it is there.
SegmentRow unreadable_row(const StoredWalName& name, const std::string& key, SegmentSize size) {
  SegmentRow row{.name = name.segment, .kind = name.kind, .key = key};
  row.index.complete = false;
  row.index.damaged = true;
  row.index.valid_end = name.segment.start(size) + size;
  return row;
}

// Reads the rows of one log after the other.
class LogReader {
 public:
  LogReader(Storage& storage, const ClusterRecord& cluster, const RowCache& cache)
      : storage_(storage), cluster_(cluster), cache_(cache) {}

  std::string folder(TimelineId timeline, std::uint32_t log) const {
    return fmt::format("{}/{:08X}", timeline_folder(cluster_.key, timeline), log);
  }

  // For a question that comes to a log later: what cannot be read now, and could before, is said.
  LogRows read_again(TimelineId timeline, std::uint32_t log) {
    std::vector<UnreadableFile> unreadable;
    LogRows rows = read(timeline, log, unreadable);
    say(unreadable);
    return rows;
  }

  std::shared_ptr<const std::vector<UnreadableFile>> unreadable_later() const { return later_; }

  void note_said(const std::vector<UnreadableFile>& unreadable) {
    for (const UnreadableFile& file : unreadable)
      said_.insert(file.text());
  }

  LogRows read(TimelineId timeline, std::uint32_t log, std::vector<UnreadableFile>& unreadable) {
    LogRows rows;
    known_.clear();
    if (cache_.visit_wal) {
      cache_.visit_wal(folder(timeline, log), [this](WalFileEntry entry) {
        std::string key = entry.key;
        known_.insert_or_assign(std::move(key), std::move(entry));
      });
    }
    std::vector<ListedFile> files;
    storage_.list(folder(timeline, log), "", [&](const std::string& key) {
      const auto name = parse_wal_key(key);
      if (!name || name->kind == StoredWalName::Kind::kBackupHistory) return true;
      files.push_back({*name, key, known_row(*name, key)});
      return true;
    });
    read_unknown(files, unreadable);
    for (ListedFile& file : files) {
      const bool is_whole = file.name.kind == StoredWalName::Kind::kSegment;
      (is_whole ? rows.segments : rows.beginnings).push_back(std::move(*file.row));
    }
    std::sort(rows.segments.begin(), rows.segments.end(), by_position);
    std::sort(rows.beginnings.begin(), rows.beginnings.end(), by_position);
    complete_open_records(rows.segments, following(rows), cluster_.identity.segment_size,
                          cluster_.identity.postgres_version);
    return rows;
  }

 private:
  struct ListedFile {
    StoredWalName name;
    std::string key;
    std::optional<SegmentRow> row;
  };
  struct TrailerTask {
    std::string key;
    WalFileEntry entry;
  };

  // Several trailers at once: a disk answers them together. A few are not worth the threads.
  void read_unknown(std::vector<ListedFile>& files, std::vector<UnreadableFile>& unreadable) {
    constexpr unsigned kReaders = 4;
    constexpr std::ptrdiff_t kFew = 8;
    const auto is_unknown = [](const ListedFile& file) { return !file.row; };
    const bool few = std::count_if(files.begin(), files.end(), is_unknown) <= kFew;
    OrderedWorkers<TrailerTask> readers(few ? 1 : kReaders, few ? 1 : std::size_t{4} * kReaders,
                                        [this](TrailerTask& task, unsigned) {
                                          task.entry =
                                              read_wal_entry(storage_, cluster_.key, task.key);
                                        });
    auto next = files.begin();
    for (ListedFile& file : files) {
      for (; next != files.end() && !readers.full(); ++next) {
        if (!next->row) readers.submit({.key = next->key, .entry = {}});
      }
      if (file.row) continue;
      file.row =
          row_of(file.name, file.key, unreadable, [&readers] { return readers.take().entry; });
    }
  }

  void say(const std::vector<UnreadableFile>& unreadable) {
    for (const UnreadableFile& file : unreadable) {
      if (!said_.insert(file.text()).second) continue;
      log_warning(fmt::format("cannot be read: {}", file.text()));
      later_->push_back(file);
    }
  }

  // Whatever is wrong with what is remembered, the repository has the answer.
  std::optional<SegmentRow> known_row(const StoredWalName& name, const std::string& key) const {
    WalFileEntry entry;
    const auto known = known_.find(key);
    const bool found = known != known_.end() || (cache_.find_wal && cache_.find_wal(key, entry));
    if (!found) return std::nullopt;
    try {
      return to_row(name, known != known_.end() ? known->second : entry);
    } catch (const Error&) {
      return std::nullopt;
    }
  }

  template <typename ReadEntry>
  SegmentRow row_of(const StoredWalName& name, const std::string& key,
                    std::vector<UnreadableFile>& unreadable, const ReadEntry& read_entry) {
    std::optional<SegmentRow> row;
    const bool readable = note_damage(storage_, cluster_.key, unreadable, key, [&] {
      const WalFileEntry entry = read_entry();
      row = to_row(name, entry);
      if (cache_.put_wal) cache_.put_wal(entry);
    });
    return readable ? std::move(*row) : unreadable_row(name, key, cluster_.identity.segment_size);
  }

  SegmentRow read_row(const StoredWalName& name, const std::string& key,
                      std::vector<UnreadableFile>& unreadable) {
    if (auto row = known_row(name, key)) return std::move(*row);
    return row_of(name, key, unreadable,
                  [&] { return read_wal_entry(storage_, cluster_.key, key); });
  }

  // The first segments of the next log, as far as a record goes that begins in this one.
  std::vector<SegmentRow> following(const LogRows& rows) {
    std::vector<SegmentRow> segments;
    if (rows.segments.empty()) return segments;
    const SegmentSize size = cluster_.identity.segment_size;
    SegmentName name = rows.segments.back().name;
    if (name.next(size).log == name.log) return segments;
    JoinedRecord record(rows.segments.back().index);
    while (record.is_open() && !record.is_whole()) {
      name = name.next(size);
      const std::string key = wal_key(cluster_.key, *WalFileName::parse(name.to_string()));
      if (!storage_.open(key)) break;
      std::vector<UnreadableFile> unreadable;
      segments.push_back(read_row({.segment = name}, key, unreadable));
      say(unreadable);
      if (!record.join(segments.back().index)) break;
    }
    return segments;
  }

  Storage& storage_;
  ClusterRecord cluster_;
  RowCache cache_;
  std::shared_ptr<std::vector<UnreadableFile>> later_ =
      std::make_shared<std::vector<UnreadableFile>>();
  std::set<std::string> said_;                           // of what cannot be read
  std::unordered_map<std::string, WalFileEntry> known_;  // of the folder that is read
};

// A record that is still open at a log's end may be completed by the next log's first segment.
bool is_settled(const LogRows& rows) {
  if (rows.segments.empty()) return true;
  const SegmentRow& last = rows.segments.back();
  return last.index.open_record == 0 || last.open_record_completed;
}

LogSummary read_log(Storage& storage, LogReader& reader, const RowCache& cache, TimelineId timeline,
                    std::uint32_t log, std::vector<UnreadableFile>& unreadable) {
  const std::string folder = reader.folder(timeline, log);
  // Taken before the folder is listed: what comes in between changes it.
  const auto stamp = storage.stamp(folder);
  LogSummary summary;
  if (stamp && cache.find_log && cache.find_log(folder, *stamp, summary) &&
      summary.timeline == timeline && summary.log == log) {
    return summary;
  }
  const std::size_t unreadable_before = unreadable.size();
  const LogRows rows = reader.read(timeline, log, unreadable);
  summary = summarize(timeline, log, rows);
  const bool lasts = stamp && is_settled(rows) && unreadable.size() == unreadable_before;
  if (lasts && cache.put_log) cache.put_log(folder, *stamp, summary);
  return summary;
}

void read_wal(Storage& storage, const ClusterRecord& cluster, const RowCache& cache,
              ClusterRows& rows) {
  const auto reader = std::make_shared<LogReader>(storage, cluster, cache);
  std::vector<LogSummary> logs;
  for (const std::string& name : storage.list_folders(wal_folder(cluster.key))) {
    const auto timeline = parse_number(name, 16);
    if (!timeline || name.size() != 8) continue;
    const auto id = static_cast<TimelineId>(*timeline);
    for (const std::string& log_name : storage.list_folders(timeline_folder(cluster.key, id))) {
      const auto log = parse_number(log_name, 16);
      if (!log || log_name.size() != 8) continue;
      const LogSummary summary =
          read_log(storage, *reader, cache, id, static_cast<std::uint32_t>(*log), rows.unreadable);
      if (summary.segments + summary.beginnings > 0) logs.push_back(summary);
    }
  }
  reader->note_said(rows.unreadable);
  rows.unreadable_later = reader->unreadable_later();
  rows.wal = {std::move(logs), [reader](TimelineId timeline, std::uint32_t log) {
                return reader->read_again(timeline, log);
              }};
}

std::vector<HistoryFile> read_histories(Storage& storage, const ClusterKey& cluster,
                                        const RowCache& cache,
                                        std::vector<UnreadableFile>& unreadable) {
  std::vector<HistoryFile> histories;
  storage.list(history_folder(cluster), "", [&](const std::string& key) {
    const auto name = WalFileName::parse(last_part(key));
    if (!name) return true;
    note_damage(storage, cluster, unreadable, key, [&] {
      HistoryFile history{.timeline = name->segment.timeline};
      auto contents = cache.find_history ? cache.find_history(history.timeline) : std::nullopt;
      const bool is_new = !contents;
      if (is_new) contents = fetch_text(storage, key, cluster, name->text);
      if (!contents) return;
      history.contents = std::move(*contents);
      if (is_new && cache.put_history) cache.put_history(history);
      histories.push_back(std::move(history));
    });
    return true;
  });
  return histories;
}

std::vector<BackupSummary> read_backups(Storage& storage, const ClusterKey& cluster,
                                        const RowCache& cache,
                                        std::vector<UnreadableFile>& unreadable) {
  std::vector<BackupSummary> backups;
  storage.list(backup_folder(cluster), "", [&](const std::string& key) {
    note_damage(storage, cluster, unreadable, key, [&] {
      const std::string id(last_part(key));
      BackupSummary summary;
      if (!cache.find_backup || !cache.find_backup(id, summary)) {
        summary = read_summary(storage, cluster, id);
        if (cache.put_backup) cache.put_backup(summary);
      }
      backups.push_back(std::move(summary));
    });
    return true;
  });
  std::sort(backups.begin(), backups.end(), [](const BackupSummary& a, const BackupSummary& b) {
    return std::tie(a.stop_lsn, a.id) < std::tie(b.stop_lsn, b.id);
  });
  return backups;
}

}  // namespace

std::vector<UnreadableFile> ClusterRows::not_read() const {
  std::vector<UnreadableFile> files = unreadable;
  if (unreadable_later) {
    files.insert(files.end(), unreadable_later->begin(), unreadable_later->end());
  }
  std::erase_if(files, [](const UnreadableFile& file) { return file.is_damaged; });
  return files;
}

BackupSummary read_summary(Storage& storage, const ClusterKey& cluster, const std::string& id) {
  const auto file = open_stored_file(storage, backup_manifest_key(cluster, id), cluster, id);
  const auto section = file ? file->reader->section(kBackupSummarySection) : std::nullopt;
  if (!section) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("the manifest of backup \"{}\" has no summary", id)});
  }
  return decode_summary(*section);
}

WalFileEntry read_wal_entry(Storage& storage, const ClusterKey& cluster, const std::string& key) {
  const auto file = open_stored_file(storage, key, cluster, last_part(key));
  if (!file) {
    throw Error(
        {.kind = ErrorKind::kSystem, .message = fmt::format("stored file \"{}\" vanished", key)});
  }
  return {.cluster = cluster,
          .key = key,
          .raw_bytes = file->reader->contents().raw_size,
          .stored_bytes = file->source->size(),
          .archived_at = file->identity.created_at,
          .index = file->reader->section(kWalIndexSection).value_or(std::vector<std::byte>())};
}

ClusterRows read_rows(Storage& storage, const ClusterRecord& cluster, const RowCache& cache) {
  ClusterRows rows{.cluster = cluster};
  // A backup is published after its WAL: in this order none is without it.
  rows.backups = read_backups(storage, cluster.key, cache, rows.unreadable);
  read_wal(storage, cluster, cache, rows);
  rows.histories = read_histories(storage, cluster.key, cache, rows.unreadable);
  // Recorded before the WAL is removed: in this order what is missing is known.
  note_damage(storage, cluster.key, rows.unreadable, expiry_folder(cluster.key),
              [&] { rows.expiry = read_expiry(storage, cluster.key); });
  return rows;
}

}  // namespace pitr
