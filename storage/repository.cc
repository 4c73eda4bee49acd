#include "storage/repository.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "common/error.h"
#include "storage/posix_storage.h"

namespace pitr {

namespace {

constexpr std::uint64_t kLargestText = 64ULL << 20;

std::string describe(const ClusterRecord& record) {
  return fmt::format(
      "name = {}\nsystem_identifier = {}\npostgres_version = {}\n"
      "wal_segment_size = {}\ncreated_at = {}\n",
      record.key.name, record.key.system_identifier, record.identity.postgres_version,
      record.identity.segment_size, to_utc_text(record.created_at));
}

}  // namespace

std::unique_ptr<Storage> open_storage(const Config& config) {
  return open_posix_storage(repository_path(config), config.io.ring);
}

std::string make_unique_name(Instant at) {
  std::string text = to_utc_text(at).substr(0, 19);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  std::random_device random;
  return fmt::format("{}Z-{:06x}", text, random() & 0xFFFFFFU);
}

std::vector<Section> identity_sections(const FileIdentity& identity) {
  std::vector<Section> sections;
  sections.push_back({.id = kIdentitySection, .bytes = encode_identity(identity)});
  return sections;
}

std::optional<StoredFile> open_stored_file(Storage& storage, const std::string& key,
                                           const ClusterKey& cluster, std::string_view name) {
  StoredFile file;
  file.source = storage.open(key);
  if (!file.source) return std::nullopt;
  file.reader = std::make_unique<ArchiveReader>(*file.source);
  const auto identity = file.reader->section(kIdentitySection);
  if (!identity) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("stored file \"{}\" is damaged", file.source->name()),
                 .detail = "It has no identity section."});
  }
  file.identity = decode_identity(*identity);
  if (file.identity.name != name ||
      file.identity.cluster.system_identifier != cluster.system_identifier) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("stored file \"{}\" is not what its name says",
                                        file.source->name()),
                 .detail = fmt::format("It holds \"{}\" of the cluster with system identifier {}.",
                                       file.identity.name, file.identity.cluster.system_identifier),
                 .code = "foreign"});
  }
  return file;
}

bool store_text(Storage& storage, const std::string& key, const FileIdentity& identity,
                std::string_view contents) {
  constexpr std::uint32_t kSmallBlock = 32 * 1024;
  EncodeBuffers buffers({.compression = {.codec = Codec::kLz4}, .block_size = kSmallBlock});
  const auto destination = storage.create(key);
  ArchiveWriter writer(*destination, buffers);
  writer.append(as_byte_span(contents));
  writer.finish(identity_sections(identity));
  return destination->commit();
}

std::optional<std::string> fetch_text(Storage& storage, const std::string& key,
                                      const ClusterKey& cluster, std::string_view name) {
  const auto file = open_stored_file(storage, key, cluster, name);
  if (!file) return std::nullopt;
  if (file->reader->contents().raw_size > kLargestText) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("stored file \"{}\" is too large", key)});
  }
  std::string contents;
  file->reader->read_all(1, [&](ByteSpan raw, std::uint64_t) { contents += as_text(raw); });
  return contents;
}

std::vector<ClusterRecord> list_clusters(Storage& storage) {
  std::vector<ClusterKey> keys;
  storage.list(kClusterFolder, "", [&](const std::string& key) {
    if (const auto cluster = ClusterKey::parse(last_part(key))) keys.push_back(*cluster);
    return true;
  });
  std::vector<ClusterRecord> clusters;
  for (const ClusterKey& key : keys) {
    const auto file = open_stored_file(storage, cluster_record_key(key), key, key.to_string());
    if (!file) continue;
    clusters.push_back(
        {.key = key, .identity = file->identity.cluster, .created_at = file->identity.created_at});
  }
  std::stable_sort(
      clusters.begin(), clusters.end(),
      [](const ClusterRecord& a, const ClusterRecord& b) { return a.created_at < b.created_at; });
  return clusters;
}

ClusterRecord find_cluster(Storage& storage, const std::string& name,
                           std::optional<std::uint64_t> system_identifier) {
  if (system_identifier) {
    const ClusterKey key{.name = name, .system_identifier = *system_identifier};
    const auto file = open_stored_file(storage, cluster_record_key(key), key, key.to_string());
    if (file) {
      return {
          .key = key, .identity = file->identity.cluster, .created_at = file->identity.created_at};
    }
  }
  std::optional<ClusterRecord> found;
  std::string others;
  for (const ClusterRecord& record : list_clusters(storage)) {
    if (record.key.name == name) found = record;
    others += fmt::format("{}{} ({})", others.empty() ? "" : ", ", record.key.name,
                          record.key.system_identifier);
  }
  if (found && !system_identifier) return *found;
  throw Error(
      {.kind = ErrorKind::kMismatch,
       .message = system_identifier
                      ? fmt::format("the repository does not know cluster \"{}\" with system "
                                    "identifier {}",
                                    name, *system_identifier)
                      : fmt::format("the repository does not know cluster \"{}\"", name),
       .detail = others.empty() ? "It holds no cluster yet." : fmt::format("It holds {}.", others),
       .hint = found ? "The name belongs to another cluster. After pg_upgrade run: pitr init "
                       "--upgraded"
                     : "Check cluster.name in the configuration, or run: pitr init"});
}

void create_cluster_record(Storage& storage, const ClusterRecord& record) {
  const FileIdentity identity{.kind = FileKind::kClusterRecord,
                              .name = record.key.to_string(),
                              .cluster_name = record.key.name,
                              .cluster = record.identity,
                              .created_at = record.created_at};
  const std::string key = cluster_record_key(record.key);
  if (!store_text(storage, key, identity, describe(record))) storage.make_durable(key);
}

}  // namespace pitr
