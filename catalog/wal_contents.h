// Reads stored segments again for what their indexes do not keep: the exact commits around a
// moment, the record at a position.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "catalog/wal_rows.h"
#include "io/file.h"
#include "storage/repository.h"

namespace pitr {

// The contents of a file of WAL, in pieces of whole pages.
void scan_wal_file(const File& file, const std::function<void(ByteSpan pages)>& consumer);

// The transactions whose end, a record, begins in a stored segment, in LSN order; reads and
// verifies all of it.
std::vector<TransactionEnd> read_transactions(Storage& storage, const ClusterRecord& cluster,
                                              const SegmentRow& row);

// The ids of the transactions and subtransactions that ended in a stored segment, sorted, without
// those of a record that ends in a later one. Nothing where they are too many to be kept, or the
// file is not stored: read_transactions() knows.
std::optional<std::vector<std::uint32_t>> read_xids(Storage& storage, const ClusterRecord& cluster,
                                                    const SegmentRow& row);

// What the segment says of relations; empty where nothing.
RelationChanges read_relation_changes(Storage& storage, const ClusterRecord& cluster,
                                      const SegmentRow& row);
ChangedBlocks read_changed_blocks(Storage& storage, const ClusterRecord& cluster,
                                  const SegmentRow& row);

// The first record that starts at or after `lsn` in a stored segment; nothing: none does.
struct RecordPlace {
  Lsn start = 0;
  Lsn end = 0;  // 0: it ends in a later segment
};
std::optional<RecordPlace> find_record(Storage& storage, const ClusterRecord& cluster,
                                       const SegmentRow& row, Lsn lsn);

}  // namespace pitr
