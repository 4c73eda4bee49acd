#include "basebackup/relation_map.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"

namespace pitr {

using testing::error_kind_of;

TEST_CASE("the lines of a map give names to numbers", "[basebackup]") {
  RelationNames names;
  names.want(16384, 16386);
  add_map_line(R"({"database":16384,"name":"shop"})", Instant(), names);
  add_map_line(R"({"in":16384,"name":"sales","schema":16385})", Instant(), names);
  add_map_line(
      R"({"file":16390,"in":16384,"kind":"r","name":"customers","of":"public","relation":16386})",
      Instant(), names);
  CHECK(names.database_name(16384) == "shop");
  const auto relation = names.by_oid(16384, 16386, 1, Instant());
  REQUIRE(relation);
  CHECK(relation->name == "customers");
  CHECK(relation->schema == "public");
  CHECK(relation->file_number == 16390);
  CHECK(relation->kind == 'r');
}

TEST_CASE("a line that no map has is damaged", "[basebackup]") {
  const std::string_view line =
      GENERATE(as<std::string_view>(), "", "{}", "[]", "17", "\xFF", R"({"database":16384})",
               R"({"database":16384,"name":5})", R"({"database":"16384","name":"shop"})",
               R"({"database":-1,"name":"shop"})", R"({"database":4294967296,"name":"shop"})",
               R"({"database":1e300,"name":"shop"})", R"({"database":true,"name":"shop"})",
               R"({"in":1.5,"name":"sales","schema":16385})", R"({"name":"sales","schema":16385})",
               R"({"in":16384,"kind":"r","name":"customers","of":"public","relation":16386})");
  CAPTURE(line);
  RelationNames names;
  CHECK(error_kind_of([&] { add_map_line(line, Instant(), names); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a line of brackets takes no endless stack", "[basebackup]") {
  constexpr std::size_t kDepth = 200'000;
  const std::string line = R"({"database":)" + std::string(kDepth, '[') + std::string(kDepth, ']') +
                           R"(,"name":"shop"})";
  RelationNames names;
  CHECK(error_kind_of([&] { add_map_line(line, Instant(), names); }) == ErrorKind::kCorrupt);
}

}  // namespace pitr
