// The checksum of a data page: pg_checksum_page() in PostgreSQL's checksum_impl.h.
#pragma once

#include <cstdint>

#include "common/bytes.h"
#include "wal/lsn.h"

namespace pitr {

// What the page holds at offset 8, computed as if that field were zero. `block` counts from the
// start of the relation, not of its file. The page's size is a multiple of 128 bytes.
std::uint16_t page_checksum(ByteSpan page, std::uint32_t block);

// True for a page of zeros (new, never written) and for one whose checksum is right.
bool page_is_valid(ByteSpan page, std::uint32_t block);

Lsn page_lsn(ByteSpan page);  // PageHeaderData.pd_lsn

}  // namespace pitr
