#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"
#include "wal/crc32c.h"

namespace pitr {

using testing::Bytes;

TEST_CASE("two checksums joined are that of the whole, wherever it is cut", "[wal]") {
  const Bytes bytes = testing::random_bytes(300);
  const ByteSpan all(bytes);
  const std::uint32_t whole = crc32c(all);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CAPTURE(cut);
    const ByteSpan first = all.first(cut);
    const ByteSpan second = all.subspan(cut);
    CHECK(crc32c_joined(crc32c(first), crc32c(second), second.size()) == whole);
    CHECK(crc32c_of_both(first, second) == whole);
  }
}

TEST_CASE("a long second part is joined as well as a short one", "[wal]") {
  const Bytes first = testing::random_bytes(1000, 2);
  for (const std::size_t length : {1U, 7U, 8U, 9U, 63U, 64U, 65U, 255U, 256U, 4095U, 4096U, 65'535U,
                                   65'536U, 65'537U, 1'000'003U}) {
    CAPTURE(length);
    const Bytes second = testing::random_bytes(length, 3);
    Crc32c crc;
    crc.update(first);
    crc.update(second);
    CHECK(crc32c_joined(crc32c(first), crc32c(second), length) == crc.value());
    CHECK(crc32c_of_both(first, second) == crc.value());
    CHECK(crc32c_of_both(second, first) == crc32c_joined(crc32c(second), crc32c(first), 1000));
  }
}

TEST_CASE("joining with no bytes changes nothing", "[wal]") {
  for (const std::uint32_t value : {0U, 1U, 0xE3069283U, 0xFFFFFFFFU}) {
    CHECK(crc32c_joined(value, 0, 0) == value);
    CHECK(crc32c_joined(0, value, 12'345) == value);  // 0 is that of no bytes
  }
  CHECK(crc32c_of_both({}, {}) == 0);
}

TEST_CASE("joining does not depend on the order in which parts are put together", "[wal]") {
  const Bytes a = testing::random_bytes(101, 4);
  const Bytes b = testing::random_bytes(70'001, 5);
  const Bytes c = testing::random_bytes(13, 6);
  const std::uint32_t ab = crc32c_joined(crc32c(a), crc32c(b), b.size());
  const std::uint32_t bc = crc32c_joined(crc32c(b), crc32c(c), c.size());
  CHECK(crc32c_joined(ab, crc32c(c), c.size()) ==
        crc32c_joined(crc32c(a), bc, b.size() + c.size()));
}

// A length of more than 32 bits: two halves of 4 GiB are one of 8.
TEST_CASE("lengths beyond 4 GiB are joined like any other", "[wal]") {
  constexpr std::uint64_t kLength = (std::uint64_t{1} << 32) + 12'345;
  const std::uint32_t part = 0x12345678;
  const std::uint32_t twice = crc32c_joined(part, part, kLength);
  CHECK(crc32c_joined(twice, part, kLength) == crc32c_joined(part, twice, 2 * kLength));
}

TEST_CASE("one bit more or less in either part gives another checksum", "[wal]") {
  const Bytes first = testing::random_bytes(64, 7);
  const Bytes second = testing::random_bytes(64, 8);
  const std::uint32_t whole = crc32c_of_both(first, second);
  for (std::size_t bit = 0; bit < 512; ++bit) {
    Bytes changed = second;
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    CHECK(crc32c_joined(crc32c(first), crc32c(changed), 64) != whole);
    changed = first;
    changed[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    CHECK(crc32c_joined(crc32c(changed), crc32c(second), 64) != whole);
  }
}

}  // namespace pitr
