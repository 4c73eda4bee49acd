#include "catalog/cluster_rows.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "common/error.h"

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

BackupSummary read_summary(Storage& storage, const ClusterKey& cluster, const std::string& id) {
  const auto file = open_stored_file(storage, backup_manifest_key(cluster, id), cluster, id);
  const auto section = file ? file->reader->section(kBackupSummarySection) : std::nullopt;
  if (!section) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("the manifest of backup \"{}\" has no summary", id)});
  }
  return decode_summary(*section);
}

// Whatever is wrong with what is remembered, the repository has the answer.
std::optional<SegmentRow> cached_row(const RowCache& cache, const StoredWalName& name,
                                     const std::string& key) {
  WalFileEntry entry;
  if (!cache.find_wal || !cache.find_wal(key, entry)) return std::nullopt;
  try {
    return to_row(name, entry);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Runs `step`; what is damaged is noted, everything else goes on to the caller.
template <typename Step>
bool note_damage(ClusterRows& rows, const std::string& key, const Step& step) {
  try {
    step();
    return true;
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    rows.unreadable.push_back(fmt::format("{}: {}", key, error.what()));
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

void read_histories(Storage& storage, const RowCache& cache, ClusterRows& rows) {
  const ClusterKey& cluster = rows.cluster.key;
  storage.list(history_folder(cluster), "", [&](const std::string& key) {
    const auto name = WalFileName::parse(last_part(key));
    if (!name) return true;
    note_damage(rows, key, [&] {
      HistoryFile history{.timeline = name->segment.timeline};
      auto contents = cache.find_history ? cache.find_history(history.timeline) : std::nullopt;
      const bool is_new = !contents;
      if (is_new) contents = fetch_text(storage, key, cluster, name->text);
      if (!contents) return;
      history.contents = std::move(*contents);
      if (is_new && cache.put_history) cache.put_history(history);
      rows.histories.push_back(std::move(history));
    });
    return true;
  });
}

}  // namespace

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
  storage.list(wal_folder(cluster.key), "", [&](const std::string& key) {
    const auto name = parse_wal_key(key);
    if (!name || name->kind == StoredWalName::Kind::kBackupHistory) return true;
    std::optional<SegmentRow> row;
    const bool readable = note_damage(rows, key, [&] {
      row = cached_row(cache, *name, key);
      if (row) return;
      const WalFileEntry entry = read_wal_entry(storage, cluster.key, key);
      row = to_row(*name, entry);
      if (cache.put_wal) cache.put_wal(entry);
    });
    if (!readable) row = unreadable_row(*name, key, cluster.identity.segment_size);
    const bool whole = name->kind == StoredWalName::Kind::kSegment;
    (whole ? rows.segments : rows.beginnings).push_back(std::move(*row));
    return true;
  });
  storage.list(backup_folder(cluster.key), "", [&](const std::string& key) {
    note_damage(rows, key, [&] {
      const std::string id(last_part(key));
      BackupSummary summary;
      if (!cache.find_backup || !cache.find_backup(id, summary)) {
        summary = read_summary(storage, cluster.key, id);
        if (cache.put_backup) cache.put_backup(summary);
      }
      rows.backups.push_back(std::move(summary));
    });
    return true;
  });
  read_histories(storage, cache, rows);
  std::sort(rows.segments.begin(), rows.segments.end(), by_position);
  std::sort(rows.beginnings.begin(), rows.beginnings.end(), by_position);
  std::sort(rows.backups.begin(), rows.backups.end(),
            [](const BackupSummary& a, const BackupSummary& b) {
              return std::tie(a.stop_lsn, a.id) < std::tie(b.stop_lsn, b.id);
            });
  return rows;
}

namespace {

// Scans all of a segment; of a stored one, each block is verified.
void scan_segment(Storage& storage, const ClusterRecord& cluster, const SegmentRow& row,
                  RecordScanner& scanner) {
  if (row.key.starts_with('/')) {
    scan_wal_file(File::open_for_read(row.key), [&](ByteSpan pages) { scanner.feed(pages); });
    return;
  }
  const auto file = open_stored_file(storage, row.key, cluster.key, last_part(row.key));
  if (!file) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = fmt::format("stored file \"{}\" vanished", row.key)});
  }
  // A tail ends inside a page: whole pages are fed, the rest reads as the zeros that it is.
  std::vector<std::byte> page;
  file->reader->read_all(1, [&](ByteSpan raw, std::uint64_t) {
    const std::size_t whole = raw.size() / kUsualWalPageSize * kUsualWalPageSize;
    scanner.feed(raw.first(whole));
    page.assign(raw.begin() + static_cast<std::ptrdiff_t>(whole), raw.end());
  });
  if (!page.empty()) {
    page.resize(kUsualWalPageSize);
    scanner.feed(page);
  }
}

}  // namespace

std::vector<TransactionEnd> read_transactions(Storage& storage, const ClusterRecord& cluster,
                                              const SegmentRow& row, const SegmentRow* next) {
  std::vector<TransactionEnd> transactions;
  const SegmentSize size = cluster.identity.segment_size;
  RecordScanner scanner(
      row.name.start(size), size,
      {.on_transaction_end =
           [&](const TransactionEnd& transaction) { transactions.push_back(transaction); },
       .keep_subtransactions = true});
  scan_segment(storage, cluster, row, scanner);
  if (next != nullptr) {
    const auto joined =
        joined_transaction(row.index, next->index, cluster.identity.postgres_version);
    if (joined) transactions.push_back(*joined);
  }
  return transactions;
}

std::optional<RecordPlace> find_record(Storage& storage, const ClusterRecord& cluster,
                                       const SegmentRow& row, Lsn lsn) {
  std::optional<RecordPlace> found;
  const SegmentSize size = cluster.identity.segment_size;
  RecordScanner scanner(row.name.start(size), size, {.on_record = [&](Lsn start, Lsn end) {
                          if (!found && start >= lsn) found = RecordPlace{start, end};
                        }});
  scan_segment(storage, cluster, row, scanner);
  if (!found && row.index.open_record >= lsn && row.index.open_record != 0) {
    found = RecordPlace{.start = row.index.open_record};
  }
  return found;
}

std::optional<RecordPlace> find_removal(Storage& storage, const ClusterRecord& cluster,
                                        const SegmentRow& row, Lsn lsn) {
  std::optional<RecordPlace> found;
  const SegmentSize size = cluster.identity.segment_size;
  RecordScanner scanner(row.name.start(size), size, {.on_removal = [&](Lsn start) {
                          if (!found && start >= lsn) found = RecordPlace{.start = start};
                        }});
  scan_segment(storage, cluster, row, scanner);
  return found;
}

void scan_wal_file(const File& file, const std::function<void(ByteSpan pages)>& consumer) {
  std::vector<std::byte> buffer(1U << 20);
  for (std::uint64_t offset = 0;;) {
    const std::size_t count = file.read_at(offset, buffer);
    if (count == 0) return;
    consumer(ByteSpan(buffer).first(count));
    offset += count;
  }
}

}  // namespace pitr
