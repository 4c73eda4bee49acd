#include "wal/relation_changes.h"

#include <random>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"

namespace pitr {

using testing::Bytes;
using testing::error_kind_of;

namespace {

RelationChanges one_of_each() {
  RelationChanges changes;
  changes.locks = {{.xid = 7, .database = 5, .relation = 16384}, {.xid = 8, .database = 5}};
  changes.created.push_back({.start = 0x1000, .xid = 7, .file = {1663, 5, 16400}, .length = 3});
  changes.created.push_back({.start = 0x2000, .xid = 0xFFFFFFFF, .file = {1, 2, 3}});
  changes.drops.push_back({.start = 0x3000,
                           .end = 0x3100,
                           .time = -5,
                           .xid = 7,
                           .is_commit = true,
                           .was_prepared = true,
                           .subtransactions = {8, 9},
                           .dropped_files = {{1663, 5, 16384}, {1663, 5, 16390}}});
  changes.names.push_back({.start = 0x1800,
                           .xid = 7,
                           .database = 5,
                           .oid = 16384,
                           .schema_oid = 2200,
                           .file_number = 16400,
                           .kind = 'r',
                           .name = "orders \xC3\xA4"});
  changes.names.push_back({.start = 0x1900, .xid = 9, .kind = 'v', .name = ""});
  return changes;
}

RelationChanges random_changes(std::mt19937& random) {
  const auto number = [&] { return static_cast<std::uint32_t>(random()); };
  const auto file = [&] { return RelationFile{number(), number(), number()}; };
  RelationChanges changes;
  Lsn lsn = 1;
  for (std::size_t i = random() % 20; i > 0; --i)
    changes.locks.push_back({number(), number(), number()});
  std::sort(changes.locks.begin(), changes.locks.end());
  for (std::size_t i = random() % 20; i > 0; --i)
    changes.created.push_back(
        {.start = lsn += number(), .xid = number(), .file = file(), .length = number()});
  for (std::size_t i = random() % 5; i > 0; --i) {
    TransactionEnd end{.start = lsn += number(),
                       .end = lsn += 50,
                       .time = static_cast<std::int64_t>(random()) - 1'000'000'000,
                       .xid = number(),
                       .is_commit = true,
                       .was_prepared = random() % 2 == 0};
    for (std::size_t j = random() % 30; j > 0; --j)
      end.subtransactions.push_back(number());
    for (std::size_t j = 1 + random() % 30; j > 0; --j)
      end.dropped_files.push_back(file());
    changes.drops.push_back(std::move(end));
  }
  for (std::size_t i = random() % 20; i > 0; --i)
    changes.names.push_back({.start = lsn += number(),
                             .xid = number(),
                             .database = number(),
                             .oid = number(),
                             .schema_oid = number(),
                             .file_number = number(),
                             .kind = static_cast<char>('a' + random() % 26),
                             .name = std::string(random() % 64, 'x')});
  return changes;
}

void decode_anything(ByteSpan bytes) {
  try {
    decode_relation_changes(bytes);
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) FAIL(error.report().message);
  }
}

}  // namespace

TEST_CASE("relation changes of every kind are read back as they were written", "[wal]") {
  const RelationChanges changes = one_of_each();
  CHECK_FALSE(changes.empty());
  CHECK(decode_relation_changes(encode_relation_changes(changes)) == changes);
}

TEST_CASE("no relation changes are read back, and that they were omitted", "[wal]") {
  CHECK(RelationChanges{}.empty());
  CHECK(decode_relation_changes(encode_relation_changes({})) == RelationChanges{});
  RelationChanges omitted;
  omitted.omitted = true;
  CHECK_FALSE(omitted.empty());
  CHECK(decode_relation_changes(encode_relation_changes(omitted)) == omitted);
}

TEST_CASE("each kind alone makes relation changes not empty", "[wal]") {
  RelationChanges changes;
  const int kind = GENERATE(0, 1, 2, 3);
  if (kind == 0) changes.locks = one_of_each().locks;
  if (kind == 1) changes.created = one_of_each().created;
  if (kind == 2) changes.drops = one_of_each().drops;
  if (kind == 3) changes.names = one_of_each().names;
  CHECK_FALSE(changes.empty());
  CHECK(decode_relation_changes(encode_relation_changes(changes)) == changes);
}

TEST_CASE("random relation changes are read back as they were written", "[wal]") {
  std::mt19937 random(23);
  for (int round = 0; round < 300; ++round) {
    const RelationChanges changes = random_changes(random);
    if (decode_relation_changes(encode_relation_changes(changes)) != changes)
      FAIL("round " << round);
  }
}

TEST_CASE("relation changes cut short or with something behind them are damaged", "[wal]") {
  const auto bytes = encode_relation_changes(one_of_each());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK(error_kind_of([&] { decode_relation_changes(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_relation_changes(longer); }) == ErrorKind::kCorrupt);
}

TEST_CASE("relation changes with any byte damaged never do more than throw", "[wal]") {
  const auto bytes = encode_relation_changes(one_of_each());
  for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
    for (unsigned value = 0; value < 256; ++value) {
      Bytes damaged = bytes;
      damaged[offset] = static_cast<std::byte>(value);
      decode_anything(damaged);
    }
  }
}

TEST_CASE("random bytes are no relation changes that crash", "[wal]") {
  for (std::uint32_t seed = 1; seed <= 3000; ++seed)
    decode_anything(testing::random_bytes(seed % 100, seed));
  for (std::size_t length = 1; length < 80; ++length)
    decode_anything(Bytes(length, std::byte{0xFF}));
}

}  // namespace pitr
