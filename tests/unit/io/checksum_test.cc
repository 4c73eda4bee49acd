#include "io/checksum.h"

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"

namespace pitr {

TEST_CASE("XXH3 gives the values that xxhsum prints", "[io]") {
  CHECK(xxh3_64({}) == 0x2D06800538D394C2U);
  CHECK(to_hex(Xxh3Stream().value()) == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("the hash of bytes at once is that of a stream", "[io]") {
  CHECK(to_hex(hash_of({})) == "99aa06d3014798d86001c324468d497f");
  const auto bytes = testing::random_bytes(100'000);
  Xxh3Stream stream;
  stream.update(bytes);
  CHECK(hash_of(bytes) == stream.value());
}

TEST_CASE("a checksum depends on its seed", "[io]") {
  CHECK(xxh3_64(as_byte_span("block"), 1) != xxh3_64(as_byte_span("block"), 2));
}

TEST_CASE("a hash of pieces is that of the whole", "[io]") {
  const auto bytes = testing::random_bytes(5000);
  Xxh3Stream whole;
  whole.update(bytes);
  for (const std::size_t cut : {0U, 1U, 239U, 240U, 241U, 1024U, 4999U, 5000U}) {
    Xxh3Stream pieces;
    pieces.update(ByteSpan(bytes).first(cut));
    pieces.update(ByteSpan(bytes).subspan(cut));
    CHECK(pieces.value() == whole.value());
  }
}

TEST_CASE("bytes are printed in lower case hexadecimal", "[io]") {
  CHECK(to_hex(testing::bytes_of(std::string_view("\x00\xAB\x7F", 3))) == "00ab7f");
}

}  // namespace pitr
