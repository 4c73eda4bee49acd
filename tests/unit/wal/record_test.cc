#include "wal/record.h"

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"
#include "harness/wal_builder.h"

namespace pitr {

using testing::Bytes;
using testing::encode_record;
using testing::pieces_body;
using testing::WalBlock;
using testing::WalImage;
using testing::WalPieces;
using testing::WalRecord;

namespace {

constexpr std::size_t kPage = 8192;
constexpr RelationFile kFile{.tablespace = 1663, .database = 5, .number = 16384};
constexpr RelationFile kOther{.tablespace = 1664, .database = 0, .number = 1213};

Bytes record_of(const WalPieces& pieces, unsigned version = 15) {
  return encode_record(
      {.manager = 10, .info = 0x30, .xid = 7, .body = pieces_body(pieces, version)}, 0x1234);
}

// A record with one of everything; the second block is of the first one's relation.
WalPieces everything() {
  WalPieces pieces;
  pieces.blocks.push_back({.file = kFile, .block = 3, .data = testing::random_bytes(11, 1)});
  pieces.blocks.push_back({.block = 4,
                           .fork = Fork::kVisibilityMap,
                           .id = 1,
                           .same_relation = true,
                           .image = WalImage{.bytes = testing::random_bytes(kPage - 100, 2),
                                             .hole_offset = 200,
                                             .hole_length = 100}});
  pieces.blocks.push_back({.file = kOther,
                           .block = 0xFFFFFFFE,
                           .fork = Fork::kFreeSpaceMap,
                           .id = 9,
                           .data = testing::random_bytes(5, 3),
                           .image = WalImage{.bytes = testing::random_bytes(300, 4),
                                             .hole_offset = 24,
                                             .hole_length = 8000,
                                             .is_compressed = true}});
  pieces.main_data = testing::random_bytes(300, 5);
  pieces.origin = 3;
  pieces.toplevel_xid = 99;
  return pieces;
}

Bytes copy(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

bool is_beginning(ByteSpan part, ByteSpan whole) {
  return part.size() <= whole.size() && copy(part) == copy(whole.first(part.size()));
}

// Sets the length in the header.
void set_length(Bytes& record, std::uint32_t length) {
  std::memcpy(record.data(), &length, sizeof length);
}

bool parses(const WalPieces& pieces, unsigned version = 15) {
  RecordView view;
  const Bytes record = record_of(pieces, version);
  return view.parse(record, version);
}

}  // namespace

TEST_CASE("a record's header is read field by field", "[wal]") {
  const Bytes record = encode_record(
      {.manager = 1, .info = 0xB7, .xid = 0xFFFFFFF0, .body = testing::main_data_body({})},
      0x1122334455667788);
  RecordView view;
  view.parse(record, 15);
  CHECK(view.length() == record.size());
  CHECK(view.xid() == 0xFFFFFFF0);
  CHECK(view.previous() == 0x1122334455667788);
  CHECK(view.info() == 0xB7);
  CHECK(view.type() == 0xB0);
  CHECK(view.manager() == 1);
  CHECK(view.is_of(ResourceManager::kTransaction));
  CHECK_FALSE(view.is_of(ResourceManager::kXlog));
}

TEST_CASE("a record that is only a header has no pieces", "[wal]") {
  const Bytes record = encode_record({.manager = 0, .info = 0x40}, 1);
  RecordView view;
  CHECK(view.parse(record, 15));
  CHECK(view.blocks().empty());
  CHECK(view.main_data().empty());
}

TEST_CASE("every piece of a record is found, in every version", "[wal]") {
  const unsigned version = GENERATE(13U, 14U, 15U, 16U, 17U, 18U);
  CAPTURE(version);
  const WalPieces pieces = everything();
  const Bytes record = record_of(pieces, version);
  RecordView view;
  REQUIRE(view.parse(record, version));
  REQUIRE(view.blocks().size() == 3);
  const BlockReference& plain = view.blocks()[0];
  CHECK(plain.file == kFile);
  CHECK(plain.fork == Fork::kMain);
  CHECK(plain.id == 0);
  CHECK(plain.block == 3);
  CHECK_FALSE(plain.has_image);
  CHECK(plain.image.empty());
  CHECK(copy(plain.data) == pieces.blocks[0].data);
  const BlockReference& with_hole = view.blocks()[1];
  CHECK(with_hole.file == kFile);
  CHECK(with_hole.fork == Fork::kVisibilityMap);
  CHECK(with_hole.id == 1);
  CHECK(with_hole.block == 4);
  CHECK(with_hole.has_image);
  CHECK_FALSE(with_hole.image_is_compressed);
  CHECK(with_hole.hole_offset == 200);
  CHECK(copy(with_hole.image) == pieces.blocks[1].image->bytes);
  CHECK(with_hole.data.empty());
  const BlockReference& compressed = view.blocks()[2];
  CHECK(compressed.file == kOther);
  CHECK(compressed.fork == Fork::kFreeSpaceMap);
  CHECK(compressed.id == 9);
  CHECK(compressed.block == 0xFFFFFFFE);
  CHECK(compressed.image_is_compressed);
  CHECK(copy(compressed.image) == pieces.blocks[2].image->bytes);
  CHECK(copy(compressed.data) == pieces.blocks[2].data);
  CHECK(copy(view.main_data()) == pieces.main_data);
}

TEST_CASE("a page without a hole is one image of 8 KiB", "[wal]") {
  WalPieces pieces;
  pieces.blocks.push_back(
      {.file = kFile, .block = 1, .image = WalImage{.bytes = testing::random_bytes(kPage)}});
  const Bytes record = record_of(pieces);
  RecordView view;
  REQUIRE(view.parse(record, 15));
  REQUIRE(view.blocks().size() == 1);
  CHECK(view.blocks()[0].has_image);
  CHECK_FALSE(view.blocks()[0].image_is_compressed);
  CHECK(view.blocks()[0].image.size() == kPage);
  CHECK(view.main_data().empty());
}

TEST_CASE("the bits of an image mean what they mean in their version", "[wal]") {
  // 0x02: compressed before 15, to be applied since. 0x04: to be applied before 15, pglz since.
  WalPieces pieces;
  pieces.blocks.push_back(
      {.file = kFile,
       .image = WalImage{.bytes = testing::random_bytes(500), .is_compressed = true}});
  Bytes record = record_of(pieces, 15);
  std::byte& bits = record[kRecordHeaderSize + 4 + 4];
  const unsigned version = GENERATE(13U, 14U, 15U, 18U);
  const bool is_old = version < 15;
  const unsigned value = GENERATE(0x02U, 0x04U, 0x08U, 0x10U, 0x06U);
  CAPTURE(version, value);
  bits = static_cast<std::byte>(value);
  RecordView view;
  view.parse(record, version);
  const bool expected = is_old ? (value & 0x02U) != 0 : (value & 0x1CU) != 0;
  // An image that is not compressed has 8 KiB with its hole: what is no image is not looked at.
  if (view.blocks().empty()) {
    CHECK_FALSE(expected);
  } else {
    CHECK(view.blocks()[0].image_is_compressed == expected);
  }
}

TEST_CASE("a record may have 33 blocks and no more", "[wal]") {
  WalPieces pieces;
  for (std::uint8_t id = 0; id < 33; ++id)
    pieces.blocks.push_back({.file = kFile,
                             .block = 100U + id,
                             .id = id,
                             .same_relation = id > 0,
                             .data = testing::random_bytes(id + 1U, id)});
  pieces.main_data = testing::random_bytes(3);
  const Bytes record = record_of(pieces);
  RecordView view;
  REQUIRE(view.parse(record, 15));
  REQUIRE(view.blocks().size() == 33);
  for (std::uint8_t id = 0; id < 33; ++id) {
    CHECK(view.blocks()[id].block == 100U + id);
    CHECK(view.blocks()[id].file == kFile);
    CHECK(copy(view.blocks()[id].data) == pieces.blocks[id].data);
  }
  pieces.blocks.push_back({.file = kFile, .block = 200, .id = 32, .same_relation = true});
  CHECK_FALSE(parses(pieces));
  pieces.blocks.back().id = 33;
  CHECK_FALSE(parses(pieces));
}

TEST_CASE("a first block cannot be of the relation of the one before", "[wal]") {
  WalPieces pieces;
  pieces.blocks.push_back({.block = 3, .same_relation = true, .data = testing::random_bytes(3)});
  CHECK_FALSE(parses(pieces));
}

TEST_CASE("a view that is used again remembers nothing of the record before", "[wal]") {
  RecordView view;
  const Bytes first = record_of(everything());
  REQUIRE(view.parse(first, 15));
  const Bytes second = encode_record({.manager = 0, .info = 0x40}, 1);
  REQUIRE(view.parse(second, 15));
  CHECK(view.blocks().empty());
  CHECK(view.main_data().empty());
  WalPieces same;  // its relation is not that of the record before
  same.blocks.push_back({.block = 3, .same_relation = true, .data = testing::random_bytes(3)});
  const Bytes third = record_of(same);
  CHECK_FALSE(view.parse(third, 15));
  WalPieces plain;
  plain.blocks.push_back({.file = kOther, .block = 1, .data = testing::random_bytes(2)});
  const Bytes fourth = record_of(plain);
  REQUIRE(view.parse(fourth, 15));
  REQUIRE(view.blocks().size() == 1);
  CHECK_FALSE(view.blocks()[0].has_image);
  CHECK_FALSE(view.blocks()[0].image_is_compressed);
  CHECK(view.blocks()[0].image.empty());
  CHECK(view.blocks()[0].hole_offset == 0);
}

TEST_CASE("a record cut at any byte shows what is whole and nothing else", "[wal]") {
  const unsigned version = GENERATE(13U, 18U);
  const WalPieces pieces = everything();
  const Bytes record = record_of(pieces, version);
  // Headers: 4+16 bytes of the first block, 4+5+4 of the second, 4+7+16 of the third, origin,
  // top-level transaction, and the length of the main data.
  const std::size_t headers = kRecordHeaderSize + 20 + 13 + 27 + 3 + 5 + 5;
  for (std::size_t length = kRecordHeaderSize; length <= record.size(); ++length) {
    const Bytes cut(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(length));
    RecordView view;
    const bool is_readable = view.parse(cut, version);
    if (is_readable != (length >= headers)) FAIL("cut at " << length);
    if (view.xid() != 7 || view.length() != record.size()) FAIL("header, cut at " << length);
    if (!is_readable) continue;
    if (view.blocks().size() != 3) FAIL("blocks, cut at " << length);
    for (std::size_t i = 0; i < 3; ++i) {
      const BlockReference& block = view.blocks()[i];
      if (!block.data.empty() && copy(block.data) != pieces.blocks[i].data)
        FAIL("data of block " << i << ", cut at " << length);
      if (!block.image.empty() && copy(block.image) != pieces.blocks[i].image->bytes)
        FAIL("image of block " << i << ", cut at " << length);
    }
    if (!is_beginning(view.main_data(), pieces.main_data)) FAIL("main data, cut at " << length);
  }
}

TEST_CASE("main data of which a part is at hand is given in part", "[wal]") {
  WalPieces pieces;
  pieces.blocks.push_back({.file = kFile, .block = 1, .data = testing::random_bytes(20)});
  pieces.main_data = testing::random_bytes(50, 2);
  const Bytes record = record_of(pieces);
  const ByteSpan all(record);
  for (std::size_t missing = 0; missing <= 50; ++missing) {
    RecordView view;
    REQUIRE(view.parse(all.first(record.size() - missing), 15));
    CHECK(view.main_data().size() == 50 - missing);
    CHECK(view.blocks()[0].data.size() == 20);
  }
  RecordView view;
  REQUIRE(view.parse(all.first(record.size() - 51), 15));
  CHECK(view.main_data().empty());
  CHECK(view.blocks()[0].data.empty());
}

TEST_CASE("pieces that do not add up to the record's length are refused", "[wal]") {
  const Bytes record = record_of(everything());
  for (const int more : {-10'000, -300, -1, 1, 2, 300, 100'000}) {
    CAPTURE(more);
    Bytes wrong = record;
    set_length(wrong, static_cast<std::uint32_t>(static_cast<int>(record.size()) + more));
    RecordView view;
    CHECK_FALSE(view.parse(wrong, 15));
    CHECK(view.blocks().empty());
    CHECK(view.main_data().empty());
    CHECK(view.xid() == 7);
  }
}

TEST_CASE("a length less than a header, or beyond all memory, is refused", "[wal]") {
  const Bytes record = record_of(everything());
  for (const std::uint32_t length : {0U, 1U, 23U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
    CAPTURE(length);
    Bytes wrong = record;
    set_length(wrong, length);
    RecordView view;
    CHECK_FALSE(view.parse(wrong, 15));
  }
}

TEST_CASE("a length of a piece that is wrong is found out", "[wal]") {
  const Bytes record = record_of(everything());
  // The lengths of the first block's data, of the two images, of the third block's data, and of the
  // main data.
  for (const std::size_t offset : {24U + 2U, 44U + 4U, 57U + 2U, 57U + 4U, 24U + 60U + 8U + 1U}) {
    CAPTURE(offset);
    Bytes wrong = record;
    wrong[offset] ^= std::byte{0x01};
    RecordView view;
    CHECK_FALSE(view.parse(wrong, 15));
  }
}

TEST_CASE("an unknown kind of piece is refused", "[wal]") {
  for (const unsigned id : {33U, 34U, 100U, 251U}) {
    CAPTURE(id);
    WalPieces pieces;
    pieces.blocks.push_back({.file = kFile, .block = 1, .data = testing::random_bytes(3)});
    Bytes record = record_of(pieces);
    record[kRecordHeaderSize] = static_cast<std::byte>(id);
    RecordView view;
    CHECK_FALSE(view.parse(record, 15));
  }
}

TEST_CASE("any byte of the pieces' headers may be wrong: nothing outside is read", "[wal]") {
  const Bytes record = record_of(everything());
  RecordView view;
  for (std::size_t offset = kRecordHeaderSize; offset < kRecordHeaderSize + 73; ++offset) {
    for (unsigned value = 0; value < 256; ++value) {
      Bytes wrong = record;
      wrong[offset] = static_cast<std::byte>(value);
      if (!view.parse(wrong, 15)) continue;
      const std::byte* const end = wrong.data() + wrong.size();
      for (const BlockReference& block : view.blocks()) {
        for (const ByteSpan piece : {block.image, block.data}) {
          if (!piece.empty() && (piece.data() < wrong.data() || piece.data() + piece.size() > end))
            FAIL("byte " << offset << " as " << value);
        }
      }
    }
  }
}

TEST_CASE("random bytes behind a header make no record that reads beyond them", "[wal]") {
  RecordView view;
  for (std::uint32_t seed = 1; seed <= 3000; ++seed) {
    Bytes bytes = testing::random_bytes(kRecordHeaderSize + seed % 200, seed);
    set_length(bytes, static_cast<std::uint32_t>(bytes.size()));
    if (!view.parse(bytes, seed % 2 == 0 ? 13 : 18)) continue;
    std::size_t total = view.main_data().size();
    for (const BlockReference& block : view.blocks())
      total += block.image.size() + block.data.size();
    if (total > bytes.size()) FAIL("seed " << seed);
  }
}

}  // namespace pitr
