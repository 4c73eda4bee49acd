#include "wal/control_file.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "common/error.h"
#include "wal/crc32c.h"

namespace pitr {

namespace {

// CATALOG_VERSION_NO of each release: the only place where pg_control says which version wrote it.
constexpr std::array<std::pair<std::uint32_t, unsigned>, 6> kCatalogVersions = {{
    {202007201, 13},
    {202107181, 14},
    {202209061, 15},
    {202307071, 16},
    {202406281, 17},
    {202506291, 18},
}};

// PG_CONTROL_VERSION. What is read here lies at the same place in all of them but the last.
constexpr std::uint32_t kControlVersion13 = 1300;  // 13 to 16
constexpr std::uint32_t kControlVersion17 = 1700;
constexpr std::uint32_t kControlVersion18 = 1800;

}  // namespace

ControlFile ControlFile::parse(ByteSpan contents) {
  if (contents.size() < 296) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = "pg_control is too short",
                 .detail = fmt::format("It has {} bytes.", contents.size())});
  }
  const auto control_version = load<std::uint32_t>(contents, 8);
  if (control_version != kControlVersion13 && control_version != kControlVersion17 &&
      control_version != kControlVersion18) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = "pg_control is of an unknown version",
                 .detail = fmt::format("Its version is {}; known are {} (13 to 16), {} (17) and {} "
                                       "(18).",
                                       control_version, kControlVersion13, kControlVersion17,
                                       kControlVersion18)});
  }
  const std::size_t crc_offset = control_version == kControlVersion18 ? 292 : 288;
  if (crc32c(contents.first(crc_offset)) != load<std::uint32_t>(contents, crc_offset)) {
    throw Error({.kind = ErrorKind::kCorrupt, .message = "pg_control fails its checksum"});
  }
  ControlFile control;
  control.cluster.system_identifier = load<std::uint64_t>(contents, 0);
  control.catalog_version = load<std::uint32_t>(contents, 12);
  control.state = load<std::uint32_t>(contents, 16);
  control.checkpoint = load<std::uint64_t>(contents, 32);
  control.redo = load<std::uint64_t>(contents, 40);
  control.timeline = load<std::uint32_t>(contents, 48);
  control.next_xid = load<std::uint64_t>(contents, 64);
  control.max_connections = load<std::int32_t>(contents, 180);
  control.max_worker_processes = load<std::int32_t>(contents, 184);
  control.max_wal_senders = load<std::int32_t>(contents, 188);
  control.max_prepared_transactions = load<std::int32_t>(contents, 192);
  control.max_locks_per_transaction = load<std::int32_t>(contents, 196);
  control.block_size = load<std::uint32_t>(contents, 216);
  control.blocks_per_file = load<std::uint32_t>(contents, 220);
  control.cluster.segment_size = load<std::uint32_t>(contents, 228);
  control.data_checksums = load<std::uint32_t>(contents, 252) != 0;

  for (const auto& [catalog_version, version] : kCatalogVersions) {
    if (control.catalog_version == catalog_version) control.cluster.postgres_version = version;
  }
  if (control.cluster.postgres_version == 0) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = "pg_control was written by an unknown version of PostgreSQL",
                 .detail = fmt::format("Its catalog version is {}; pitr knows the releases 13 to "
                                       "18.",
                                       control.catalog_version)});
  }
  if (!is_valid_segment_size(control.cluster.segment_size)) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = "pg_control holds an impossible wal_segment_size",
                 .detail = fmt::format("It says {} bytes.", control.cluster.segment_size)});
  }
  return control;
}

}  // namespace pitr
