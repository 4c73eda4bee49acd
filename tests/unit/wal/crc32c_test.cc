#include "wal/crc32c.h"

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"

namespace pitr {

TEST_CASE("the CRC-32C of the usual check text is the published one", "[wal]") {
  CHECK(crc32c(as_byte_span("123456789")) == 0xE3069283U);
  CHECK(crc32c({}) == 0);
}

TEST_CASE("a CRC-32C of zeros and of ones is that of RFC 3720", "[wal]") {
  CHECK(crc32c(std::vector<std::byte>(32, std::byte{0})) == 0x8A9136AAU);
  CHECK(crc32c(std::vector<std::byte>(32, std::byte{0xFF})) == 0x62A8AB43U);
}

TEST_CASE("a CRC-32C of pieces is that of the whole, wherever it is cut", "[wal]") {
  const auto bytes = testing::random_bytes(100);
  const ByteSpan all(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Crc32c crc;
    crc.update(all.first(cut));
    Crc32c resumed = Crc32c::resume(crc.value());
    resumed.update(all.subspan(cut));
    CHECK(resumed.value() == crc32c(all));
  }
}

TEST_CASE("a CRC-32C of many bytes is that of the same bytes one after the other", "[wal]") {
  const auto bytes = testing::random_bytes(5000);
  Crc32c one_by_one;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    if (crc32c(ByteSpan(bytes).first(length)) != one_by_one.value()) FAIL(length);
    one_by_one.update(ByteSpan(bytes).subspan(length, 1));
  }
}

}  // namespace pitr
