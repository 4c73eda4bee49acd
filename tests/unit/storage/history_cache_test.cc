#include "storage/history_cache.h"

#include <functional>

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "common/log.h"
#include "harness/environment.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::stderr_of;
using testing::TemporaryDirectory;

namespace {

const ClusterKey kMain{.name = "main", .system_identifier = 9};

// What is written where nothing can be: warnings only.
std::string warnings_of(const std::function<void()>& call) {
  set_log(LogLevel::kWarning, LogFormat::kText);
  const std::string text = stderr_of(call);
  set_log(LogLevel::kError, LogFormat::kText);
  return text;
}

}  // namespace

TEST_CASE("a cache that was never written knows nothing", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory / "missing", kMain);
  CHECK(cache.highest() == 0);
  CHECK_FALSE(cache.contents(2));
  CHECK_NOTHROW(cache.clear_unreachable());
  CHECK(cache.unreachable_note().empty());
  CHECK_FALSE(testing::exists(directory / "missing"));  // reading makes nothing
}

TEST_CASE("a history file that was seen is remembered with its contents", "[storage]") {
  const TemporaryDirectory directory;
  const std::string contents = "1\t0/5000148\tno recovery target specified\n";
  HistoryCache(directory.path(), kMain).remember(0xB, contents);
  const HistoryCache cache(directory.path(), kMain);  // as the next process finds it
  CHECK(cache.contents(0xB) == contents);
  CHECK(cache.highest() == 0xB);
  CHECK_FALSE(cache.contents(0xA));
}

TEST_CASE("contents of any kind come back as they were", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory.path(), kMain);
  for (const std::string& contents :
       {std::string(), std::string("\0\n\xFF", 3), std::string(1U << 20, 'x')}) {
    cache.remember(2, contents);
    CHECK(cache.contents(2) == contents);
  }
}

TEST_CASE("the highest timeline only rises", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory.path(), kMain);
  cache.remember_highest(5);
  cache.remember_highest(3);
  CHECK(cache.highest() == 5);
  cache.remember(4, "x");
  CHECK(cache.highest() == 5);
  cache.remember_highest(0xFFFFFFFF);
  CHECK(cache.highest() == 0xFFFFFFFF);
}

TEST_CASE("clusters do not see each other's timelines", "[storage]") {
  const TemporaryDirectory directory;
  HistoryCache(directory.path(), kMain).remember(2, "x");
  for (const ClusterKey& other : {ClusterKey{.name = "main", .system_identifier = 10},
                                  ClusterKey{.name = "east", .system_identifier = 9}}) {
    const HistoryCache cache(directory.path(), other);
    CHECK(cache.highest() == 0);
    CHECK_FALSE(cache.contents(2));
  }
}

TEST_CASE("that a standby was told \"not there\" is noted, and taken back", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory.path(), kMain);
  cache.note_unreachable("could not open directory \"/srv/pitr\"");
  CHECK_THAT(cache.unreachable_note(), Catch::Contains("could not open directory \"/srv/pitr\""));
  cache.note_unreachable("another reason");
  CHECK_THAT(cache.unreachable_note(), Catch::Contains("another reason"));
  cache.clear_unreachable();
  CHECK(cache.unreachable_note().empty());
  CHECK_NOTHROW(cache.clear_unreachable());
}

TEST_CASE("a cache that cannot be written is a warning, not a failure", "[storage]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "state", "not a directory");
  const HistoryCache cache(directory / "state", kMain);
  CHECK_THAT(warnings_of([&] { CHECK_NOTHROW(cache.remember(2, "x")); }),
             Catch::StartsWith("WARNING:  could not remember a timeline"));
  CHECK_THAT(warnings_of([&] { CHECK_NOTHROW(cache.remember_highest(2)); }),
             Catch::Contains("WARNING"));
  CHECK_THAT(warnings_of([&] { CHECK_NOTHROW(cache.note_unreachable("x")); }),
             Catch::Contains("WARNING"));
  CHECK_NOTHROW(cache.clear_unreachable());
  CHECK(cache.highest() == 0);
  CHECK_FALSE(cache.contents(2));
}

TEST_CASE("a note of the highest timeline that is damaged counts as none", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory.path(), kMain);
  cache.remember_highest(7);
  const std::string path = directory / "history/main-9/highest";
  REQUIRE(testing::exists(path));
  for (const std::string& damage :
       {std::string(), std::string("\n"), std::string("x7\n"), std::string("-7\n"),
        std::string("7 7\n"), std::string(8, '\0'), std::string(100'000, '7')}) {
    CAPTURE(damage.substr(0, 20));
    testing::write_file(path, damage);
    CHECK(cache.highest() == 0);
  }
  cache.remember_highest(3);
  CHECK(cache.highest() == 3);
}

TEST_CASE("a note of a timeline beyond 32 bits is damaged too, not cut", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory.path(), kMain);
  cache.remember_highest(7);
  testing::write_file(directory / "history/main-9/highest", "4294967303\n");  // 2^32 + 7
  CHECK(cache.highest() == 0);
}

TEST_CASE("what is remembered is for its owner only, and nothing is left beside it", "[storage]") {
  const TemporaryDirectory directory;
  const HistoryCache cache(directory.path(), kMain);
  cache.remember(2, "x");
  cache.note_unreachable("x");
  struct stat status {};
  REQUIRE(stat((directory / "history/main-9/00000002.history").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600);
  CHECK(testing::names_in(directory / "history/main-9") ==
        std::vector<std::string>{"00000002.history", "highest", "unreachable"});
}

}  // namespace pitr
