#include "storage/repository.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/wal_builder.h"
#include "storage/memory_storage.h"

namespace pitr {

using testing::error_kind_of;
using testing::error_of;

namespace {

ClusterRecord record(const std::string& name, std::uint64_t identifier, int second) {
  return {.key = {.name = name, .system_identifier = identifier},
          .identity = {.system_identifier = identifier,
                       .segment_size = testing::k1MiB,
                       .postgres_version = 15},
          .created_at = Instant(std::chrono::seconds(1'795'000'000 + second))};
}

FileIdentity history_identity(const ClusterRecord& cluster, const std::string& name) {
  return {.kind = FileKind::kHistory,
          .name = name,
          .cluster_name = cluster.key.name,
          .cluster = cluster.identity,
          .timeline = 2};
}

}  // namespace

TEST_CASE("a repository tells which clusters it keeps, oldest first", "[storage]") {
  const auto storage = make_memory_storage();
  CHECK(list_clusters(*storage).empty());
  create_cluster_record(*storage, record("main", 9, 1));
  create_cluster_record(*storage, record("main", 5, 2));
  create_cluster_record(*storage, record("east", 7, 0));
  const auto clusters = list_clusters(*storage);
  REQUIRE(clusters.size() == 3);
  CHECK(clusters[0].key.name == "east");
  CHECK(clusters[1].key.system_identifier == 9);
  CHECK(clusters[2].key.system_identifier == 5);
  CHECK(clusters[2].identity.postgres_version == 15);
  CHECK(clusters[2].identity.segment_size == testing::k1MiB);
}

TEST_CASE("after pg_upgrade the newer cluster of a name is the current one", "[storage]") {
  const auto storage = make_memory_storage();
  create_cluster_record(*storage, record("main", 9, 1));
  create_cluster_record(*storage, record("main", 5, 2));
  CHECK(find_cluster(*storage, "main", std::nullopt).key.system_identifier == 5);
  CHECK(find_cluster(*storage, "main", 9).key.system_identifier == 9);
}

TEST_CASE("an unknown cluster is refused with a hint at pitr init", "[storage]") {
  const auto storage = make_memory_storage();
  create_cluster_record(*storage, record("main", 9, 1));
  for (const auto& report : {error_of([&] { find_cluster(*storage, "mian", std::nullopt); }),
                             error_of([&] { find_cluster(*storage, "main", 10); })}) {
    CHECK(report.kind == ErrorKind::kMismatch);
    CHECK_THAT(report.detail, Catch::Contains("main (9)"));
    CHECK_THAT(report.hint, Catch::Contains("pitr init"));
  }
}

TEST_CASE("noting a cluster again changes nothing", "[storage]") {
  const auto storage = make_memory_storage();
  create_cluster_record(*storage, record("main", 9, 1));
  create_cluster_record(*storage, record("main", 9, 7));
  CHECK(list_clusters(*storage).size() == 1);
  CHECK(find_cluster(*storage, "main", 9).created_at == record("main", 9, 1).created_at);
}

TEST_CASE("a text is stored once and fetched whole", "[storage]") {
  const auto storage = make_memory_storage();
  const ClusterRecord main = record("main", 9, 1);
  const FileIdentity identity = history_identity(main, "00000002.history");
  const std::string contents(100'000, 'x');
  CHECK(store_text(*storage, "history/a", identity, contents));
  CHECK_FALSE(store_text(*storage, "history/a", identity, "other"));
  CHECK(fetch_text(*storage, "history/a", main.key, "00000002.history") == contents);
  CHECK_FALSE(fetch_text(*storage, "history/b", main.key, "00000002.history"));
}

TEST_CASE("a stored file that is another than its name says is found out", "[storage]") {
  const auto storage = make_memory_storage();
  const ClusterRecord main = record("main", 9, 1);
  REQUIRE(store_text(*storage, "history/a", history_identity(main, "00000002.history"), "x"));
  CHECK(error_kind_of([&] { fetch_text(*storage, "history/a", main.key, "00000003.history"); }) ==
        ErrorKind::kCorrupt);
  const ClusterKey other{.name = "main", .system_identifier = 10};
  CHECK(error_kind_of([&] { fetch_text(*storage, "history/a", other, "00000002.history"); }) ==
        ErrorKind::kCorrupt);
}

TEST_CASE("a file that is not an archived one is damaged, not absent", "[storage]") {
  const auto storage = make_memory_storage();
  REQUIRE(storage->create("history/a")->commit());
  const ClusterRecord main = record("main", 9, 1);
  CHECK(error_kind_of([&] { open_stored_file(*storage, "history/a", main.key, "x"); }) ==
        ErrorKind::kCorrupt);
}

}  // namespace pitr
