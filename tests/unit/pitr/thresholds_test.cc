#include "pitr/thresholds.h"

#include <catch2/catch.hpp>

namespace pitr {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

const Instant kAt = from_unix_time(1'800'000'000);

Config all_set() {
  Config config;
  config.alert.backup_age = hours(26);
  config.alert.archive_lag = minutes(10);
  config.alert.ready_files = 10;
  config.alert.free_space_percent = 10;
  config.alert.verify_age = hours(8 * 24);
  config.alert.drill_age = hours(35 * 24);
  return config;
}

AuditEntry entry(const char* command, const char* outcome, Instant at) {
  AuditEntry one{.ended_at = at, .command = command, .cluster = "main"};
  one.outcome = outcome;
  return one;
}

Observation healthy() {
  Observation seen{.at = kAt, .cluster = "main"};
  seen.repository = ObservedRepository{.backups = 2, .usable_backups = 1};
  seen.repository->last_backups["full"] = {.finished_at = kAt - hours(26)};
  seen.ready_files = ReadyFiles{.count = 10, .oldest_at = kAt - minutes(10)};
  seen.space = VolumeSpace{.size_bytes = 1000, .free_bytes = 100};
  seen.audit = {entry("verify", "ok", kAt - hours(8 * 24)),
                entry("drill", "ok", kAt - hours(35 * 24))};
  return seen;
}

CheckResult result(const Observation& seen, const std::string& name) {
  for (CheckResult& one : compare_with_thresholds(seen, all_set())) {
    if (one.name == name) return one;
  }
  return {name, "missing", ""};
}

}  // namespace

TEST_CASE("without a threshold only what is stored is looked at", "[pitr]") {
  const auto results = compare_with_thresholds(healthy(), Config());
  REQUIRE(results.size() == 2);
  CHECK(results[0].name == "usable backups");
  CHECK(results[1].name == "archived WAL");
  Observation fresh = healthy();
  fresh.repository = ObservedRepository{};  // before the first backup
  CHECK(compare_with_thresholds(fresh, Config()).size() == 1);
}

TEST_CASE("gaps, unusable backups and unreadable files are told of", "[pitr]") {
  Observation seen = healthy();
  seen.repository->timelines = {ObservedTimeline{.id = 1, .gaps = 2}};
  CHECK(result(seen, "archived WAL").status == "warning");
  CHECK(result(seen, "archived WAL").perfdata == "wal_gaps=2;0;;0");
  seen.repository->open_gaps = 1;
  CHECK(result(seen, "archived WAL").status == "failed");
  CHECK(result(seen, "stored files").status == "missing");
  seen.repository->unreadable_files = 1;
  CHECK(result(seen, "stored files").status == "warning");
  seen.repository->usable_backups = 0;
  CHECK(result(seen, "usable backups").status == "failed");
}

TEST_CASE("exactly at a threshold all is well, beyond it is not", "[pitr]") {
  Observation seen = healthy();
  const auto good = compare_with_thresholds(seen, all_set());
  REQUIRE(good.size() == 8);
  for (const CheckResult& one : good) {
    CAPTURE(one.name, one.message);
    CHECK(one.status == "ok");
    CHECK_FALSE(one.perfdata.empty());
  }
  seen.at += seconds(1);
  seen.ready_files->count = 11;
  seen.space->free_bytes = 99;
  for (const char* name : {"backup age", "archive lag", "ready files", "free space"}) {
    CAPTURE(name);
    CHECK(result(seen, name).status == "failed");
  }
  CHECK(result(seen, "verify age").status == "warning");
  CHECK(result(seen, "drill age").status == "warning");
}

TEST_CASE("the words and the perfdata of each", "[pitr]") {
  const Observation seen = healthy();
  CHECK(result(seen, "backup age").message ==
        "the newest base backup is 26.0 h old, 26.0 h are allowed");
  CHECK(result(seen, "backup age").perfdata == "backup_age=93600s;;93600");
  CHECK(result(seen, "ready files").perfdata == "ready_files=10;;10;0");
  CHECK(result(seen, "free space").perfdata == "free_space=10.0%;;10:;0;100");
  CHECK(result(seen, "verify age").perfdata == "verify_age=691200s;691200;");
}

TEST_CASE("no backup at all is worse than an old one; none is known where nobody could look",
          "[pitr]") {
  Observation seen = healthy();
  seen.repository->last_backups.clear();
  CHECK(result(seen, "backup age").status == "failed");
  seen.repository.reset();
  seen.ready_files.reset();
  seen.space.reset();
  for (const char* name : {"backup age", "archive lag", "ready files", "free space"}) {
    CAPTURE(name);
    CHECK(result(seen, name).status == "warning");
  }
  CHECK(result(seen, "usable backups").status == "missing");
}

TEST_CASE("a bad answer counts whatever its age, and a run without an answer is none", "[pitr]") {
  Observation seen = healthy();
  seen.audit = {entry("verify", "ok", kAt - hours(50)), entry("verify", "finding", kAt - hours(1)),
                entry("verify", "failed", kAt)};
  seen.audit[1].did = {{"problems", 4}};
  CHECK(result(seen, "verify age").status == "failed");
  CHECK(result(seen, "verify age").message == "the last pitr verify, 60 min ago, found 4 problems");
  CHECK(result(seen, "drill age").status == "warning");  // there is none
  seen.audit.push_back(entry("verify", "ok", kAt));
  seen.audit.back().did = {{"part", "wal"}};
  CHECK(result(seen, "verify age").status == "failed");  // the rest was not looked at
  seen.audit.push_back(entry("verify", "ok", kAt));
  seen.audit.back().did = {{"part", nullptr}};
  CHECK(result(seen, "verify age").status == "ok");
}

TEST_CASE("a backup from the future is not old", "[pitr]") {
  Observation seen = healthy();
  seen.repository->last_backups["full"].finished_at = kAt + hours(1);
  CHECK(result(seen, "backup age").status == "ok");
}

}  // namespace pitr
