#include "basebackup/page_checksum.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace pitr {

namespace {

constexpr std::size_t kSums = 32;           // N_SUMS
constexpr std::uint32_t kPrime = 16777619;  // FNV_PRIME
constexpr std::size_t kChecksumOffset = 8;  // PageHeaderData.pd_checksum

// checksumBaseOffsets
constexpr std::array<std::uint32_t, kSums> kBases = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
};

}  // namespace

std::uint16_t page_checksum(ByteSpan page, std::uint32_t block) {
  std::array<std::uint32_t, kSums> sums = kBases;
  const auto mix = [&sums](std::size_t lane, std::uint32_t value) {
    const std::uint32_t mixed = sums[lane] ^ value;
    sums[lane] = mixed * kPrime ^ mixed >> 17;
  };
  std::array<std::uint32_t, kSums> row{};
  for (std::size_t offset = 0; offset < page.size(); offset += sizeof row) {
    std::memcpy(row.data(), page.data() + offset, sizeof row);
    if (offset == 0) row[kChecksumOffset / 4] &= 0xFFFF0000U;  // the checksum itself counts as zero
    for (std::size_t lane = 0; lane < kSums; ++lane)
      mix(lane, row[lane]);
  }
  for (int round = 0; round < 2; ++round) {
    for (std::size_t lane = 0; lane < kSums; ++lane)
      mix(lane, 0);
  }
  std::uint32_t result = 0;
  for (const std::uint32_t sum : sums)
    result ^= sum;
  return static_cast<std::uint16_t>((result ^ block) % 65535 + 1);
}

bool page_is_valid(ByteSpan page, std::uint32_t block) {
  if (load<std::uint16_t>(page, kChecksumOffset) == page_checksum(page, block)) return true;
  return std::all_of(page.begin(), page.end(), [](std::byte b) { return b == std::byte{0}; });
}

Lsn page_lsn(ByteSpan page) {
  return Lsn{load<std::uint32_t>(page, 0)} << 32 | load<std::uint32_t>(page, 4);
}

}  // namespace pitr
