#include "catalog/expiry.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "common/error.h"
#include "harness/wal_builder.h"
#include "storage/memory_storage.h"

namespace pitr {

namespace {

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

using Ranges = std::vector<SegmentRange>;

}  // namespace

TEST_CASE("ranges that touch or overlap are one", "[catalog]") {
  CHECK(join_ranges({}).empty());
  CHECK(join_ranges({{1, 5, 9}, {1, 1, 4}, {2, 3, 3}, {1, 8, 12}, {1, 20, 21}}) ==
        Ranges{{1, 1, 12}, {1, 20, 21}, {2, 3, 3}});
  CHECK(join_ranges({{1, 3, ~0ULL}, {1, 0, 2}}) == Ranges{{1, 0, ~0ULL}});
}

TEST_CASE("what is left of ranges when others are taken out", "[catalog]") {
  CHECK(subtract_ranges({{1, 1, 10}}, {}) == Ranges{{1, 1, 10}});
  CHECK(subtract_ranges({{1, 1, 10}}, {{2, 1, 10}}) == Ranges{{1, 1, 10}});
  CHECK(subtract_ranges({{1, 1, 10}}, {{1, 4, 5}, {1, 7, 7}}) ==
        Ranges{{1, 1, 3}, {1, 6, 6}, {1, 8, 10}});
  CHECK(subtract_ranges({{1, 1, 10}}, {{1, 0, 3}, {1, 8, ~0ULL}}) == Ranges{{1, 4, 7}});
  CHECK(subtract_ranges({{1, 1, 10}}, {{1, 1, 10}}).empty());
  CHECK(subtract_ranges({{1, 1, 4}, {1, 6, 9}}, {{1, 3, 7}}) == Ranges{{1, 1, 2}, {1, 8, 9}});
}

TEST_CASE("a record covers only what is within one of its ranges", "[catalog]") {
  const Expiry expiry{.wal = {{1, 2, 5}, {3, 7, 7}}, .backups = {"a"}};
  CHECK(expiry.covers(1, 2, 5));
  CHECK(expiry.covers(3, 7, 7));
  CHECK_FALSE(expiry.covers(1, 1, 5));
  CHECK_FALSE(expiry.covers(1, 5, 6));
  CHECK_FALSE(expiry.covers(2, 3, 3));
  CHECK(expiry.covers_backup("a"));
  CHECK_FALSE(expiry.covers_backup(""));
}

TEST_CASE("the record of what expired is read back as it was written", "[catalog]") {
  const Expiry expiry{.expired_at = Instant(std::chrono::microseconds(1'795'000'000'000'001)),
                      .wal = {{1, 0, 0x1FF}, {0xA, 3, 3}},
                      .backups = {"20261122T101500Z-4f2a9c", "x"}};
  CHECK(decode_expiry(encode_expiry(expiry)) == expiry);
  CHECK(decode_expiry("") == Expiry{});
}

TEST_CASE("a record that is cut short, or that nobody writes, is damaged", "[catalog]") {
  const std::string text =
      GENERATE("expired_at 1", "expired_at x\n", "wal 1 2\n", "wal 1 5 4\n", "wal 1 -2 4\n",
               "wal\n", "gone 1\n", "\n", "expired_at 99999999999999999999999\n");
  CAPTURE(text);
  CHECK_THROWS_AS(decode_expiry(text), Error);
}

TEST_CASE("records are joined, and the next one takes their place", "[catalog]") {
  const auto storage = make_memory_storage();
  CHECK(read_expiry(*storage, kMain.key) == Expiry{});
  replace_expiry(*storage, kMain, {.wal = {{1, 0, 5}}, .backups = {"a"}});
  const Expiry all =
      join(read_expiry(*storage, kMain.key), {.wal = {{1, 6, 8}}, .backups = {"b", "a"}});
  CHECK(all.wal == Ranges{{1, 0, 8}});
  CHECK(all.backups == std::vector<std::string>{"a", "b"});
  replace_expiry(*storage, kMain, all);
  CHECK(read_expiry(*storage, kMain.key) == all);
  int files = 0;
  storage->list(expiry_folder(kMain.key), "", [&](const std::string&) { return ++files > 0; });
  CHECK(files == 1);
}

TEST_CASE("only the last of many ids are kept", "[catalog]") {
  Expiry many;
  for (int i = 0; i < 1500; ++i)
    many.backups.push_back(fmt::format("b{}", i));
  const Expiry joined = join(many, {.backups = {"newest"}});
  CHECK(joined.backups.size() == 1000);
  CHECK(joined.covers_backup("newest"));
  CHECK_FALSE(joined.covers_backup("b0"));
}

}  // namespace pitr
