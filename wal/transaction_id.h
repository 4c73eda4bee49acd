// Transaction ids: WAL records hold 32 bits, people and scripts want the 64 that never repeat.
#pragma once

#include <cstdint>

namespace pitr {

// The 64-bit id whose low half is `xid`, given one that was next at about that time
// (FullTransactionIdFromAllowableAt() in PostgreSQL's transam.h). `next_xid` 0: not known, then the
// 32 bits are all there is.
constexpr std::uint64_t full_transaction_id(std::uint32_t xid, std::uint64_t next_xid) {
  constexpr std::uint64_t kEpoch = 1ULL << 32;
  constexpr std::uint64_t kHalf = 1ULL << 31;
  const std::uint64_t candidate = (next_xid & ~(kEpoch - 1)) | xid;
  if (candidate > next_xid + kHalf && candidate >= kEpoch) return candidate - kEpoch;
  if (candidate + kHalf < next_xid) return candidate + kEpoch;
  return candidate;
}

}  // namespace pitr
