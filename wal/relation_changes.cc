#include "wal/relation_changes.h"

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kOmitted = 1U << 0;

void put_file(ByteWriter& writer, const RelationFile& file) {
  writer.put(file.tablespace);
  writer.put(file.database);
  writer.put(file.number);
}

RelationFile get_file(ByteReader& reader) {
  RelationFile file{.tablespace = reader.get<std::uint32_t>()};
  file.database = reader.get<std::uint32_t>();
  file.number = reader.get<std::uint32_t>();
  return file;
}

template <typename Item, typename Put>
void put_list(ByteWriter& writer, const std::vector<Item>& items, const Put& put) {
  writer.put(static_cast<std::uint32_t>(items.size()));
  for (const Item& item : items)
    put(item);
}

template <typename Item, typename Get>
std::vector<Item> get_list(ByteReader& reader, const Get& get) {
  std::vector<Item> items;
  const auto count = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i)
    items.push_back(get());
  return items;
}

void put_drop(ByteWriter& writer, const TransactionEnd& drop) {
  writer.put(drop.start);
  writer.put(drop.end);
  writer.put(drop.time);
  writer.put(drop.xid);
  writer.put(static_cast<std::uint8_t>(drop.was_prepared ? 1 : 0));
  put_list(writer, drop.subtransactions, [&](std::uint32_t xid) { writer.put(xid); });
  put_list(writer, drop.dropped_files, [&](const RelationFile& file) { put_file(writer, file); });
}

TransactionEnd get_drop(ByteReader& reader) {
  TransactionEnd drop{.start = reader.get<Lsn>(), .end = reader.get<Lsn>(), .is_commit = true};
  drop.time = reader.get<std::int64_t>();
  drop.xid = reader.get<std::uint32_t>();
  drop.was_prepared = reader.get<std::uint8_t>() != 0;
  drop.subtransactions =
      get_list<std::uint32_t>(reader, [&] { return reader.get<std::uint32_t>(); });
  drop.dropped_files = get_list<RelationFile>(reader, [&] { return get_file(reader); });
  return drop;
}

void put_name(ByteWriter& writer, const RelationName& name) {
  writer.put(name.start);
  writer.put(name.xid);
  writer.put(name.database);
  writer.put(name.oid);
  writer.put(name.schema_oid);
  writer.put(name.file_number);
  writer.put(static_cast<std::uint8_t>(name.kind));
  writer.put_text(name.name);
}

RelationName get_name(ByteReader& reader) {
  RelationName name{.start = reader.get<Lsn>(), .xid = reader.get<std::uint32_t>()};
  name.database = reader.get<std::uint32_t>();
  name.oid = reader.get<std::uint32_t>();
  name.schema_oid = reader.get<std::uint32_t>();
  name.file_number = reader.get<std::uint32_t>();
  name.kind = static_cast<char>(reader.get<std::uint8_t>());
  name.name = reader.get_text();
  return name;
}

}  // namespace

std::vector<std::byte> encode_relation_changes(const RelationChanges& changes) {
  ByteWriter writer;
  writer.put(kVersion);
  writer.put(static_cast<std::uint16_t>(changes.omitted ? kOmitted : 0));
  put_list(writer, changes.locks, [&](const RelationLock& lock) {
    writer.put(lock.xid);
    writer.put(lock.database);
    writer.put(lock.relation);
  });
  put_list(writer, changes.created, [&](const CreatedFile& created) {
    writer.put(created.start);
    writer.put(created.xid);
    put_file(writer, created.file);
    writer.put(created.length);
  });
  put_list(writer, changes.drops, [&](const TransactionEnd& drop) { put_drop(writer, drop); });
  put_list(writer, changes.names, [&](const RelationName& name) { put_name(writer, name); });
  return writer.take();
}

RelationChanges decode_relation_changes(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = reader.get<std::uint16_t>();
  RelationChanges changes{.omitted = (reader.get<std::uint16_t>() & kOmitted) != 0};
  changes.locks = get_list<RelationLock>(reader, [&] {
    RelationLock lock{.xid = reader.get<std::uint32_t>()};
    lock.database = reader.get<std::uint32_t>();
    lock.relation = reader.get<std::uint32_t>();
    return lock;
  });
  changes.created = get_list<CreatedFile>(reader, [&] {
    CreatedFile created{.start = reader.get<Lsn>(), .file = {}};
    created.xid = reader.get<std::uint32_t>();
    created.file = get_file(reader);
    created.length = reader.get<std::uint32_t>();
    return created;
  });
  changes.drops = get_list<TransactionEnd>(reader, [&] { return get_drop(reader); });
  changes.names = get_list<RelationName>(reader, [&] { return get_name(reader); });
  if (version != kVersion || !reader.ok() || reader.remaining() != 0) {
    throw Error(
        {.kind = ErrorKind::kCorrupt, .message = "the relation changes of a segment are damaged"});
  }
  return changes;
}

}  // namespace pitr
