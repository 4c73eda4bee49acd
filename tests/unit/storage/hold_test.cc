#include "storage/hold.h"

#include <catch2/catch.hpp>

#include "common/error.h"
#include "harness/wal_builder.h"
#include "storage/memory_storage.h"

namespace pitr {

namespace {

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};
const Instant kNow(std::chrono::microseconds(1'795'000'000'123'456));

Hold hold_of(ProcessIdentity process) {
  return {.command = "restore", .process = std::move(process), .since = kNow, .backup = "b1"};
}

ProcessIdentity dead_process() {
  ProcessIdentity process = ProcessIdentity::self();
  process.started += 1;  // another one had our number
  return process;
}

}  // namespace

TEST_CASE("a hold is read back as it was placed, and is gone when it is removed", "[storage]") {
  const auto storage = make_memory_storage();
  Hold placed = hold_of(ProcessIdentity::self());
  placed.until = kNow + std::chrono::hours(2);
  const std::string name = place_hold(*storage, kMain, placed);
  const auto holds = read_holds(*storage, kMain.key);
  REQUIRE(holds.size() == 1);
  CHECK(holds[0].name == name);
  CHECK(holds[0].command == "restore");
  CHECK(holds[0].process.to_string() == placed.process.to_string());
  CHECK(holds[0].since == kNow);
  CHECK(holds[0].backup == "b1");
  CHECK(holds[0].until == placed.until);
  remove_hold(*storage, kMain.key, name);
  CHECK(read_holds(*storage, kMain.key).empty());
}

TEST_CASE("a hold lasts as long as its process", "[storage]") {
  const Instant later = kNow + std::chrono::days(300);
  CHECK_FALSE(is_over(hold_of(ProcessIdentity::self()), later));
  CHECK(is_over(hold_of(dead_process()), kNow));
}

TEST_CASE("a process of another host is taken for gone after a week", "[storage]") {
  const ProcessIdentity foreign{.host = "elsewhere", .pid_namespace = 1, .pid = 1, .started = 1};
  CHECK_FALSE(is_over(hold_of(foreign), kNow + std::chrono::days(7)));
  CHECK(is_over(hold_of(foreign), kNow + std::chrono::days(7) + std::chrono::seconds(1)));
}

TEST_CASE("a hold until a time does not ask for its process", "[storage]") {
  Hold hold = hold_of(dead_process());
  hold.until = kNow + std::chrono::hours(1);
  CHECK_FALSE(is_over(hold, kNow));
  CHECK(is_over(hold, kNow + std::chrono::hours(1)));
}

TEST_CASE("a hold that says something unknown protects nobody knows what", "[storage]") {
  const std::string text =
      GENERATE("", "command expire\n", "process h.1.2-3\nsince 1\n", "command x\nprocess 1\n",
               "command x\nprocess h.1.2-3\nsince never\n", "command x\nprocess h.1.2-3\nbackup",
               "command x\nprocess h.1.2-3\nmood good\n");
  const auto storage = make_memory_storage();
  const FileIdentity identity{.kind = FileKind::kHold, .name = "x", .cluster = kMain.identity};
  REQUIRE(store_text(*storage, hold_key(kMain.key, "x"), identity, text));
  CAPTURE(text);
  CHECK_THROWS_AS(read_holds(*storage, kMain.key), Error);
}

}  // namespace pitr
