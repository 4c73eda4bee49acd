#include "catalog/relation_names.h"

#include <catch2/catch.hpp>

namespace pitr {

namespace {

constexpr std::uint32_t kDatabase = 5;
constexpr std::uint32_t kOid = 16384;

Instant at(int second) { return Instant(std::chrono::seconds(1'795'000'000 + second)); }

MappedRelation mapped(std::string name, std::uint32_t file_number = kOid,
                      std::uint32_t oid = kOid) {
  return {.database = kDatabase,
          .oid = oid,
          .file_number = file_number,
          .kind = 'r',
          .schema = "public",
          .name = std::move(name)};
}

RelationName row(std::string name, Lsn lsn, std::uint32_t file_number = kOid,
                 std::uint32_t oid = kOid) {
  return {.start = lsn,
          .xid = 7,
          .database = kDatabase,
          .oid = oid,
          .schema_oid = 2200,
          .file_number = file_number,
          .kind = 'r',
          .name = std::move(name)};
}

RelationNames wanting(std::uint32_t number = kOid) {
  RelationNames names;
  names.want(kDatabase, number);
  return names;
}

std::string name_of(const std::optional<MappedRelation>& relation) {
  return relation ? relation->name : "(unknown)";
}

}  // namespace

TEST_CASE("a transient table's name tells whose place it takes", "[catalog]") {
  CHECK(owner_of_transient_table("pg_temp_16384") == 16384U);
  CHECK(owner_of_transient_table("pg_temp_1") == 1U);
  CHECK(owner_of_transient_table("pg_temp_4294967295") == 4294967295U);
  for (const char* other : {"", "orders", "pg_temp_", "pg_temp", "pg_temp_x", "pg_temp_16384_index",
                            "pg_toast_16384", "pg_temp_4294967296", "pg_temp_-1", "pg_temp_ 1",
                            "PG_TEMP_16384", "xpg_temp_16384", "pg_temp_99999999999999999999"}) {
    CAPTURE(other);
    CHECK_FALSE(owner_of_transient_table(other));
  }
}

TEST_CASE("what nobody named is not known", "[catalog]") {
  const RelationNames names = wanting();
  CHECK_FALSE(names.by_file(kDatabase, kOid, 100, at(0)));
  CHECK_FALSE(names.by_oid(kDatabase, kOid, 100, at(0)));
  CHECK(names.database_name(kDatabase).empty());
}

TEST_CASE("a map names a relation by its file and by its OID", "[catalog]") {
  RelationNames names = wanting();
  names.want(kDatabase, 20'000);
  names.add(mapped("orders", 20'000), at(0));
  const auto by_file = names.by_file(kDatabase, 20'000, 100, at(5));
  REQUIRE(by_file);
  CHECK(*by_file == mapped("orders", 20'000));
  CHECK(name_of(names.by_oid(kDatabase, kOid, 100, at(5))) == "orders");
  CHECK_FALSE(names.by_file(kDatabase + 1, 20'000, 100, at(5)));
  CHECK_FALSE(names.by_oid(kDatabase + 1, kOid, 100, at(5)));
}

TEST_CASE("of several maps the last one before the moment counts, else the first after",
          "[catalog]") {
  RelationNames names = wanting();
  names.add(mapped("third"), at(30));  // in whatever order they are read
  names.add(mapped("first"), at(10));
  names.add(mapped("second"), at(20));
  CHECK(name_of(names.by_file(kDatabase, kOid, 100, at(5))) == "first");
  CHECK(name_of(names.by_file(kDatabase, kOid, 100, at(15))) == "first");
  CHECK(name_of(names.by_file(kDatabase, kOid, 100, at(25))) == "second");
  CHECK(name_of(names.by_file(kDatabase, kOid, 100, at(99))) == "third");
  CHECK(name_of(names.by_oid(kDatabase, kOid, 100, at(25))) == "second");
}

// A row is that of the relation's creation; what it was renamed to since only maps know.
TEST_CASE("a map before the moment goes before the WAL, which goes before a map after it",
          "[catalog]") {
  RelationNames names = wanting();
  names.add(row("as it was made", 1000));
  names.add(mapped("renamed"), at(10));
  CHECK(name_of(names.by_file(kDatabase, kOid, 2000, at(20))) == "renamed");
  CHECK(name_of(names.by_oid(kDatabase, kOid, 2000, at(20))) == "renamed");
  CHECK(name_of(names.by_file(kDatabase, kOid, 2000, at(5))) == "as it was made");
  CHECK(name_of(names.by_oid(kDatabase, kOid, 2000, at(5))) == "as it was made");
  CHECK(name_of(names.by_file(kDatabase, kOid, 500, at(5))) == "renamed");
}

TEST_CASE("the file of a transient table is that of the relation it was made for", "[catalog]") {
  RelationNames names = wanting();
  names.add(row("pg_temp_16384", 1000, 20'000, 20'000));
  names.add(mapped("orders"), at(0));
  const auto relation = names.by_file(kDatabase, 20'000, 2000, at(10));
  REQUIRE(relation);
  CHECK(relation->name == "orders");
  CHECK(relation->oid == kOid);
}

TEST_CASE("of several rows the last one before the moment counts", "[catalog]") {
  RelationNames names = wanting();
  names.add(row("first", 100));
  names.add(row("second", 200));
  names.add(row("third", 300));
  CHECK(name_of(names.by_oid(kDatabase, kOid, 150, at(0))) == "first");
  CHECK(name_of(names.by_oid(kDatabase, kOid, 250, at(0))) == "second");
  CHECK(name_of(names.by_oid(kDatabase, kOid, 5000, at(0))) == "third");
  CHECK(name_of(names.by_file(kDatabase, kOid, 250, at(0))) == "second");
}

TEST_CASE("a row of the WAL has the schema's name where a map knows it", "[catalog]") {
  RelationNames names = wanting();
  names.add(row("orders", 100));
  const auto without = names.by_oid(kDatabase, kOid, 200, at(0));
  REQUIRE(without);
  CHECK(without->schema.empty());
  names.add_schema(kDatabase, 2200, "shop");
  names.add_schema(kDatabase + 1, 2200, "of another database");
  const auto with = names.by_oid(kDatabase, kOid, 200, at(0));
  REQUIRE(with);
  CHECK(with->schema == "shop");
  CHECK(with->name == "orders");
  CHECK(with->oid == kOid);
  CHECK(with->file_number == kOid);
  CHECK(with->kind == 'r');
  CHECK(with->database == kDatabase);
}

TEST_CASE("the same file number in two databases is two relations", "[catalog]") {
  RelationNames names = wanting();
  names.want(6, kOid);
  names.add(mapped("of five"), at(0));
  MappedRelation other = mapped("of six");
  other.database = 6;
  names.add(other, at(0));
  CHECK(name_of(names.by_file(5, kOid, 1, at(1))) == "of five");
  CHECK(name_of(names.by_file(6, kOid, 1, at(1))) == "of six");
}

TEST_CASE("relations that nobody wants are not kept from a map", "[catalog]") {
  RelationNames names = wanting(16400);
  names.add(mapped("unwanted"), at(0));
  CHECK_FALSE(names.by_file(kDatabase, kOid, 1, at(1)));
  CHECK_FALSE(names.by_oid(kDatabase, kOid, 1, at(1)));
}

TEST_CASE("a relation without a file is found by its OID only", "[catalog]") {
  RelationNames names = wanting();
  names.want(kDatabase, 0);
  names.add(mapped("a view", 0), at(0));
  CHECK(name_of(names.by_oid(kDatabase, kOid, 1, at(1))) == "a view");
  CHECK_FALSE(names.by_file(kDatabase, 0, 1, at(1)));
}

TEST_CASE("a database's name is the one that was told last", "[catalog]") {
  RelationNames names;
  names.add_database(5, "postgres");
  names.add_database(16500, "shop");
  names.add_database(5, "renamed");
  CHECK(names.database_name(5) == "renamed");
  CHECK(names.database_name(16500) == "shop");
  CHECK(names.database_name(1).empty());
}

}  // namespace pitr
