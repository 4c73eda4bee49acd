// What the repository holds of one cluster, as rows: the input of every question about a moment.
// They come from the catalog, or from trailers where it is absent, damaged or not writable.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "catalog/backup_summary.h"
#include "catalog/journal.h"
#include "io/file.h"
#include "storage/repository.h"
#include "wal/segment_index.h"

namespace pitr {

struct SegmentRow {
  SegmentName name;
  StoredWalName::Kind kind = StoredWalName::Kind::kSegment;
  std::string key;  // of the storage; the absolute path of a rescued file: see rescued_wal.h
  std::uint64_t stored_bytes = 0;
  Instant archived_at;
  SegmentIndex index;  // without the transaction ids
};

struct HistoryFile {
  TimelineId timeline = 0;
  std::string contents;
};

struct ClusterRows {
  ClusterRecord cluster;
  std::vector<SegmentRow> segments;    // whole segments: by timeline, then number
  std::vector<SegmentRow> beginnings;  // tails and partial segments, in the same order
  std::vector<BackupSummary> backups;  // by stop LSN, then id
  std::vector<HistoryFile> histories;  // by timeline
  // Keys of files whose trailer is damaged, with the reason. WAL files have a row nevertheless,
  // which is marked as damaged and stores no bytes.
  std::vector<std::string> unreadable;
};

// A stored WAL file's entry, from its trailer.
WalFileEntry read_wal_entry(Storage& storage, const ClusterKey& cluster, const std::string& key);

// Where entries and summaries are remembered between calls; see Catalog. Null members: nowhere.
struct RowCache {
  std::function<bool(const std::string& key, WalFileEntry& entry)> find_wal;
  std::function<void(const WalFileEntry& entry)> put_wal;
  std::function<bool(const std::string& id, BackupSummary& summary)> find_backup;
  std::function<void(const BackupSummary& summary)> put_backup;
  std::function<std::optional<std::string>(TimelineId timeline)> find_history;
  std::function<void(const HistoryFile& history)> put_history;
};

// Lists the repository and reads the trailer of what the cache does not know. A damaged trailer
// becomes a line in `unreadable`; an unreachable repository throws kSystem.
ClusterRows read_rows(Storage& storage, const ClusterRecord& cluster, const RowCache& cache);

// The contents of a file of WAL, in pieces of whole pages.
void scan_wal_file(const File& file, const std::function<void(ByteSpan pages)>& consumer);

// The transactions that end in a stored segment, in LSN order; reads and verifies all of it. A
// record that ends in `next` (null: there is none) is completed from there.
std::vector<TransactionEnd> read_transactions(Storage& storage, const ClusterRecord& cluster,
                                              const SegmentRow& row, const SegmentRow* next);

// The first record that starts at or after `lsn` in a stored segment; nothing: none does.
struct RecordPlace {
  Lsn start = 0;
  Lsn end = 0;  // 0: it ends in a later segment
};
std::optional<RecordPlace> find_record(Storage& storage, const ClusterRecord& cluster,
                                       const SegmentRow& row, Lsn lsn);

// The same for a record that removes a database's or a tablespace's files.
std::optional<RecordPlace> find_removal(Storage& storage, const ClusterRecord& cluster,
                                        const SegmentRow& row, Lsn lsn);

}  // namespace pitr
