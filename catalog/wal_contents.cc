#include "catalog/wal_contents.h"

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

bool is_rescued(const SegmentRow& row) { return row.key.starts_with('/'); }

StoredFile open_row(Storage& storage, const ClusterRecord& cluster, const SegmentRow& row) {
  auto file = open_stored_file(storage, row.key, cluster.key, last_part(row.key));
  if (file) return std::move(*file);
  throw Error(
      {.kind = ErrorKind::kSystem, .message = fmt::format("stored file \"{}\" vanished", row.key)});
}

// Feeds all of a segment; of a stored one, each block is verified.
template <typename Consumer>
void feed_segment(Storage& storage, const ClusterRecord& cluster, const SegmentRow& row,
                  Consumer& consumer) {
  if (is_rescued(row)) {
    scan_wal_file(File::open_for_read(row.key), [&](ByteSpan pages) { consumer.feed(pages); });
    return;
  }
  const StoredFile file = open_row(storage, cluster, row);
  // A tail ends inside a page: whole pages are fed, the rest reads as the zeros that it is.
  std::vector<std::byte> page;
  file.reader->read_all(1, [&](ByteSpan raw, std::uint64_t) {
    const std::size_t whole = raw.size() / kUsualWalPageSize * kUsualWalPageSize;
    consumer.feed(raw.first(whole));
    page.assign(raw.begin() + static_cast<std::ptrdiff_t>(whole), raw.end());
  });
  if (!page.empty()) {
    page.resize(kUsualWalPageSize);
    consumer.feed(page);
  }
}

// The records that begin in a segment, the last one to its end.
void scan_segment(Storage& storage, const ClusterRecord& cluster, const SegmentRow& row,
                  RecordVisitor visitor) {
  const SegmentSize size = cluster.identity.segment_size;
  RecordScanner scanner(row.name.start(size), size, std::move(visitor));
  feed_segment(storage, cluster, row, scanner);
}

std::optional<std::vector<std::byte>> read_section(Storage& storage, const ClusterRecord& cluster,
                                                   const SegmentRow& row, std::uint32_t section) {
  if (is_rescued(row)) return std::nullopt;
  return open_row(storage, cluster, row).reader->section(section);
}

// Of a segment whose trailer does not have them.
SegmentDetails index_again(Storage& storage, const ClusterRecord& cluster, const SegmentRow& row) {
  const SegmentSize size = cluster.identity.segment_size;
  SegmentIndexer indexer(row.name.start(size), size);
  feed_segment(storage, cluster, row, indexer);
  indexer.finish();
  return indexer.take_details();
}

}  // namespace

void scan_wal_file(const File& file, const std::function<void(ByteSpan pages)>& consumer) {
  std::vector<std::byte> buffer(1U << 20);
  for (std::uint64_t offset = 0;;) {
    const std::size_t count = file.read_at(offset, buffer);
    if (count == 0) return;
    consumer(ByteSpan(buffer).first(count));
    offset += count;
  }
}

std::vector<TransactionEnd> read_transactions(Storage& storage, const ClusterRecord& cluster,
                                              const SegmentRow& row) {
  const SegmentSize size = cluster.identity.segment_size;
  const Lsn end = row.name.start(size) + size;
  std::vector<TransactionEnd> transactions;
  RecordScanner scanner(row.name.start(size), size,
                        {.on_transaction_end = [&](const TransactionEnd& transaction) {
                          if (transaction.start < end) transactions.push_back(transaction);
                        }});
  feed_segment(storage, cluster, row, scanner);
  if (!row.open_record_in.empty()) {
    for (const std::string& key : row.open_record_in)
      feed_segment(storage, cluster, {.key = key}, scanner);
  } else if (row.open_transaction) {
    transactions.push_back(*row.open_transaction);
  }
  return transactions;
}

std::optional<std::vector<std::uint32_t>> read_xids(Storage& storage, const ClusterRecord& cluster,
                                                    const SegmentRow& row) {
  if (row.index.xids_omitted) return std::nullopt;
  const auto section = read_section(storage, cluster, row, kTransactionsSection);
  return section ? std::optional(decode_xids(*section)) : std::nullopt;
}

RelationChanges read_relation_changes(Storage& storage, const ClusterRecord& cluster,
                                      const SegmentRow& row) {
  if (!row.index.has_relation_changes) return {};
  const auto section = read_section(storage, cluster, row, kRelationChangesSection);
  RelationChanges changes;
  if (section) changes = decode_relation_changes(*section);
  // A trailer without the section has nothing to tell, unless there is no trailer.
  if (is_rescued(row)) changes = index_again(storage, cluster, row).relations;
  if (!row.open_record_in.empty()) {
    const auto transactions = read_transactions(storage, cluster, row);
    const TransactionEnd& last = transactions.back();
    if (last.is_commit && !last.dropped_files.empty()) changes.drops.push_back(last);
    return changes;
  }
  if (!row.open_changes) return changes;
  const auto append = [](auto& list, const auto& more) {
    list.insert(list.end(), more.begin(), more.end());
  };
  append(changes.locks, row.open_changes->locks);
  append(changes.created, row.open_changes->created);
  append(changes.drops, row.open_changes->drops);
  append(changes.names, row.open_changes->names);
  return changes;
}

ChangedBlocks read_changed_blocks(Storage& storage, const ClusterRecord& cluster,
                                  const SegmentRow& row) {
  const auto section = read_section(storage, cluster, row, kChangedBlocksSection);
  return section ? decode_changed_blocks(*section)
                 : index_again(storage, cluster, row).changed_blocks;
}

std::optional<RecordPlace> find_record(Storage& storage, const ClusterRecord& cluster,
                                       const SegmentRow& row, Lsn lsn) {
  std::optional<RecordPlace> found;
  scan_segment(storage, cluster, row, {.on_record = [&](const RecordView&, Lsn start, Lsn end) {
                 if (!found && start >= lsn) found = RecordPlace{start, end};
               }});
  if (!found && row.index.open_record >= lsn && row.index.open_record != 0) {
    found = RecordPlace{.start = row.index.open_record};
  }
  return found;
}

}  // namespace pitr
