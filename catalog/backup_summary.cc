#include "catalog/backup_summary.h"

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::uint16_t kSummaryVersion = 1;

Instant get_instant(ByteReader& reader) {
  return Instant(std::chrono::microseconds(reader.get<std::int64_t>()));
}

void put_instant(ByteWriter& writer, Instant instant) {
  writer.put(std::int64_t{instant.time_since_epoch().count()});
}

template <typename Element, typename Put>
void put_list(ByteWriter& writer, const std::vector<Element>& elements, const Put& put) {
  writer.put(static_cast<std::uint32_t>(elements.size()));
  for (const Element& element : elements)
    put(element);
}

template <typename Element, typename Get>
std::vector<Element> get_list(ByteReader& reader, const Get& get) {
  std::vector<Element> elements;
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i)
    elements.push_back(get());
  return elements;
}

}  // namespace

std::vector<std::byte> encode_summary(const BackupSummary& summary) {
  ByteWriter writer;
  writer.put(kSummaryVersion);
  writer.put_text(summary.id);
  writer.put_text(summary.label);
  writer.put_text(summary.method);
  writer.put(summary.timeline);
  writer.put(summary.start_lsn);
  writer.put(summary.stop_lsn);
  put_instant(writer, summary.started_at);
  put_instant(writer, summary.finished_at);
  writer.put(static_cast<std::uint8_t>(summary.last_commit_at ? 1 : 0));
  put_instant(writer, summary.last_commit_at.value_or(Instant()));
  writer.put(summary.size_bytes);
  writer.put(summary.stored_bytes);
  writer.put(summary.file_count);
  writer.put(summary.postgres_version);
  writer.put(summary.block_size);
  writer.put(static_cast<std::uint8_t>(summary.data_checksums ? 1 : 0));
  writer.put_text(summary.host);
  writer.put_text(summary.data_directory);
  writer.put(summary.settings.max_connections);
  writer.put(summary.settings.max_worker_processes);
  writer.put(summary.settings.max_wal_senders);
  writer.put(summary.settings.max_prepared_transactions);
  writer.put(summary.settings.max_locks_per_transaction);
  put_list(writer, summary.tablespaces, [&](const BackupTablespace& tablespace) {
    writer.put(tablespace.oid);
    writer.put_text(tablespace.path);
  });
  put_list(writer, summary.side_files, [&](const BackupSideFile& file) {
    writer.put_text(file.purpose);
    writer.put_text(file.path);
    writer.put_text(file.object);
  });
  put_list(writer, summary.page_errors, [&](const PageError& error) {
    writer.put_text(error.path);
    writer.put(error.block);
  });
  return writer.take();
}

BackupSummary decode_summary(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = reader.get<std::uint16_t>();
  BackupSummary summary;
  summary.id = reader.get_text();
  summary.label = reader.get_text();
  summary.method = reader.get_text();
  summary.timeline = reader.get<TimelineId>();
  summary.start_lsn = reader.get<Lsn>();
  summary.stop_lsn = reader.get<Lsn>();
  summary.started_at = get_instant(reader);
  summary.finished_at = get_instant(reader);
  const bool has_commit = reader.get<std::uint8_t>() != 0;
  const Instant last_commit_at = get_instant(reader);
  if (has_commit) summary.last_commit_at = last_commit_at;
  summary.size_bytes = reader.get<std::uint64_t>();
  summary.stored_bytes = reader.get<std::uint64_t>();
  summary.file_count = reader.get<std::uint64_t>();
  summary.postgres_version = reader.get<std::uint32_t>();
  summary.block_size = reader.get<std::uint32_t>();
  summary.data_checksums = reader.get<std::uint8_t>() != 0;
  summary.host = reader.get_text();
  summary.data_directory = reader.get_text();
  summary.settings.max_connections = reader.get<std::int32_t>();
  summary.settings.max_worker_processes = reader.get<std::int32_t>();
  summary.settings.max_wal_senders = reader.get<std::int32_t>();
  summary.settings.max_prepared_transactions = reader.get<std::int32_t>();
  summary.settings.max_locks_per_transaction = reader.get<std::int32_t>();
  summary.tablespaces = get_list<BackupTablespace>(reader, [&] {
    const auto oid = reader.get<std::uint32_t>();
    return BackupTablespace{.oid = oid, .path = reader.get_text()};
  });
  summary.side_files = get_list<BackupSideFile>(reader, [&] {
    BackupSideFile file{.purpose = reader.get_text()};
    file.path = reader.get_text();
    file.object = reader.get_text();
    return file;
  });
  summary.page_errors = get_list<PageError>(reader, [&] {
    PageError error{.path = reader.get_text()};
    error.block = reader.get<std::uint32_t>();
    return error;
  });
  if (!reader.ok() || version != kSummaryVersion || reader.remaining() != 0) {
    throw Error(
        {.kind = ErrorKind::kCorrupt, .message = "the summary of a base backup is damaged"});
  }
  return summary;
}

}  // namespace pitr
