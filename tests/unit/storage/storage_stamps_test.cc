// Folders and stamps of storages: what tells whether a folder must be listed again.
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "harness/temporary_directory.h"
#include "storage/memory_storage.h"
#include "storage/posix_storage.h"

namespace pitr {

using testing::TemporaryDirectory;

namespace {

struct Repository {
  TemporaryDirectory directory;
  std::string root = directory / "repository";
  std::unique_ptr<Storage> storage;

  Repository() {
    create_posix_repository(root);
    storage = open_posix_storage(root, RingMode::kOff);
  }

  void write(const std::string& key) const { REQUIRE(storage->create(key)->commit()); }

  // As if the folder had last changed so long ago.
  void age(const std::string& folder, int seconds) const {
    struct timespec times[2] = {};
    REQUIRE(clock_gettime(CLOCK_REALTIME, &times[0]) == 0);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    REQUIRE(utimensat(AT_FDCWD, (root + "/" + folder).c_str(), times, 0) == 0);
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the folders right below one are listed by name", "[storage]") {
  const bool in_memory = GENERATE(true, false);
  const Repository repository;
  const auto memory = make_memory_storage();
  Storage& storage = in_memory ? *memory : *repository.storage;
  CHECK(storage.list_folders("wal").empty());
  for (const char* key :
       {"wal/b/1", "wal/a/x/1", "wal/a/y/2", "wal/c/d/e/f", "wal/file", "other/z/1"})
    REQUIRE(storage.create(key)->commit());
  CHECK(storage.list_folders("wal") == Names{"a", "b", "c"});
  CHECK(storage.list_folders("wal/a") == Names{"x", "y"});
  CHECK(storage.list_folders("wal/b").empty());
  CHECK(storage.list_folders("missing").empty());
  CHECK(storage.list_folders("missing/deeper").empty());
}

TEST_CASE("folders whose names begin alike are not mixed up", "[storage]") {
  const bool in_memory = GENERATE(true, false);
  const Repository repository;
  const auto memory = make_memory_storage();
  Storage& storage = in_memory ? *memory : *repository.storage;
  for (const char* key : {"wal/a-b/1", "wal/a/1", "wal/a.c/1", "wal/ab/1", "wal-old/q/1"})
    REQUIRE(storage.create(key)->commit());
  Names folders = storage.list_folders("wal");
  CHECK(std::is_sorted(folders.begin(), folders.end()));
  CHECK(folders == Names{"a", "a-b", "a.c", "ab"});
}

TEST_CASE("a folder that does not exist has no stamp", "[storage]") {
  const Repository repository;
  CHECK_FALSE(repository.storage->stamp("wal/missing"));
}

TEST_CASE("a folder that changed a moment ago has no stamp", "[storage]") {
  const Repository repository;
  repository.write("wal/a/1");
  CHECK_FALSE(repository.storage->stamp("wal/a"));
  repository.age("wal/a", 1);
  CHECK_FALSE(repository.storage->stamp("wal/a"));
  repository.age("wal/a", -100);  // a clock that was set back
  CHECK_FALSE(repository.storage->stamp("wal/a"));
  repository.age("wal/a", 4);
  CHECK(repository.storage->stamp("wal/a"));
}

TEST_CASE("a stamp stays while nothing comes or goes", "[storage]") {
  const Repository repository;
  repository.write("wal/a/1");
  repository.age("wal/a", 60);
  const auto stamp = repository.storage->stamp("wal/a");
  REQUIRE(stamp);
  CHECK(repository.storage->stamp("wal/a") == stamp);
  CHECK(repository.storage->open("wal/a/1"));
  repository.storage->list("wal", "", [](const std::string&) { return true; });
  CHECK(repository.storage->stamp("wal/a") == stamp);
  repository.write("wal/b/1");  // a neighbour's
  CHECK(repository.storage->stamp("wal/a") == stamp);
  const auto again = open_posix_storage(repository.root, RingMode::kOff);
  CHECK(again->stamp("wal/a") == stamp);
}

TEST_CASE("a stamp is another one when a file has come or gone", "[storage]") {
  const Repository repository;
  repository.write("wal/a/1");
  repository.write("wal/a/2");
  repository.age("wal/a", 60);
  const auto before = repository.storage->stamp("wal/a");
  REQUIRE(before);
  SECTION("come") { repository.write("wal/a/3"); }
  SECTION("gone") { REQUIRE(repository.storage->remove("wal/a/1")); }
  SECTION("gone and come") {
    REQUIRE(repository.storage->remove("wal/a/1"));
    repository.write("wal/a/1");
  }
  CHECK_FALSE(repository.storage->stamp("wal/a"));
  repository.age("wal/a", 3);
  const auto after = repository.storage->stamp("wal/a");
  REQUIRE(after);
  CHECK(after != before);
}

TEST_CASE("a folder in another one's place has another stamp, however old it is", "[storage]") {
  const Repository repository;
  repository.write("wal/a/1");
  struct timespec times[2] = {{.tv_sec = 1'700'000'000, .tv_nsec = 5},
                              {.tv_sec = 1'700'000'000, .tv_nsec = 5}};
  const std::string path = repository.root + "/wal/a";
  REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  const auto before = repository.storage->stamp("wal/a");
  REQUIRE(before);
  std::filesystem::rename(path, repository.root + "/wal/b");
  repository.write("wal/a/2");
  REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  CHECK(repository.storage->stamp("wal/a") != before);
}

TEST_CASE("stamps differ by less than a second, too", "[storage]") {
  const Repository repository;
  repository.write("wal/a/1");
  const std::string path = repository.root + "/wal/a";
  std::optional<std::string> previous;
  for (const long nanoseconds : {0L, 1L, 10L, 100'000'000L, 999'999'999L}) {
    struct timespec times[2] = {{.tv_sec = 1'700'000'000, .tv_nsec = nanoseconds},
                                {.tv_sec = 1'700'000'000, .tv_nsec = nanoseconds}};
    REQUIRE(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    const auto stamp = repository.storage->stamp("wal/a");
    REQUIRE(stamp);
    CHECK(stamp != previous);
    previous = stamp;
  }
}

}  // namespace pitr
