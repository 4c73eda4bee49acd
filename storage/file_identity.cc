#include "storage/file_identity.h"

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::uint16_t kIdentityVersion = 1;

}  // namespace

std::vector<std::byte> encode_identity(const FileIdentity& identity) {
  ByteWriter writer;
  writer.put(kIdentityVersion);
  writer.put(static_cast<std::uint16_t>(identity.kind));
  writer.put(identity.cluster.postgres_version);
  writer.put(identity.cluster.system_identifier);
  writer.put(identity.cluster.segment_size);
  writer.put(identity.start_lsn);
  writer.put(identity.end_lsn);
  writer.put(std::int64_t{identity.created_at.time_since_epoch().count()});
  writer.put(identity.timeline);
  writer.put_text(identity.cluster_name);
  writer.put_text(identity.name);
  return writer.take();
}

FileIdentity decode_identity(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = reader.get<std::uint16_t>();
  FileIdentity identity;
  identity.kind = static_cast<FileKind>(reader.get<std::uint16_t>());
  identity.cluster.postgres_version = reader.get<unsigned>();
  identity.cluster.system_identifier = reader.get<std::uint64_t>();
  identity.cluster.segment_size = reader.get<SegmentSize>();
  identity.start_lsn = reader.get<Lsn>();
  identity.end_lsn = reader.get<Lsn>();
  identity.created_at = Instant(std::chrono::microseconds(reader.get<std::int64_t>()));
  identity.timeline = reader.get<TimelineId>();
  identity.cluster_name = reader.get_text();
  identity.name = reader.get_text();
  // Every position is divided by the segment size.
  const bool is_possible = is_valid_segment_size(identity.cluster.segment_size);
  if (!reader.ok() || version != kIdentityVersion || reader.remaining() != 0 || !is_possible) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = "the identity section of a stored file is damaged"});
  }
  return identity;
}

}  // namespace pitr
