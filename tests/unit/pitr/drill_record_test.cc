#include "pitr/drill_record.h"

#include <catch2/catch.hpp>

#include "harness/temporary_directory.h"

namespace pitr {

using testing::TemporaryDirectory;

namespace {

const ClusterKey kMain{.name = "main", .system_identifier = 7301122034409873321};
const ClusterKey kOther{.name = "other", .system_identifier = 1};
const Instant kNight = from_unix_time(1'795'305'600);

}  // namespace

TEST_CASE("what a rehearsal measured is remembered for each cluster", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string state = directory / "state";
  CHECK_FALSE(load_drill_record(state, kMain));
  DrillRecord record{.finished_at = kNight, .cause = "it \"burns\"\n\xff"};
  save_drill_record(state, kOther, record);
  record.cause.clear();
  record.last_success_at = kNight;
  record.replay_bytes_per_second = 2.5;
  save_drill_record(state, kMain, record);
  const auto main = load_drill_record(state, kMain);
  REQUIRE(main);
  CHECK(main->finished_at == kNight);
  CHECK(main->cause.empty());
  CHECK(main->last_success_at == kNight);
  CHECK(main->replay_bytes_per_second == 2.5);
  CHECK_FALSE(main->restore_bytes_per_second);
  const auto other = load_drill_record(state, kOther);
  REQUIRE(other);
  CHECK_THAT(other->cause, Catch::StartsWith("it \"burns\"\n"));
  CHECK_FALSE(other->last_success_at);
}

TEST_CASE("a memory that is damaged is none, and is written anew", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string contents =
      GENERATE("", "{", "[]", "null", R"({"drills": []})", R"({"drills": {"main-1": 3}})",
               R"({"drills": {"main-7301122034409873321": {"finished_at": "never"}}})",
               R"({"drills": {"main-7301122034409873321": {"finished_at": 3}}})");
  CAPTURE(contents);
  testing::write_file(directory / "drill.json", contents);
  CHECK_FALSE(load_drill_record(directory.path(), kMain));
  save_drill_record(directory.path(), kMain, {.finished_at = kNight});
  CHECK(load_drill_record(directory.path(), kMain));
}

TEST_CASE("an estimate is bytes by speed, and none without both speeds", "[pitr]") {
  BackupSummary backup;
  backup.size_bytes = 1000;
  RecoveryPlan plan;
  plan.backup = &backup;
  plan.segment_count = 3;
  DrillRecord record;
  record.restore_bytes_per_second = 100;
  record.replay_bytes_per_second = 16;
  CHECK(estimate_seconds(record, plan, 16) == 10 + 3);
  CHECK_FALSE(estimate_seconds(std::nullopt, plan, 16));
  record.replay_bytes_per_second = std::nullopt;
  CHECK_FALSE(estimate_seconds(record, plan, 16));
  record.replay_bytes_per_second = 0;
  CHECK_FALSE(estimate_seconds(record, plan, 16));
  plan.backup = nullptr;
  record.replay_bytes_per_second = 16;
  CHECK_FALSE(estimate_seconds(record, plan, 16));
}

}  // namespace pitr
