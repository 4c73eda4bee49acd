#include "storage/repository_layout.h"

#include <catch2/catch.hpp>

#include "storage/storage.h"

namespace pitr {

namespace {

const ClusterKey kMain{.name = "main", .system_identifier = 7301122034409873321};

std::string key_of(std::string_view name) {
  return wal_key(kMain, WalFileName::parse(name).value());
}

}  // namespace

TEST_CASE("a cluster's key is its name and its system identifier", "[storage]") {
  CHECK(kMain.to_string() == "main-7301122034409873321");
  CHECK(ClusterKey::parse("main-7301122034409873321") == kMain);
  const ClusterKey dashed{.name = "eu-west-1", .system_identifier = 5};
  CHECK(ClusterKey::parse(dashed.to_string()) == dashed);
  for (const char* text :
       {"", "main", "main-", "-5", "main-x", "main--5x", "main-99999999999999999999"})
    CHECK_FALSE(ClusterKey::parse(text));
}

TEST_CASE("WAL files lie by cluster, timeline and log", "[storage]") {
  CHECK(key_of("0000000A0000001200000034") ==
        "wal/main-7301122034409873321/0000000A/00000012/0000000A0000001200000034");
  CHECK(key_of("0000000A0000001200000034.partial") ==
        "wal/main-7301122034409873321/0000000A/00000012/0000000A0000001200000034.partial");
  CHECK(key_of("0000000A.history") == "history/main-7301122034409873321/0000000A.history");
}

TEST_CASE("every kind of WAL key is a key and is told apart by its last part", "[storage]") {
  using Kind = StoredWalName::Kind;
  const auto name = WalFileName::parse("000000010000001200000034").value();
  const auto partial = WalFileName::parse("000000010000001200000034.partial").value();
  const auto backup = WalFileName::parse("000000010000001200000034.00000028.backup").value();
  const std::vector<std::pair<std::string, Kind>> keys = {
      {wal_key(kMain, name), Kind::kSegment},
      {wal_key(kMain, partial), Kind::kPartialSegment},
      {partial_key(kMain, partial, 0x1234), Kind::kPartialSegment},
      {tail_key(kMain, name.segment, 8192, 0x1234), Kind::kTail},
      {wal_key(kMain, backup), Kind::kBackupHistory}};
  for (const auto& [key, kind] : keys) {
    CAPTURE(key);
    CHECK_NOTHROW(check_key(key));
    const auto found = parse_wal_key(key);
    REQUIRE(found);
    CHECK(found->kind == kind);
    CHECK(found->segment == name.segment);
  }
  CHECK_FALSE(parse_wal_key("wal/x/00000002.history"));
  CHECK_FALSE(parse_wal_key("wal/x/000000010000001200000034.other"));
}

TEST_CASE("the segment comes before what belongs to it, and all of that before the next",
          "[storage]") {
  const auto name = WalFileName::parse("000000010000001200000034").value();
  const std::string segment = wal_key(kMain, name);
  const std::string tail = tail_key(kMain, name.segment, 8192, ~std::uint64_t{0});
  const std::string next = key_of("000000010000001200000035");
  CHECK(key_less(segment, tail));
  CHECK(key_less(segment, key_of("000000010000001200000034.partial")));
  CHECK(key_less(tail, next));
  CHECK(key_less(key_of("0000000100000012000000FF"), key_of("000000010000001300000000")));
}

TEST_CASE("among the tails of a segment the longest has the greatest key", "[storage]") {
  const SegmentName segment{.timeline = 1, .log = 0, .segment = 5};
  CHECK(key_less(tail_key(kMain, segment, 0xFFFF, ~std::uint64_t{0}),
                 tail_key(kMain, segment, 0x10000, 0)));
  CHECK(key_less(tail_key(kMain, segment, 100, 0), tail_key(kMain, segment, 1ULL << 30, 0)));
}

TEST_CASE("the last part of a key stands behind its last slash", "[storage]") {
  CHECK(last_part("a/b/c") == "c");
  CHECK(last_part("c") == "c");
}

}  // namespace pitr
