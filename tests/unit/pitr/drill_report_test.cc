#include "pitr/drill_report.h"

#include <catch2/catch.hpp>

namespace pitr {

namespace {

constexpr std::uint64_t kSegment = 1 << 20;

DrillReport usual() {
  DrillReport report;
  report.cluster = "main";
  report.system_identifier = "7301122034409873321";
  report.postgres_version = 15;
  report.host = "here";
  report.started_at = from_unix_time(1'795'305'600);
  report.finished_at = from_unix_time(1'795'305'700);
  report.target = "the end of the WAL";
  report.phases = {{.name = "plan", .seconds = 0.5, .is_recovery = true},
                   {.name = "restore", .seconds = 60, .is_recovery = true},
                   {.name = "verify files", .seconds = 20},
                   {.name = "replay", .seconds = 30, .is_recovery = true}};
  report.stopped_at = 0x150040;
  report.restored_bytes = 6'000'000;
  report.replayed_bytes = 3'000'000;
  report.checks = {{.name = "pg_amcheck",
                    .database = "shop",
                    .status = DrillCheckResult::Status::kNotChecked,
                    .message = "the extension amcheck is not there"}};
  return report;
}

struct Planned {
  BackupSummary backup;
  RecoveryPlan plan;

  explicit Planned(bool has_commit_after = true) {
    backup.stop_lsn = 0x100200;
    plan.backup = &backup;
    TransactionEnd commit;
    commit.start = 0x150000;
    plan.commit_before = commit;
    commit.start = 0x160000;
    if (has_commit_after) plan.commit_after = commit;
    plan.stop.kind = PlannedStop::Kind::kCommit;
    plan.written.kind = RecoveryTarget::Kind::kTime;
  }
  std::string why(Lsn replayed_to) const { return why_elsewhere(plan, replayed_to, kSegment); }
};

}  // namespace

TEST_CASE("a stop is the planned one between the commits around it", "[pitr]") {
  const Planned planned;
  CHECK(planned.why(0x150040).empty());
  CHECK(planned.why(0x160000).empty());
  CHECK_THAT(planned.why(0x100100), Catch::Contains("the backup ends at 0/100200"));
  CHECK_THAT(planned.why(0x150000), Catch::Contains("the commit at 0/150000 is missing"));
  CHECK_THAT(planned.why(0x160030), Catch::Contains("beyond the commit at 0/160000"));
}

TEST_CASE("a position that was written is before or after the stop", "[pitr]") {
  Planned planned;
  planned.plan.written = {.kind = RecoveryTarget::Kind::kLsn, .lsn = 0x155000};
  CHECK(planned.why(0x155030).empty());
  CHECK_THAT(planned.why(0x155000), Catch::Contains("the target is after 0/155000"));
  planned.plan.written.inclusive = false;
  CHECK(planned.why(0x155000).empty());
  CHECK_THAT(planned.why(0x155030), Catch::Contains("the target is before 0/155000"));
}

TEST_CASE("WAL that came later is not a part of the planned end", "[pitr]") {
  Planned planned(false);
  planned.plan.stop = {.kind = PlannedStop::Kind::kEndOfWal, .lsn = 0x158018};
  CHECK(planned.why(0x158018).empty());
  CHECK(planned.why(0x200000).empty());  // the record that ended the segment
  CHECK_THAT(planned.why(0x200028), Catch::Contains("the archived WAL ended at 0/158018"));
}

TEST_CASE("time and speed count what a real recovery would do", "[pitr]") {
  const DrillReport report = usual();
  CHECK(recovery_seconds(report) == 90.5);
  CHECK(total_seconds(report) == 110.5);
  CHECK(restore_bytes_per_second(report) == 100'000);
  CHECK(replay_bytes_per_second(report) == 100'000);
  DrillReport unfinished = usual();
  unfinished.replayed_bytes = std::nullopt;
  CHECK_FALSE(replay_bytes_per_second(unfinished));
  unfinished.restored_bytes = 0;
  CHECK_FALSE(restore_bytes_per_second(unfinished));
}

TEST_CASE("what is not known is null", "[pitr]") {
  DrillReport report = usual();
  report.restored_bytes = std::nullopt;
  report.stopped_at = std::nullopt;
  const Json json = drill_as_json(report);
  for (const char* name :
       {"cause", "plan", "stopped_at", "last_commit_at", "distance_seconds", "restored_bytes",
        "restore_bytes_per_second", "recovery_seconds", "directory"}) {
    CAPTURE(name);
    CHECK(json.at(name).is_null());
  }
  CHECK(json.at("status") == "ok");
  CHECK(json.at("checks").at(0).at("status") == "not_checked");
}

TEST_CASE("the text names verdict, times, and what was not checked", "[pitr]") {
  DrillReport report = usual();
  CHECK_THAT(drill_as_text(report), Catch::StartsWith("The rehearsal is good.\n"));
  CHECK_THAT(drill_as_text(report), Catch::Contains("1 min 30 s, 1 min 50 s with all checks"));
  CHECK_THAT(drill_as_text(report),
             Catch::Contains("not checked  pg_amcheck in \"shop\": the extension amcheck"));
  report.cause = "the server burns";
  CHECK_THAT(drill_as_text(report), Catch::StartsWith("The rehearsal failed: the server burns.\n"));
}

TEST_CASE("whatever is told, the page stays a page", "[pitr]") {
  DrillReport report = usual();
  report.cause = "</p><script>alert('&\"')</script>\x01";
  report.cluster = report.host = report.target = report.plan_text = report.cause;
  report.checks[0].name = report.checks[0].database = report.checks[0].message = report.cause;
  report.phases[0].name = report.cause;
  const std::string page = drill_as_html(report);
  CHECK_THAT(page, !Catch::Contains("<script"));
  CHECK_THAT(page, !Catch::Contains("alert('"));
  CHECK(page.find('\x01') == std::string::npos);
  CHECK_THAT(page, Catch::Contains("&lt;/p&gt;&lt;script&gt;alert(&#39;&amp;&quot;&#39;)"));
  CHECK_THAT(page, Catch::EndsWith("</html>\n"));
}

TEST_CASE("every bar lies within the chart, also without any time", "[pitr]") {
  DrillReport report = usual();
  if (GENERATE(false, true)) {
    for (DrillPhase& phase : report.phases)
      phase.seconds = 0;
  }
  const std::string page = drill_as_html(report);
  std::size_t place = 0;
  int bars = 0;
  while ((place = page.find(" x=\"", page.find("<rect", place))) != std::string::npos) {
    const double x = std::stod(page.substr(place + 4));
    const double width = std::stod(page.substr(page.find("width=\"", place) + 7));
    CHECK(x >= 110);
    CHECK(width >= 2);
    CHECK(x + width <= 490.2);
    if (++bars == 4) break;
  }
  CHECK(bars == 4);
}

}  // namespace pitr
