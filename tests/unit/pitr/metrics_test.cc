#include "pitr/metrics.h"

#include <cmath>
#include <limits>

#include <catch2/catch.hpp>

namespace pitr {

namespace {

constexpr std::uint64_t kIdentifier = 7301122034409873321U;
const Instant kAt = from_unix_time(1'800'000'000);

Instant before(int seconds) { return kAt - std::chrono::seconds(seconds); }

Observation observation() {
  Observation seen{.at = kAt, .seconds = 0.25, .cluster = "main"};
  seen.system_identifier = kIdentifier;
  return seen;
}

ObservedRepository repository(Lsn archived_up_to) {
  ObservedRepository one{.cluster = {"main", kIdentifier}, .segment_size = 16U << 20};
  one.archived_up_to = archived_up_to;
  one.last_archived_at = before(100);
  return one;
}

AuditEntry entry(const std::string& command, const std::string& outcome, Json did) {
  AuditEntry one{.ended_at = before(60), .command = command, .cluster = "main"};
  one.outcome = outcome;
  one.did = std::move(did);
  return one;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

const std::string kLabels = "cluster=\"main\",system_identifier=\"7301122034409873321\"";

std::string sample(const std::string& name, const std::string& more, const std::string& value) {
  return name + "{" + kLabels + more + "} " + value;
}

}  // namespace

TEST_CASE("a family is HELP, TYPE and a line per sample", "[pitr]") {
  const MetricFamily family{
      "pitr_x", "gauge", "What it is.", {{{{"a", "1"}}, 2.5}, {{}, 16777216.0}}};
  CHECK(family_as_text(family, {{"cluster", "main"}}) ==
        "# HELP pitr_x What it is.\n# TYPE pitr_x gauge\n"
        "pitr_x{cluster=\"main\",a=\"1\"} 2.5\npitr_x{cluster=\"main\"} 16777216\n");
  CHECK(family_as_text({"pitr_x", "counter", "What it is.", {{{}, 0.0}}}, {}) ==
        "# HELP pitr_x What it is.\n# TYPE pitr_x counter\npitr_x 0\n");
}

TEST_CASE("a label's quotes, backslashes and line ends are escaped", "[pitr]") {
  const MetricFamily family{"pitr_x", "gauge", "h", {{{{"a", "q\" b\\ n\n \xC3\xA4"}}, 1.0}}};
  CHECK(has_line(family_as_text(family, {}), R"(pitr_x{a="q\" b\\ n\n )"
                                             "\xC3\xA4\"} 1"));
}

TEST_CASE("what is not known is left out, down to the family", "[pitr]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(family_as_text({"pitr_x", "gauge", "h", {}}, {}).empty());
  CHECK(family_as_text({"pitr_x", "gauge", "h", {{{}, std::nullopt}, {{}, nan}}}, {}).empty());
  const std::string some =
      family_as_text({"pitr_x", "gauge", "h", {{{{"a", "1"}}, nan}, {{{"a", "2"}}, 1e300}}}, {});
  CHECK(some.find("a=\"1\"") == std::string::npos);
  CHECK(has_line(some, "pitr_x{a=\"2\"} 1e+300"));
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(has_line(family_as_text({"pitr_x", "gauge", "h", {{{}, infinity}}}, {}), "pitr_x +Inf"));
}

TEST_CASE("with nothing that answers it is said that nothing does", "[pitr]") {
  Observation seen = observation();
  seen.failures = {"server: gone", "repository: gone"};
  const std::string text = metrics_as_text(seen);
  CHECK(has_line(text, sample("pitr_up", "", "0")));
  CHECK(has_line(text, sample("pitr_repository_up", "", "0")));
  CHECK(has_line(text, sample("pitr_server_up", "", "0")));
  CHECK(has_line(text, sample("pitr_scrape_timestamp_seconds", "", "1800000000")));
  for (const char* absent : {"pitr_backup", "pitr_wal", "pitr_archive", "pitr_verify", "pitr_drill",
                             "pitr_repository_free"}) {
    CAPTURE(absent);
    CHECK(text.find(absent) == std::string::npos);
  }
}

TEST_CASE("what verify, drill and expire told is shown", "[pitr]") {
  Observation seen = observation();
  seen.audit = {entry("verify", "ok", {{"problems", 0}}),
                entry("verify", "finding", {{"problems", 3}}),
                entry("verify", "failed", Json::object()),
                entry("drill", "ok", {{"recovery_seconds", 12.5}, {"distance_seconds", nullptr}}),
                entry("expire", "ok",
                      {{"clusters",
                        {{{"system_identifier", std::to_string(kIdentifier)},
                          {"backups", {"a", "b"}},
                          {"wal", {{{"segments", 5}}, {{"segments", 2}}, "torn"}}},
                         {{"system_identifier", "17"}, {"backups", {"c"}}, {"wal", Json::array()}},
                         "torn"}}})};
  const std::string text = metrics_as_text(seen);
  CHECK(has_line(text, sample("pitr_verify_ok", "", "0")));
  CHECK(has_line(text, sample("pitr_verify_problems", "", "3")));
  CHECK(has_line(text, sample("pitr_command_last_timestamp_seconds",
                              ",command=\"verify\",outcome=\"failed\"", "1799999940")));
  CHECK(has_line(text, sample("pitr_drill_ok", "", "1")));
  CHECK(has_line(text, sample("pitr_drill_recovery_seconds", "", "12.5")));
  CHECK(text.find("pitr_drill_distance_seconds") == std::string::npos);
  CHECK(has_line(text, sample("pitr_expire_last_removed_backups", "", "2")));
  CHECK(has_line(text, sample("pitr_expire_last_removed_segments", "", "7")));
}

TEST_CASE("lag counts what is written and not archived", "[pitr]") {
  Observation seen = observation();
  CHECK_FALSE(archive_lag(seen).seconds);
  seen.ready_files = ReadyFiles{};
  CHECK(archive_lag(seen).seconds == 0.0);
  seen.repository = repository(3U << 24);
  CHECK_FALSE(archive_lag(seen).bytes);

  seen.server = ObservedServer{.position = {.lsn = (3U << 24) + 100, .timeline = 1}};
  CHECK(archive_lag(seen).bytes == 100U);
  CHECK(archive_lag(seen).segments == 0U);
  CHECK(archive_lag(seen).seconds == 0.0);

  seen.server->position.lsn = (5U << 24) + 100;
  seen.ready_files = ReadyFiles{.count = 2, .oldest_at = before(30)};
  CHECK(archive_lag(seen).segments == 2U);
  CHECK(archive_lag(seen).seconds == 30.0);

  SECTION("segments that nobody will bring count since the last that was brought") {
    seen.ready_files = ReadyFiles{};
    CHECK(archive_lag(seen).seconds == 100.0);
  }
  SECTION("a clock that went back gives no negative lag, nor a server behind the archive") {
    seen.ready_files->oldest_at = kAt + std::chrono::hours(1);
    seen.server->position.lsn = 1U << 24;
    CHECK(archive_lag(seen).seconds == 0.0);
    CHECK(archive_lag(seen).bytes == 0U);
  }
}

TEST_CASE("segments of an abandoned timeline do not hide that nothing is archived", "[pitr]") {
  constexpr SegmentSize kSize = 16U << 20;
  const auto log = [](TimelineId timeline, std::uint32_t last) {
    LogSummary summary{.timeline = timeline, .segments = last, .first = 1, .last = last};
    summary.last_archived_at = before(static_cast<int>(last));
    return summary;
  };
  ClusterRows rows;
  rows.cluster.key = {"main", kIdentifier};
  rows.cluster.identity.segment_size = kSize;
  rows.wal =
      WalRows({log(1, 100), log(2, 6)}, [](TimelineId, std::uint32_t) -> LogRows { return {}; });
  CHECK(observe_rows(rows, 0).archived_up_to == 0);
  CHECK(observe_rows(rows, 1).archived_up_to == 101 * kSize);
  CHECK(observe_rows(rows, 2).archived_up_to == 7 * kSize);  // its history is not known
  CHECK(observe_rows(rows, 3).archived_up_to == 0);
  rows.histories = {{.timeline = 2, .contents = "1\t0/5000028\tno recovery target specified\n"},
                    {.timeline = 3, .contents = "1\t0/6000028\tno recovery target specified\n"}};
  CHECK(observe_rows(rows, 2).archived_up_to == 7 * kSize);
  CHECK(observe_rows(rows, 3).archived_up_to == 0x6000028);
  CHECK(observe_rows(rows, 3).last_archived_at == before(6));
  CHECK(observe_rows(rows, 3).timelines.size() == 3);
}

}  // namespace pitr
