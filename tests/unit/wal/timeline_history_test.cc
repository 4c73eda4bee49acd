#include "wal/timeline_history.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"

namespace pitr {

using testing::error_of;

TEST_CASE("timeline 1 has no history and holds all WAL", "[wal]") {
  const auto path = parse_timeline_history(1, "");
  REQUIRE(path.size() == 1);
  CHECK(path[0] == TimelineStretch{.timeline = 1, .begin = 0, .end = kEndOfTime});
  CHECK(timeline_of(path, 0x5000000) == 1);
}

TEST_CASE("a history file as PostgreSQL writes it gives the path of WAL", "[wal]") {
  const auto path = parse_timeline_history(3,
                                           "1\t0/5000148\tno recovery target specified\n"
                                           "\n"
                                           "2\t1/A0\tbefore 2026-11-22 10:00:00.5+00\n");
  REQUIRE(path.size() == 3);
  CHECK(path[0] == TimelineStretch{.timeline = 1, .begin = 0, .end = 0x5000148});
  CHECK(path[1] == TimelineStretch{.timeline = 2, .begin = 0x5000148, .end = 0x1'0000'00A0});
  CHECK(path[2] == TimelineStretch{.timeline = 3, .begin = 0x1'0000'00A0, .end = kEndOfTime});
}

TEST_CASE("the byte at the fork belongs to the new timeline", "[wal]") {
  const auto path = parse_timeline_history(2, "1\t0/5000148\tx\n");
  CHECK(timeline_of(path, 0x5000147) == 1);
  CHECK(timeline_of(path, 0x5000148) == 2);
}

TEST_CASE("a history file names timelines in decimal, its own name is hexadecimal", "[wal]") {
  const auto path = parse_timeline_history(0x12, "10\t0/3000000\tx\n17\t0/4000000\ty\n");
  REQUIRE(path.size() == 3);
  CHECK(path[0].timeline == 10);
  CHECK(path[1].timeline == 17);
  CHECK(path[2].timeline == 18);
}

TEST_CASE("comments, blank lines and a missing last newline are accepted", "[wal]") {
  const auto path = parse_timeline_history(2, "# made by hand\n   \n  # x\n\t1 0/3000000");
  REQUIRE(path.size() == 2);
  CHECK(path[0].end == 0x3000000);
}

TEST_CASE("a reason may hold anything", "[wal]") {
  CHECK(parse_timeline_history(2, "1\t0/3000000\tat restore point \"9\t0/1 #\"\n").size() == 2);
}

TEST_CASE("a damaged history file is refused and named", "[wal]") {
  const std::string contents =
      GENERATE("x\t0/3000000\tx\n", "1\n", "1\t\n", "1\tx\n", "1\t3000000\treason\n",
               "-1\t0/3000000\n", "1\t0/3000000x\n", "0\t0/3000000\n", "99999999999\t0/3000000\n");
  CAPTURE(contents);
  const ErrorReport report = error_of([&] { parse_timeline_history(0xC, contents); });
  CHECK(report.kind == ErrorKind::kCorrupt);
  CHECK_THAT(report.message, Catch::Contains("0000000C.history"));
}

TEST_CASE("a history file with zeros in it, as a crash leaves them, is refused", "[wal]") {
  CHECK(error_of([] { parse_timeline_history(2, std::string(64, '\0')); }).kind ==
        ErrorKind::kCorrupt);
}

TEST_CASE("a history file with Windows line ends is read", "[wal]") {
  const auto path = parse_timeline_history(3, "1\t0/3000000\tx\r\n\r\n2\t0/4000000\r\n");
  REQUIRE(path.size() == 3);
  CHECK(path[1].end == 0x4000000);
}

TEST_CASE("a timeline number beyond 32 bits is not cut to one that is possible", "[wal]") {
  CHECK(error_of([] { parse_timeline_history(5, "4294967297\t0/3000000\tx\n"); }).kind ==
        ErrorKind::kCorrupt);
}

TEST_CASE("an enormous or binary history file is refused, and the message stays short", "[wal]") {
  const ErrorReport report =
      error_of([] { parse_timeline_history(2, std::string(1U << 20, '\xFF')); });
  CHECK(report.kind == ErrorKind::kCorrupt);
  CHECK(testing::words(report).size() < 1000);
}

TEST_CASE("a cluster that was promoted thousands of times has a path", "[wal]") {
  std::string contents;
  for (unsigned timeline = 1; timeline < 5000; ++timeline)
    contents += std::to_string(timeline) + "\t" + format_lsn(Lsn{timeline} << 24) + "\tx\n";
  const auto path = parse_timeline_history(5000, contents);
  CHECK(path.size() == 5000);
  CHECK(timeline_of(path, Lsn{4321} << 24) == 4322);
}

TEST_CASE("ancestors that are not older than the timeline are refused", "[wal]") {
  const std::string contents = GENERATE("3\t0/3000000\tx\n", "4\t0/3000000\tx\n");
  CHECK(error_of([&] { parse_timeline_history(3, contents); }).kind == ErrorKind::kCorrupt);
}

TEST_CASE("ancestors out of order, twice, or with overlapping stretches are refused", "[wal]") {
  const std::string contents =
      GENERATE("2\t0/3000000\tx\n1\t0/4000000\tx\n", "1\t0/3000000\tx\n1\t0/4000000\tx\n",
               "1\t0/4000000\tx\n2\t0/3000000\tx\n");
  CAPTURE(contents);
  CHECK(error_of([&] { parse_timeline_history(5, contents); }).kind == ErrorKind::kCorrupt);
}

}  // namespace pitr
