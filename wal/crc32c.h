// CRC-32C (Castagnoli), PostgreSQL's pg_crc32c: of WAL records, pg_control and backup_manifest.
#pragma once

#include <cstdint>

#include "common/bytes.h"

namespace pitr {

class Crc32c {
 public:
  void update(ByteSpan bytes);
  std::uint32_t value() const { return state_ ^ 0xFFFFFFFFU; }

  // Goes on where a checksum with `value` stood; 0 is that of no bytes.
  static Crc32c resume(std::uint32_t value) {
    Crc32c crc;
    crc.state_ = value ^ 0xFFFFFFFFU;
    return crc;
  }

 private:
  std::uint32_t state_ = 0xFFFFFFFFU;
};

inline std::uint32_t crc32c(ByteSpan bytes) {
  Crc32c crc;
  crc.update(bytes);
  return crc.value();
}

// Of `first` followed by `second`.
std::uint32_t crc32c_of_both(ByteSpan first, ByteSpan second);

// Of bytes with the checksum `first` followed by `length` bytes with the checksum `second`.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::uint64_t length);

}  // namespace pitr
