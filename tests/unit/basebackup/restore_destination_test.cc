#include "basebackup/restore_destination.h"

#include <filesystem>

#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "basebackup/restore_backup.h"
#include "harness/child_process.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "harness/wal_builder.h"
#include "storage/memory_storage.h"

namespace pitr {

using testing::error_of;
using testing::exists;
using testing::TemporaryDirectory;
using testing::words;
using testing::write_file;

namespace {

namespace fs = std::filesystem;

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

DestinationRequest request(const std::string& directory, bool delta = false) {
  return {.directory = directory,
          .repository = "/repository",
          .system_identifier = testing::kSystemIdentifier,
          .delta = delta};
}

ErrorReport refusal(const DestinationRequest& asked) {
  const ErrorReport report = error_of([&] { check_destination(asked); });
  CHECK(report.kind == ErrorKind::kUsage);
  return report;
}

void put_mark(const TemporaryDirectory& directory, std::uint64_t identifier) {
  write_file(directory / kRestoringMark,
             fmt::format("backup = b\nsystem_identifier = {}\n", identifier));
}

BackupSummary with_tablespaces() {
  BackupSummary backup{.id = "b"};
  backup.tablespaces = {{.oid = 16384, .path = "/old/fast"}, {.oid = 16385, .path = "/old/slow"}};
  return backup;
}

void store(Storage& storage, const std::string& name, std::string_view contents) {
  const WalFileName parsed = *WalFileName::parse(name);
  REQUIRE(store_text(storage, wal_key(kMain.key, parsed),
                     {.kind = FileKind::kSegment,
                      .name = name,
                      .cluster_name = kMain.key.name,
                      .cluster = kMain.identity},
                     contents));
}

constexpr const char* kFirst = "000000010000000000000001";
constexpr const char* kSecond = "000000010000000000000002";

}  // namespace

TEST_CASE("an empty or missing directory can be restored into", "[basebackup]") {
  const TemporaryDirectory directory;
  CHECK_NOTHROW(check_destination(request(directory.path())));
  CHECK_NOTHROW(check_destination(request(directory / "missing")));
  CHECK_FALSE(exists(directory / "missing"));
}

TEST_CASE("a directory that holds something else is refused", "[basebackup]") {
  const TemporaryDirectory directory;
  write_file(directory / "letter.txt", "x");
  CHECK_THAT(words(refusal(request(directory.path()))), Catch::Contains("not empty"));
  CHECK_THAT(words(refusal(request(directory.path(), true))), Catch::Contains("neither"));
  CHECK(testing::names_in(directory.path()) == std::vector<std::string>{"letter.txt"});
}

TEST_CASE("an interrupted restore is gone on with by --delta", "[basebackup]") {
  const TemporaryDirectory directory;
  put_mark(directory, testing::kSystemIdentifier);
  write_file(directory / "PG_VERSION", "15");
  CHECK_THAT(words(refusal(request(directory.path()))), Catch::Contains("--delta"));
  CHECK_NOTHROW(check_destination(request(directory.path(), true)));
}

TEST_CASE("--delta is refused on another cluster's directory", "[basebackup]") {
  const TemporaryDirectory directory;
  put_mark(directory, 42);
  write_file(directory / "PG_VERSION", "15");
  CHECK_THAT(words(refusal(request(directory.path(), true))), Catch::Contains("42"));
}

TEST_CASE("--delta is refused where nothing tells whose the directory is", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string mark = GENERATE("", "backup = b\n", "system_identifier = \n",
                                    "system_identifier = x\n", "system_identifier = -1\n");
  write_file(directory / kRestoringMark, mark);
  write_file(directory / "PG_VERSION", "15");
  refusal(request(directory.path(), true));
}

TEST_CASE("a damaged pg_control is not taken for one of this cluster", "[basebackup]") {
  const TemporaryDirectory directory;
  fs::create_directory(directory / "global");
  const std::size_t size = GENERATE(0U, 10U, 8192U);
  write_file(directory / "global/pg_control", testing::random_bytes(size));
  CHECK_THROWS_AS(check_destination(request(directory.path(), true)), Error);
}

TEST_CASE("a directory that a running server uses is refused", "[basebackup]") {
  const TemporaryDirectory directory;
  put_mark(directory, testing::kSystemIdentifier);
  const std::string rest = fmt::format("\n{}\n1795000000\n5432\n", directory.path());
  SECTION("a postmaster") {
    write_file(directory / "postmaster.pid", std::to_string(getpid()) + rest);
    CHECK_THAT(words(refusal(request(directory.path(), true))),
               Catch::Contains(std::to_string(getpid())));
  }
  SECTION("a single-user server notes its process with a minus sign") {
    write_file(directory / "postmaster.pid", "-" + std::to_string(getpid()) + rest);
    refusal(request(directory.path(), true));
  }
  SECTION("a dead one does not count") {
    write_file(directory / "postmaster.pid", std::to_string(testing::dead_process()) + rest);
    CHECK_NOTHROW(check_destination(request(directory.path(), true)));
  }
  SECTION("nor does nonsense") {
    write_file(directory / "postmaster.pid", GENERATE("", "x", "0\n", "99999999999999999999\n"));
    CHECK_NOTHROW(check_destination(request(directory.path(), true)));
  }
}

TEST_CASE("the repository and what holds it are refused", "[basebackup]") {
  DestinationRequest asked = request("/repository");
  refusal(asked);
  asked.directory = "/repository/data";
  refusal(asked);
  asked = request("/a");
  asked.repository = "/a/b/repository";
  refusal(asked);
  asked = request("/missing/repository-old");
  asked.repository = "/missing/repository";
  CHECK_NOTHROW(check_destination(asked));
  asked.repository = "";
  CHECK_NOTHROW(check_destination(asked));
}

TEST_CASE("a path is resolved although its last parts are missing", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string real = resolve_path(directory.path());
  fs::create_directory(directory / "real");
  fs::create_directory_symlink(directory / "real", directory / "link");
  CHECK(resolve_path(directory / "link/x/y") == real + "/real/x/y");
  CHECK(resolve_path(directory / "link/../z") == real + "/z");
  CHECK(resolve_path(directory / "real/") == real + "/real");
  CHECK(resolve_path("/") == "/");
}

TEST_CASE("a tablespace goes where its map says", "[basebackup]") {
  const TemporaryDirectory places;
  const auto placed = place_tablespaces(
      with_tablespaces(),
      {.maps = {"/old/slow=" + (places / "s=low"), "/old/fast=" + (places / "fast")}},
      request("/data"));
  REQUIRE(placed.size() == 2);
  CHECK(placed.at(16384) == resolve_path(places / "fast"));
  CHECK(placed.at(16385) == resolve_path(places / "s=low"));
  CHECK(place_tablespaces({}, {}, request("/data")).empty());
}

TEST_CASE("a tablespace without a place is refused with the lines to paste", "[basebackup]") {
  const TemporaryDirectory places;
  const ErrorReport report = error_of([&] {
    place_tablespaces(with_tablespaces(), {.maps = {"/old/fast=" + (places / "f")}},
                      request("/data"));
  });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.hint, Catch::Contains("--tablespace /old/slow=NEW"));
  CHECK_THAT(report.hint, !Catch::Contains("--tablespace /old/fast"));
}

TEST_CASE("a map that is none, or names no tablespace, is refused", "[basebackup]") {
  const TemporaryDirectory places;
  const std::string map =
      GENERATE("", "=", "/old/fast", "/old/fast=", "/old/fast=relative", "/old/none=/x", "=/x");
  CAPTURE(map);
  CHECK(error_of([&] {
          place_tablespaces(with_tablespaces(), {.maps = {map}, .original = true},
                            request("/data"));
        }).kind == ErrorKind::kUsage);
}

TEST_CASE("a place that is not empty or overlaps is refused", "[basebackup]") {
  const TemporaryDirectory places;
  write_file(places / "file", "x");
  BackupSummary backup = with_tablespaces();
  backup.tablespaces.pop_back();
  for (const std::string& place : {places.path(), std::string("/data"), std::string("/data/ts"),
                                   std::string("/repository/x"), std::string("/")}) {
    CAPTURE(place);
    CHECK(error_of([&] {
            place_tablespaces(backup, {.maps = {"/old/fast=" + place}}, request("/data"));
          }).kind == ErrorKind::kUsage);
  }
}

TEST_CASE("two tablespaces cannot share a place", "[basebackup]") {
  const TemporaryDirectory places;
  const std::string place = places / "both";
  CHECK(error_of([&] {
          place_tablespaces(with_tablespaces(),
                            {.maps = {"/old/fast=" + place, "/old/slow=" + place}},
                            request("/data"));
        }).kind == ErrorKind::kUsage);
}

TEST_CASE("only the directory's own tablespace is restored over", "[basebackup]") {
  const TemporaryDirectory all;
  fs::create_directories(all / "data/pg_tblspc");
  fs::create_directories(all / "mine/PG_15_202209061");
  fs::create_directories(all / "other/PG_15_202209061");
  fs::create_directory_symlink(all / "mine", all / "data/pg_tblspc/16384");
  BackupSummary backup = with_tablespaces();
  backup.tablespaces.pop_back();
  const auto place = [&](const std::string& name, bool delta) {
    return place_tablespaces(backup, {.maps = {"/old/fast=" + (all / name)}},
                             request(resolve_path(all / "data"), delta));
  };
  CHECK(place("mine", true).size() == 1);
  CHECK_THROWS_AS(place("mine", false), Error);
  CHECK_THROWS_AS(place("other", true), Error);
}

TEST_CASE("pg_wal goes to an empty folder outside only", "[basebackup]") {
  const TemporaryDirectory all;
  write_file(all / "file", "x");
  CHECK_NOTHROW(check_wal_directory(all / "wal", request("/data")));
  for (const std::string& folder : {all.path(), std::string("/data/pg_wal"), std::string("/data"),
                                    std::string("/"), std::string("/repository/wal")}) {
    CAPTURE(folder);
    CHECK(error_of([&] { check_wal_directory(folder, request("/data")); }).kind ==
          ErrorKind::kUsage);
  }
}

TEST_CASE("WAL that the repository lacks is moved aside, whole", "[basebackup]") {
  const TemporaryDirectory all;
  const auto storage = make_memory_storage();
  store(*storage, kFirst, "first");
  fs::create_directories(all / "data/pg_wal/archive_status");
  write_file(all / (std::string("data/pg_wal/") + kFirst), "first");
  write_file(all / (std::string("data/pg_wal/") + kSecond), "second");
  const std::string aside = put_old_wal_aside(*storage, kMain, all / "data", all / "aside");
  REQUIRE(aside == all / "aside");
  CHECK_THAT(name_for_old_wal(all / "data"), Catch::StartsWith(all / "data.pg_wal-"));
  CHECK_FALSE(exists(all / "data/pg_wal"));
  CHECK(testing::names_in(aside) == std::vector<std::string>{kFirst, kSecond, "archive_status"});
  CHECK(as_text(testing::read_file(aside + "/" + kSecond)) == "second");
}

TEST_CASE("what an interrupted restore has moved aside stays, its own pg_wal goes",
          "[basebackup]") {
  const TemporaryDirectory all;
  const auto storage = make_memory_storage();
  fs::create_directories(all / "data/pg_wal");
  fs::create_directories(all / "aside");
  write_file(all / (std::string("data/pg_wal/") + kFirst), "half of");
  write_file(all / (std::string("aside/") + kFirst), "the only copy");
  write_file(all / "data/pitr.restoring", "backup = x\npg_wal = " + (all / "aside") + "\n");
  const std::string aside = wal_put_aside_before(all / "data");
  CHECK(aside == all / "aside");
  CHECK(put_old_wal_aside(*storage, kMain, all / "data", aside) == aside);
  CHECK_FALSE(exists(all / "data/pg_wal"));
  CHECK(as_text(testing::read_file(aside + "/" + kFirst)) == "the only copy");
}

TEST_CASE("WAL that the repository holds with the same contents is removed", "[basebackup]") {
  const TemporaryDirectory all;
  const auto storage = make_memory_storage();
  store(*storage, kFirst, "first");
  store(*storage, "00000002.history", "1\t0/1\n");
  fs::create_directories(all / "data/pg_wal/archive_status");
  write_file(all / (std::string("data/pg_wal/") + kFirst), "first");
  write_file(all / "data/pg_wal/00000002.history", "1\t0/1\n");
  CHECK(put_old_wal_aside(*storage, kMain, all / "data", all / "aside").empty());
  CHECK_FALSE(exists(all / "data/pg_wal"));
  CHECK(testing::names_in(all.path()) == std::vector<std::string>{"data"});
}

TEST_CASE("what differs, is damaged or is no WAL file is never removed", "[basebackup]") {
  const TemporaryDirectory all;
  const auto storage = make_memory_storage();
  store(*storage, kFirst, "first");
  fs::create_directories(all / "data/pg_wal");
  SECTION("other contents") { write_file(all / (std::string("data/pg_wal/") + kFirst), "other"); }
  SECTION("a longer file") { write_file(all / (std::string("data/pg_wal/") + kFirst), "first!"); }
  SECTION("no WAL file") { write_file(all / "data/pg_wal/xlogtemp.4711", "x"); }
  SECTION("another cluster's file in the repository") {
    const ClusterRecord other{.key = {.name = "main", .system_identifier = 1}};
    write_file(all / (std::string("data/pg_wal/") + kFirst), "first");
    CHECK_FALSE(put_old_wal_aside(*storage, other, all / "data", all / "aside").empty());
    return;
  }
  CHECK_FALSE(put_old_wal_aside(*storage, kMain, all / "data", all / "aside").empty());
}

TEST_CASE("of pg_wal that is a link only the link is removed", "[basebackup]") {
  const TemporaryDirectory all;
  const auto storage = make_memory_storage();
  fs::create_directories(all / "data");
  fs::create_directories(all / "wal");
  write_file(all / (std::string("wal/") + kFirst), "first");
  fs::create_directory_symlink(all / "wal", all / "data/pg_wal");
  CHECK(put_old_wal_aside(*storage, kMain, all / "data", all / "aside").empty());
  CHECK_FALSE(exists(all / "data/pg_wal"));
  CHECK(exists(all / (std::string("wal/") + kFirst)));
  CHECK(put_old_wal_aside(*storage, kMain, all / "data", all / "aside")
            .empty());  // nothing is there now
}

}  // namespace pitr
