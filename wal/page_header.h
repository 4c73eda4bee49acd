// The header of a WAL page: XLogPageHeaderData and XLogLongPageHeaderData in PostgreSQL's
// xlog_internal.h, unchanged from version 13 to 18 but for the magic number.
#pragma once

#include <cstdint>
#include <optional>

#include "common/bytes.h"
#include "wal/segment_name.h"

namespace pitr {

constexpr std::size_t kShortPageHeaderSize = 24;
constexpr std::size_t kLongPageHeaderSize = 40;
constexpr std::size_t kUsualWalPageSize = 8192;  // XLOG_BLCKSZ of Debian's builds

// Flags in xlp_info.
constexpr std::uint16_t kPageStartsInsideRecord = 0x0001;  // XLP_FIRST_IS_CONTRECORD
constexpr std::uint16_t kPageHasLongHeader = 0x0002;       // XLP_LONG_HEADER
constexpr std::uint16_t kPageOverwritesRecord = 0x0008;    // XLP_FIRST_IS_OVERWRITE_CONTRECORD
constexpr std::uint16_t kAllPageFlags = 0x000F;            // XLP_ALL_FLAGS

struct PageHeader {
  std::uint16_t magic = 0;
  std::uint16_t flags = 0;
  TimelineId timeline = 0;
  Lsn address = 0;                    // position of the page's first byte
  std::uint32_t remaining_bytes = 0;  // of the record that began on an earlier page

  // Only on the first page of a segment.
  std::uint64_t system_identifier = 0;
  std::uint32_t segment_size = 0;
  std::uint32_t page_size = 0;

  bool is_long() const { return (flags & kPageHasLongHeader) != 0; }
  std::size_t size() const { return is_long() ? kLongPageHeaderSize : kShortPageHeaderSize; }
};

// Nothing when `page` is too short for the header that its flags announce.
std::optional<PageHeader> parse_page_header(ByteSpan page);

// PostgreSQL's major version by XLOG_PAGE_MAGIC; nothing for a version we do not know.
std::optional<unsigned> version_of_page_magic(std::uint16_t magic);

// What a segment must be to belong to a cluster.
struct ClusterIdentity {
  std::uint64_t system_identifier = 0;
  SegmentSize segment_size = 0;
  unsigned postgres_version = 0;  // major version
};

// Refuses a segment of another cluster, position or version before a byte of it leaves the machine.
// `first_page` holds at least the long header, `file_size` is that of the whole file. Throws
// kMismatch or kCorrupt with the reason.
//
// The timeline in the header may be older than the name's: the first segment of a new timeline
// begins with its parent's pages.
void check_segment_header(ByteSpan first_page, std::uint64_t file_size, const SegmentName& name,
                          const ClusterIdentity& cluster);

}  // namespace pitr
