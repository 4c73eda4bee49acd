// What only a file system can show; the rest of the promises is in tests/storage/conformance.cc.
#include "storage/posix_storage.h"

#include <filesystem>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "common/process.h"
#include "harness/child_process.h"
#include "harness/errors.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::error_kind_of;
using testing::error_of;
using testing::exists;
using testing::TemporaryDirectory;

namespace {

struct Repository {
  TemporaryDirectory directory;
  std::string root = directory / "repository";
  std::unique_ptr<Storage> storage;

  Repository() {
    create_posix_repository(root);
    storage = open_posix_storage(root, RingMode::kAuto);
  }
  bool write(const std::string& key) const { return storage->create(key)->commit(); }
  void list(const std::string& folder) const {
    storage->list(folder, "", [](const std::string&) { return true; });
  }
};

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

void check_that_nothing_is_answered(const Repository& repository) {
  Storage& storage = *repository.storage;
  CHECK(error_kind_of([&] { storage.open("wal/missing"); }) == ErrorKind::kSystem);
  CHECK(error_kind_of([&] { storage.create("wal/new"); }) == ErrorKind::kSystem);
  CHECK(error_kind_of([&] { repository.list("wal"); }) == ErrorKind::kSystem);
  CHECK(error_kind_of([&] { storage.remove("wal/missing"); }) == ErrorKind::kSystem);
  CHECK(error_kind_of([&] { storage.make_durable("wal/missing"); }) == ErrorKind::kSystem);
}

}  // namespace

TEST_CASE("a folder without the marker is not a repository", "[storage]") {
  const TemporaryDirectory directory;
  const ErrorReport report =
      error_of([&] { open_posix_storage(directory.path(), RingMode::kAuto); });
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK_THAT(report.message, Catch::Contains(directory.path()));
  CHECK_THAT(report.hint, Catch::Contains("pitr init"));
  CHECK(error_kind_of([&] { open_posix_storage(directory / "missing", RingMode::kAuto); }) ==
        ErrorKind::kSystem);
}

TEST_CASE("a repository of an unknown format is refused", "[storage]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / kRepositoryMarker, "pitr repository, format 99\n");
  CHECK(error_kind_of([&] { open_posix_storage(directory.path(), RingMode::kAuto); }) ==
        ErrorKind::kMismatch);
}

TEST_CASE("creating a repository twice does nothing", "[storage]") {
  const Repository repository;
  REQUIRE(repository.write("wal/file"));
  CHECK_NOTHROW(create_posix_repository(repository.root));
  CHECK(repository.storage->open("wal/file"));
}

TEST_CASE("a folder that holds other things does not become a repository", "[storage]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "PG_VERSION", "15\n");
  CHECK(error_kind_of([&] { create_posix_repository(directory.path()); }) == ErrorKind::kUsage);
  CHECK_FALSE(exists(directory / kRepositoryMarker));
}

TEST_CASE("a fresh volume with lost+found becomes a repository", "[storage]") {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "lost+found");
  CHECK_NOTHROW(create_posix_repository(directory.path()));
}

TEST_CASE("an unmounted repository answers nothing: absent would end a recovery", "[storage]") {
  const Repository repository;
  REQUIRE(repository.write("wal/file"));
  SECTION("its folder is empty") {
    std::filesystem::remove_all(repository.root);
    std::filesystem::create_directory(repository.root);
  }
  SECTION("its folder is gone") { std::filesystem::remove_all(repository.root); }
  SECTION("only its marker is gone") {
    std::filesystem::remove(repository.root + "/" + kRepositoryMarker);
  }
  check_that_nothing_is_answered(repository);
}

TEST_CASE("in an unmounted repository nothing is found to be abandoned", "[storage]") {
  const Repository repository;
  std::filesystem::remove_all(repository.root);
  std::filesystem::create_directory(repository.root);
  CHECK(error_kind_of([&] { repository.storage->remove_abandoned("wal"); }) == ErrorKind::kSystem);
}

TEST_CASE("nothing is written below the mount point of a missing volume", "[storage]") {
  const Repository repository;
  std::filesystem::remove_all(repository.root);
  std::filesystem::create_directory(repository.root);
  CHECK_THROWS(repository.write("wal/file"));
  CHECK(testing::names_in(repository.root).empty());
}

TEST_CASE("what is stored can be read by its owner only", "[storage]") {
  const Repository repository;
  REQUIRE(repository.write("wal/a/file"));
  CHECK(mode_of(repository.root + "/wal/a/file") == 0600);
  CHECK(mode_of(repository.root + "/wal/a") == 0700);
  CHECK(mode_of(repository.root) == 0700);
}

TEST_CASE("a symbolic link in the repository is not followed", "[storage]") {
  const Repository repository;
  REQUIRE(repository.write("wal/file"));
  testing::write_file(repository.directory / "secret", "secret");
  std::filesystem::create_symlink(repository.directory / "secret", repository.root + "/wal/link");
  CHECK(error_kind_of([&] { repository.storage->open("wal/link"); }) == ErrorKind::kSystem);
}

TEST_CASE("a committed file has nothing beside it", "[storage]") {
  const Repository repository;
  REQUIRE(repository.write("wal/file"));
  CHECK_FALSE(repository.write("wal/file"));
  { const auto dropped = repository.storage->create("wal/other"); }
  CHECK(testing::names_in(repository.root + "/wal") == std::vector<std::string>{"file"});
}

TEST_CASE("only what dead processes of this host left is abandoned", "[storage]") {
  const Repository repository;
  const auto living = repository.storage->create("wal/a/living");
  ProcessIdentity dead = ProcessIdentity::self();
  dead.pid = testing::dead_process();
  ProcessIdentity elsewhere = dead;
  elsewhere.host += "-other";
  ProcessIdentity other_container = dead;
  ++other_container.pid_namespace;
  const std::string folder = repository.root + "/wal/a/";
  const auto leave = [&](const ProcessIdentity& process) {
    const std::string path = fmt::format("{}.tmp.{}.0", folder, process.to_string());
    testing::write_file(path, "half a segment");
    return path;
  };
  const std::string of_dead = leave(dead);
  const std::string of_other_host = leave(elsewhere);
  const std::string of_other_container = leave(other_container);
  testing::write_file(folder + ".tmp.unknown", "x");

  CHECK(repository.storage->remove_abandoned("wal") == 1);
  CHECK_FALSE(exists(of_dead));
  CHECK(exists(of_other_host));
  CHECK(exists(of_other_container));
  CHECK(exists(folder + ".tmp.unknown"));
  CHECK(living->commit());
  CHECK(repository.storage->remove_abandoned("wal") == 0);
}

TEST_CASE("leftovers are never listed", "[storage]") {
  const Repository repository;
  REQUIRE(repository.write("wal/file"));
  testing::write_file(repository.root + "/wal/.tmp.host.1.2.3", "x");
  std::vector<std::string> keys;
  repository.storage->list("wal", "", [&](const std::string& key) {
    keys.push_back(key);
    return true;
  });
  CHECK(keys == std::vector<std::string>{"wal/file"});
}

TEST_CASE("an earlier process with our number does not stand in the way", "[storage]") {
  const Repository repository;
  std::filesystem::create_directories(repository.root + "/wal");
  const std::string self = ProcessIdentity::self().to_string();
  for (int i = 0; i < 2000; ++i)
    testing::write_file(fmt::format("{}/wal/.tmp.{}.{}", repository.root, self, i), "x");
  CHECK(repository.write("wal/file"));
}

TEST_CASE("several processes store one key: exactly one of them succeeds", "[storage]") {
  const Repository repository;
  constexpr int kProcesses = 6;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto storage = open_posix_storage(repository.root, RingMode::kOff);
      _exit(storage->create("wal/a/b/file")->commit() ? 0 : 1);
    }
    children.push_back(child);
  }
  int winners = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0) ++winners;
  }
  CHECK(winners == 1);
}

}  // namespace pitr
