// What the repository holds of one cluster, as rows: the input of every question about a moment.
// They come from the catalog, or from trailers where it is absent, damaged or not writable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/backup_summary.h"
#include "catalog/expiry.h"
#include "catalog/journal.h"
#include "catalog/wal_rows.h"
#include "storage/repository.h"

namespace pitr {

struct HistoryFile {
  TimelineId timeline = 0;
  std::string contents;
};

// A file whose trailer is damaged, or cannot be read although the repository can.
struct UnreadableFile {
  std::string key;
  std::string reason;
  bool is_damaged = true;

  std::string text() const { return key + ": " + reason; }
};

struct ClusterRows {
  ClusterRecord cluster;
  WalRows wal;
  std::vector<BackupSummary> backups;  // by stop LSN, then id
  std::vector<HistoryFile> histories;  // by timeline
  Expiry expiry;                       // what retention has removed: no gap
  // WAL files among them have a row nevertheless, which is marked as damaged and stores no bytes.
  std::vector<UnreadableFile> unreadable;

  // Those that a question met when it came to a log again.
  std::shared_ptr<const std::vector<UnreadableFile>> unreadable_later;

  // Files that may be whole and could not be read this time: what the rows lack may be there.
  std::vector<UnreadableFile> not_read() const;
};

// A stored WAL file's entry, from its trailer.
WalFileEntry read_wal_entry(Storage& storage, const ClusterKey& cluster, const std::string& key);

// What a backup's manifest says of it in its trailer.
BackupSummary read_summary(Storage& storage, const ClusterKey& cluster, const std::string& id);

// Where entries and summaries are remembered between calls; see Catalog. Null members: nowhere.
struct RowCache {
  std::function<bool(const std::string& key, WalFileEntry& entry)> find_wal;
  // Every entry of a folder at once, in any order.
  std::function<void(const std::string& folder, const std::function<void(WalFileEntry)>& visit)>
      visit_wal;
  std::function<void(const WalFileEntry& entry)> put_wal;
  // A log's summary counts while its folder has the stamp it was put with.
  std::function<bool(const std::string& folder, const std::string& stamp, LogSummary& summary)>
      find_log;
  std::function<void(const std::string& folder, const std::string& stamp,
                     const LogSummary& summary)>
      put_log;
  std::function<bool(const std::string& id, BackupSummary& summary)> find_backup;
  std::function<void(const BackupSummary& summary)> put_backup;
  std::function<std::optional<std::string>(TimelineId timeline)> find_history;
  std::function<void(const HistoryFile& history)> put_history;
};

// Lists what has changed in the repository and reads the trailer of what the cache does not know. A
// trailer that is damaged, or cannot be read although the repository can, becomes a line in
// `unreadable`; an unreachable repository throws kSystem. The
// storage must outlive the rows: segments are loaded when they are asked for.
ClusterRows read_rows(Storage& storage, const ClusterRecord& cluster, const RowCache& cache);

}  // namespace pitr
