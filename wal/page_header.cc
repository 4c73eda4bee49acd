#include "wal/page_header.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

// XLOG_PAGE_MAGIC in xlog_internal.h of each version.
constexpr std::array<std::pair<std::uint16_t, unsigned>, 6> kMagics = {{
    {0xD106, 13},
    {0xD10D, 14},
    {0xD110, 15},
    {0xD113, 16},
    {0xD116, 17},
    {0xD118, 18},
}};

[[noreturn]] void refuse(ErrorKind kind, const SegmentName& name, std::string_view what,
                         std::string detail, std::string hint = {}) {
  throw Error({.kind = kind,
               .message = fmt::format("WAL segment \"{}\" {}", name.to_string(), what),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

}  // namespace

std::optional<PageHeader> parse_page_header(ByteSpan page) {
  ByteReader reader(page);
  PageHeader header{.magic = reader.get<std::uint16_t>(),
                    .flags = reader.get<std::uint16_t>(),
                    .timeline = reader.get<std::uint32_t>(),
                    .address = reader.get<std::uint64_t>(),
                    .remaining_bytes = reader.get<std::uint32_t>()};
  reader.get<std::uint32_t>();  // padding to eight bytes
  if (header.is_long()) {
    header.system_identifier = reader.get<std::uint64_t>();
    header.segment_size = reader.get<std::uint32_t>();
    header.page_size = reader.get<std::uint32_t>();
  }
  if (!reader.ok()) return std::nullopt;
  return header;
}

std::optional<unsigned> version_of_page_magic(std::uint16_t magic) {
  for (const auto& [known, version] : kMagics) {
    if (magic == known) return version;
  }
  return std::nullopt;
}

void check_segment_header(ByteSpan first_page, std::uint64_t file_size, const SegmentName& name,
                          const ClusterIdentity& cluster) {
  if (file_size != cluster.segment_size) {
    refuse(ErrorKind::kMismatch, name, "has the wrong size",
           fmt::format("The file has {} bytes, the cluster's wal_segment_size is {}.", file_size,
                       cluster.segment_size));
  }
  if (!name.is_valid(cluster.segment_size)) {
    refuse(ErrorKind::kMismatch, name, "has a name that this cluster cannot give",
           fmt::format("With a wal_segment_size of {} the last part is less than {:X}.",
                       cluster.segment_size, segments_per_log(cluster.segment_size)));
  }
  const auto header = parse_page_header(first_page);
  if (!header || !header->is_long()) {
    refuse(ErrorKind::kCorrupt, name, "has no valid first page header",
           "The file does not begin like a WAL segment.",
           "Look at it with pg_waldump; if it is a leftover, move it away by hand.");
  }
  const auto version = version_of_page_magic(header->magic);
  if (!version) {
    refuse(ErrorKind::kCorrupt, name, "has no valid first page header",
           fmt::format("The page magic is {:04X}, which is that of no PostgreSQL from 13 to 18.",
                       header->magic));
  }
  if (header->system_identifier != cluster.system_identifier) {
    refuse(ErrorKind::kMismatch, name, "belongs to another database cluster",
           fmt::format("The segment has system identifier {}, but this repository was created for "
                       "{}.",
                       header->system_identifier, cluster.system_identifier),
           "Check that archive_command in postgresql.conf names the repository of this cluster.");
  }
  if (*version != cluster.postgres_version) {
    refuse(ErrorKind::kMismatch, name, "was written by another version of PostgreSQL",
           fmt::format("The segment is of version {}, the cluster of version {}.", *version,
                       cluster.postgres_version));
  }
  if (header->segment_size != cluster.segment_size) {
    refuse(ErrorKind::kMismatch, name, "has the wrong size",
           fmt::format("Its header says {} bytes, the cluster's wal_segment_size is {}.",
                       header->segment_size, cluster.segment_size));
  }
  if (header->address != name.start(cluster.segment_size)) {
    refuse(ErrorKind::kMismatch, name, "does not hold what its name says",
           fmt::format("Its first page is at {}, its name says {}.", format_lsn(header->address),
                       format_lsn(name.start(cluster.segment_size))));
  }
  if (header->timeline > name.timeline) {
    refuse(ErrorKind::kMismatch, name, "does not hold what its name says",
           fmt::format("Its first page was written on timeline {}, its name says {}.",
                       header->timeline, name.timeline));
  }
}

}  // namespace pitr
