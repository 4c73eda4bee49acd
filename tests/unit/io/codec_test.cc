#include "io/codec.h"

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"

namespace pitr {

using testing::Bytes;

namespace {

constexpr std::size_t kRoom = 300'000;

Bytes compressed(BlockCodec& codec, const Bytes& raw) {
  Bytes stored(kRoom);
  stored.resize(codec.compress(raw, stored));
  return stored;
}

}  // namespace

TEST_CASE("the names of codecs in the configuration are understood", "[io]") {
  CHECK(parse_compression("none").codec == Codec::kNone);
  CHECK(parse_compression("lz4").codec == Codec::kLz4);
  CHECK(parse_compression("zstd").codec == Codec::kZstd);
  CHECK(parse_compression("zstd:9").codec == Codec::kZstd);
  CHECK(parse_compression("zstd:9").level == 9);
}

TEST_CASE("the numbers of codecs stand in files and never change", "[io]") {
  CHECK(static_cast<int>(Codec::kNone) == 0);
  CHECK(static_cast<int>(Codec::kLz4) == 1);
  CHECK(static_cast<int>(Codec::kZstd) == 2);
}

TEST_CASE("a block that was compressed is smaller and comes back", "[io]") {
  BlockCodec codec({.codec = GENERATE(Codec::kLz4, Codec::kZstd)});
  const std::size_t size = GENERATE(500U, 8192U, 262'144U);
  const Bytes raw = testing::compressible_bytes(size);
  const Bytes stored = compressed(codec, raw);
  REQUIRE_FALSE(stored.empty());
  CHECK(stored.size() < raw.size());
  Bytes found(raw.size());
  CHECK(codec.decompress(stored, found));
  CHECK(found == raw);
}

TEST_CASE("a block that does not become smaller is not compressed", "[io]") {
  BlockCodec codec({.codec = GENERATE(Codec::kNone, Codec::kLz4, Codec::kZstd)});
  CHECK(compressed(codec, testing::random_bytes(8192)).empty());
  CHECK(compressed(codec, testing::bytes_of("a")).empty());
  CHECK(compressed(codec, {}).empty());
}

TEST_CASE("a compressed block has exactly one size", "[io]") {
  BlockCodec codec({.codec = GENERATE(Codec::kLz4, Codec::kZstd)});
  const Bytes raw = testing::compressible_bytes(8192);
  const Bytes stored = compressed(codec, raw);
  Bytes shorter(raw.size() - 1);
  CHECK_FALSE(codec.decompress(stored, shorter));
  Bytes longer(raw.size() + 1);
  CHECK_FALSE(codec.decompress(stored, longer));
}

TEST_CASE("garbage is not decompressed, and nothing is written beside the block", "[io]") {
  BlockCodec codec({.codec = GENERATE(Codec::kLz4, Codec::kZstd)});
  Bytes found(8192);
  CHECK_FALSE(codec.decompress({}, found));
  for (std::uint32_t seed = 0; seed < 300; ++seed)
    codec.decompress(testing::random_bytes(200 + seed, seed), found);  // ASan watches
  const Bytes stored = compressed(codec, testing::compressible_bytes(8192));
  for (std::size_t length = 0; length < stored.size(); ++length)
    CHECK_FALSE(codec.decompress(ByteSpan(stored).first(length), found));
}

TEST_CASE("a codec is used for one block after the other", "[io]") {
  BlockCodec codec({.codec = GENERATE(Codec::kLz4, Codec::kZstd)});
  for (const std::size_t size : {500U, 100'000U, 1000U}) {
    const Bytes raw = testing::compressible_bytes(size);
    Bytes found(size);
    CHECK(codec.decompress(compressed(codec, raw), found));
    CHECK(found == raw);
  }
}

}  // namespace pitr
