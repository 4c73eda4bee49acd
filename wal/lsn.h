// Positions in the WAL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pitr {

using Lsn = std::uint64_t;  // XLogRecPtr: byte position in the WAL; 0 is never a valid one
using TimelineId = std::uint32_t;
using SegmentSize = std::uint64_t;  // wal_segment_size in bytes, a power of two

constexpr SegmentSize kSmallestSegment = 1ULL << 20;
constexpr SegmentSize kLargestSegment = 1ULL << 30;

// WalSegMinSize, WalSegMaxSize and IsPowerOf2 in PostgreSQL's xlog_internal.h.
constexpr bool is_valid_segment_size(SegmentSize size) {
  return size >= kSmallestSegment && size <= kLargestSegment && (size & (size - 1)) == 0;
}

constexpr std::uint64_t segments_per_log(SegmentSize size) { return (1ULL << 32) / size; }

// "2/4000000", as PostgreSQL prints an LSN.
std::string format_lsn(Lsn lsn);

// Nothing unless the text is two hexadecimal numbers of at most 8 digits around one slash.
std::optional<Lsn> parse_lsn(std::string_view text);

// Number in the given base that is the whole text; nothing for signs, spaces or an overflow.
std::optional<std::uint64_t> parse_number(std::string_view text, int base);

}  // namespace pitr
