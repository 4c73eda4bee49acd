#include "basebackup/destination_tree.h"

#include <filesystem>
#include <memory>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/child_process.h"
#include "harness/errors.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::error_kind_of;
using testing::error_of;
using testing::exists;
using testing::TemporaryDirectory;

namespace {

namespace fs = std::filesystem;

void write_through(DestinationTree& tree, const std::string& path, std::string_view contents) {
  tree.open_file(path).write_at(0, as_byte_span(contents));
}

std::string text_of(const std::string& path) {
  return std::string(as_text(testing::read_file(path)));
}

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777U;
}

// A root with a link, a folder beside it, and a tablespace.
struct Places {
  TemporaryDirectory all;
  std::string root = all / "root";
  std::string outside = all / "outside";
  std::string tablespace = all / "tablespace";

  Places() {
    fs::create_directories(root);
    fs::create_directories(outside);
    testing::write_file(outside + "/precious", "precious");
    fs::permissions(outside + "/precious", fs::perms(0644));
    fs::permissions(outside, fs::perms(0755));
  }

  DestinationTree tree() { return DestinationTree(root, {{16384, tablespace}}, std::nullopt); }

  void check_nothing_outside() const {
    CHECK(testing::names_in(outside) == std::vector<std::string>{"precious"});
    CHECK(text_of(outside + "/precious") == "precious");
    CHECK(mode_of(outside + "/precious") == 0644);
    CHECK(mode_of(outside) == 0755);
    for (const std::string& name : testing::names_in(all.path()))
      CHECK((name == "root" || name == "outside" || name == "tablespace"));
  }
};

}  // namespace

TEST_CASE("files and folders are made below the root", "[basebackup]") {
  Places places;
  DestinationTree tree = places.tree();
  tree.make_directory("base", 0700);
  tree.make_directory("base/1", 0700);
  tree.make_directory("a/b/c", 0750);  // and those above it
  tree.make_directory("base", 0700);   // kept
  write_through(tree, "base/1/1259", "contents");
  CHECK(text_of(places.root + "/base/1/1259") == "contents");
  CHECK(fs::is_directory(places.root + "/a/b/c"));
  tree.set_directory_mode("a/b/c", 0750);
  CHECK(mode_of(places.root + "/a/b/c") == 0750);
  CHECK_NOTHROW(tree.sync_everything());
}

TEST_CASE("a file that is there is opened, and one that is not is nothing", "[basebackup]") {
  Places places;
  DestinationTree tree = places.tree();
  write_through(tree, "here", "contents");
  REQUIRE(tree.try_open_for_read("here"));
  CHECK(tree.try_open_for_read("here")->size() == 8);
  CHECK_FALSE(tree.try_open_for_read("missing"));
  CHECK_FALSE(tree.try_open_for_read("missing/too"));
  tree.make_directory("folder", 0700);
  CHECK_FALSE(tree.try_open_for_read("folder"));
  REQUIRE(mkfifo((places.root + "/pipe").c_str(), 0600) == 0);
  CHECK_FALSE(tree.try_open_for_read("pipe"));
}

TEST_CASE("a tablespace's files go to its place", "[basebackup]") {
  Places places;
  DestinationTree tree = places.tree();
  tree.make_directory("pg_tblspc", 0700);
  tree.make_tablespace_link(16384);
  tree.make_directory("pg_tblspc/16384/PG_15_202209061", 0700);
  tree.make_directory("pg_tblspc/16384/PG_15_202209061/5", 0700);
  write_through(tree, "pg_tblspc/16384/PG_15_202209061/5/16400", "contents");
  CHECK(text_of(places.tablespace + "/PG_15_202209061/5/16400") == "contents");
  CHECK(fs::read_symlink(places.root + "/pg_tblspc/16384") == places.tablespace);
  CHECK(tree.try_open_for_read("pg_tblspc/16384/PG_15_202209061/5/16400"));
  tree.make_tablespace_link(16384);  // an earlier restore's link is replaced
  CHECK(fs::read_symlink(places.root + "/pg_tblspc/16384") == places.tablespace);
}

TEST_CASE("a number that only wraps around to a tablespace's is not that tablespace",
          "[basebackup]") {
  Places places;
  DestinationTree tree = places.tree();
  tree.make_directory("pg_tblspc/4294983680", 0700);  // 2^32 + 16384
  write_through(tree, "pg_tblspc/4294983680/x", "contents");
  CHECK(exists(places.root + "/pg_tblspc/4294983680/x"));
  CHECK(testing::names_in(places.tablespace).empty());
}

TEST_CASE("pg_wal may be a link to a folder elsewhere", "[basebackup]") {
  Places places;
  DestinationTree tree = places.tree();
  tree.make_wal_link(places.tablespace + "/wal");
  CHECK(fs::is_directory(places.tablespace + "/wal"));
  CHECK(fs::read_symlink(places.root + "/pg_wal") == places.tablespace + "/wal");
}

TEST_CASE("no path leads out of the root", "[basebackup]") {
  Places places;
  const std::string path =
      GENERATE(std::string("../outside/x"), std::string("a/../../outside/x"),
               std::string("pg_tblspc/16384/../outside/x"), std::string("ABSOLUTE"));
  const std::string asked = path == "ABSOLUTE" ? places.outside + "/x" : path;
  CAPTURE(asked);
  {
    DestinationTree tree = places.tree();
    tree.make_directory("a", 0700);
    CHECK_THROWS_AS(tree.open_file(asked), Error);
    CHECK_FALSE(tree.try_open_for_read(asked.substr(0, asked.size() - 1) + "precious"));
  }
  places.check_nothing_outside();
}

TEST_CASE("no folder is made outside of the root", "[basebackup]") {
  Places places;
  const std::string path =
      GENERATE(std::string("../outside/x"), std::string("a/../../outside/x"),
               std::string("pg_tblspc/16384/../outside/x"), std::string("ABSOLUTE"));
  const std::string asked = path == "ABSOLUTE" ? places.outside + "/x" : path;
  CAPTURE(asked);
  {
    DestinationTree tree = places.tree();
    tree.make_directory("a", 0700);
    CHECK_THROWS_AS(tree.make_directory(asked, 0700), Error);
  }
  places.check_nothing_outside();
}

TEST_CASE("a link in the way of a file is never followed", "[basebackup]") {
  const std::string path = GENERATE("base/precious", "base/x", "file", "dangling");
  CAPTURE(path);
  Places places;
  fs::create_directory_symlink(places.outside, places.root + "/base");
  fs::create_symlink(places.outside + "/precious", places.root + "/file");
  fs::create_symlink(places.outside + "/new", places.root + "/dangling");
  DestinationTree tree = places.tree();
  CHECK_FALSE(tree.try_open_for_read(path));
  try {
    write_through(tree, path, "contents");
    // A link under the very name may be replaced.
    CHECK(fs::is_regular_file(fs::symlink_status(places.root + "/" + path)));
    CHECK_FALSE(path.starts_with("base/"));
  } catch (const Error& error) {
    CHECK(error.report().kind == ErrorKind::kSystem);
  }
  places.check_nothing_outside();
}

TEST_CASE("a link in the way of a folder is never followed", "[basebackup]") {
  const std::string path = GENERATE("base", "base/x", "base/x/y");
  CAPTURE(path);
  Places places;
  fs::create_directory_symlink(places.outside, places.root + "/base");
  DestinationTree tree = places.tree();
  try {
    tree.make_directory(path, 0700);
    CHECK(fs::is_directory(fs::symlink_status(places.root + "/base")));
  } catch (const Error& error) {
    CHECK(error.report().kind == ErrorKind::kSystem);
  }
  places.check_nothing_outside();
}

TEST_CASE("nothing behind a link is removed to clear the way", "[basebackup]") {
  Places places;
  fs::create_directories(places.outside + "/1259");
  fs::create_directory_symlink(places.outside, places.root + "/base");
  DestinationTree tree = places.tree();
  CHECK_THROWS_AS(tree.open_file("base/1259"), Error);
  CHECK_THROWS_AS(tree.make_directory("base/precious", 0700), Error);
  CHECK(fs::is_directory(places.outside + "/1259"));
  fs::remove(places.outside + "/1259");
  places.check_nothing_outside();
}

TEST_CASE("a mode is set on no folder that a link leads to", "[basebackup]") {
  Places places;
  fs::create_directories(places.outside + "/sub");
  fs::create_directory_symlink(places.outside, places.root + "/base");
  DestinationTree tree = places.tree();
  CHECK_THROWS_AS(tree.set_directory_mode("base", 0700), Error);
  CHECK_THROWS_AS(tree.set_directory_mode("base/sub", 0500), Error);
  fs::remove(places.outside + "/sub");
  places.check_nothing_outside();
}

TEST_CASE("no link is made in a folder that a link leads to", "[basebackup]") {
  Places places;
  fs::create_directory_symlink(places.outside, places.root + "/pg_tblspc");
  DestinationTree tree = places.tree();
  try {
    tree.make_tablespace_link(16384);
    CHECK(fs::is_directory(fs::symlink_status(places.root + "/pg_tblspc")));  // it was replaced
  } catch (const Error& error) {
    CHECK(error.report().kind == ErrorKind::kSystem);
  }
  places.check_nothing_outside();
}

TEST_CASE("a second restore on the same root is refused", "[basebackup]") {
  Places places;
  auto first = std::make_unique<DestinationTree>(places.tree());
  const ErrorReport report = error_of([&] { places.tree(); });
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK_THAT(report.message, Catch::Contains("another restore"));
  CHECK_FALSE(testing::returns_in_child([&] { places.tree(); }));
  first.reset();
  CHECK_NOTHROW(places.tree());
}

TEST_CASE("a root that is no folder is refused", "[basebackup]") {
  const TemporaryDirectory all;
  testing::write_file(all / "file", "x");
  for (const char* name : {"file", "missing"}) {
    CHECK(error_kind_of([&] { DestinationTree(all / name, {}, std::nullopt); }) ==
          ErrorKind::kSystem);
  }
}

TEST_CASE("everything that is made gets its owner", "[basebackup]") {
  if (geteuid() != 0) return;
  Places places;
  {
    DestinationTree tree(places.root, {{16384, places.tablespace}},
                         FileOwner{.user = 12345, .group = 23456});
    tree.make_directory("pg_tblspc", 0700);
    tree.make_tablespace_link(16384);
    write_through(tree, "file", "x");
    tree.make_wal_link(places.tablespace + "/wal");
  }
  for (const char* path : {"root/pg_tblspc", "root/pg_tblspc/16384", "root/file", "root/pg_wal",
                           "tablespace", "tablespace/wal"}) {
    struct stat status {};
    REQUIRE(lstat((places.all / path).c_str(), &status) == 0);
    CAPTURE(path);
    CHECK(status.st_uid == 12345);
    CHECK(status.st_gid == 23456);
  }
}

}  // namespace pitr
