// Makes WAL again out of what was WAL before something changed it, so that changed records are read
// and not refused for their checksum.
#pragma once

#include <array>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "wal/record.h"

namespace pitr::fuzzing {

// A record by the offsets of its bytes in the pages: page headers lie between them.
struct WalkedRecord {
  Lsn start = 0;
  bool is_whole = false;
  std::vector<std::size_t> offsets;
};

// Puts right what a checker looks at, from the first page to where the records end: the pages'
// magic, flags, address and remaining bytes, each record's length (where no record can have it),
// previous record and CRC-32C. `wal` begins with a segment. Returns the records.
std::vector<WalkedRecord> repair(std::span<std::byte> wal, const ReaderOptions& options);

// The pages without their headers, and back: pages get the headers of those at the same place.
std::vector<std::byte> without_page_headers(ByteSpan wal, SegmentSize segment_size);
std::vector<std::byte> with_page_headers(ByteSpan stream, ByteSpan old_wal,
                                         SegmentSize segment_size);

}  // namespace pitr::fuzzing
