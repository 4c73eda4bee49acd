#include "catalog/wal_path.h"

#include <catch2/catch.hpp>

#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::HandMadeWal;
using testing::k1MiB;
using testing::lsn_in;

namespace {

constexpr const char* kForkInSegment3 = "1\t0/380000\tno recovery target specified\n";

// A path with all its segments at once.
struct Followed {
  std::vector<PathSegment> segments;
  SegmentName missing;
  std::optional<SegmentName> behind_gap;
  bool damaged = false;
  Lsn last_record = 0;
  Lsn end_of_records = 0;
  std::optional<Lsn> fork_inside;
};

Followed follow(const ClusterRows& rows, TimelineId timeline, Lsn start) {
  const auto stretches = timeline_path(rows, timeline);
  REQUIRE(stretches);
  TimelineWal wal(rows, *stretches);
  const WalPath path = wal.from(start);
  Followed followed{.segments = {},
                    .missing = path.missing(),
                    .behind_gap = path.behind_gap(),
                    .damaged = path.is_damaged(),
                    .last_record = path.last_record(),
                    .end_of_records = path.end_of_records(),
                    .fork_inside = path.fork_inside()};
  path.visit(0, {}, [&](const PathSegment& segment) {
    followed.segments.push_back(segment);
    return true;
  });
  // Backward the same segments come, whatever was asked for first.
  std::vector<std::string> backward;
  path.visit_backward(kEndOfTime, {}, [&](const PathSegment& segment) {
    backward.insert(backward.begin(), segment.row->name.to_string());
    return true;
  });
  REQUIRE(backward.size() == followed.segments.size());
  for (std::size_t i = 0; i < backward.size(); ++i)
    CHECK(backward[i] == followed.segments[i].row->name.to_string());
  return followed;
}

std::vector<std::string> names(const Followed& path) {
  std::vector<std::string> names;
  for (const PathSegment& segment : path.segments)
    names.push_back(segment.row->name.to_string());
  return names;
}

// Timeline 2 forks at 0/380000; both went on.
HandMadeWal forked() {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 5; ++number)
    wal.add(1, number);
  for (std::uint64_t number = 3; number <= 4; ++number)
    wal.add(2, number);
  wal.add_history(2, kForkInSegment3);
  return wal;
}

}  // namespace

TEST_CASE("a timeline is known by its WAL, its history file or a backup", "[catalog]") {
  HandMadeWal wal;
  CHECK(known_timelines(wal.all()).empty());
  wal.add(4, 1);
  wal.add(4, 2);
  wal.add_tail(2, 1, 8192);
  wal.add_history(7, "");
  wal.add_backup("b", 1, lsn_in(1, 0), lsn_in(1, 100));
  CHECK(known_timelines(wal.all()) == std::vector<TimelineId>{1, 2, 4, 7});
}

TEST_CASE("timeline 1 needs no history file and every other does", "[catalog]") {
  HandMadeWal wal;
  const auto first = timeline_path(wal.all(), 1);
  REQUIRE(first);
  CHECK(*first == std::vector<TimelineStretch>{{.timeline = 1, .begin = 0, .end = kEndOfTime}});
  CHECK_FALSE(timeline_path(wal.all(), 2));
  wal.add_history(2, kForkInSegment3);
  const auto second = timeline_path(wal.all(), 2);
  REQUIRE(second);
  REQUIRE(second->size() == 2);
  CHECK((*second)[0] == TimelineStretch{.timeline = 1, .begin = 0, .end = 0x380000});
  CHECK((*second)[1] == TimelineStretch{.timeline = 2, .begin = 0x380000, .end = kEndOfTime});
}

TEST_CASE("a damaged history file is as good as none", "[catalog]") {
  const std::string contents =
      GENERATE(std::string("garbage\n"), std::string("1\n"), std::string("2\t0/380000\titself\n"),
               std::string("9\t0/380000\tlater\n"), std::string("1\t0/zz\tno LSN\n"),
               std::string(100, '\0'), std::string("3\t0/100000\tb\n2\t0/200000\ta\n"));
  CAPTURE(contents);
  HandMadeWal wal;
  wal.add_history(2, contents);
  CHECK_FALSE(timeline_path(wal.all(), 2));
}

TEST_CASE("gaps are counted between the whole segments of one timeline", "[catalog]") {
  HandMadeWal wal;
  for (const std::uint64_t number : {2U, 3U, 7U, 9U})
    wal.add(1, number);
  wal.add(2, 5);  // another timeline's
  wal.add_tail(1, 4, 8192);
  const auto gaps = find_gaps(wal.all(), 1);
  REQUIRE(gaps.size() == 2);
  CHECK(gaps[0].after.to_string() == "000000010000000000000003");
  CHECK(gaps[0].before.to_string() == "000000010000000000000007");
  CHECK(gaps[0].missing == 3);
  CHECK(gaps[1].missing == 1);
  CHECK(find_gaps(wal.all(), 2).empty());
  CHECK(find_gaps(wal.all(), 3).empty());
}

TEST_CASE("the first segments that a backup needs are a gap where later ones are stored",
          "[catalog]") {
  HandMadeWal wal;
  for (const std::uint64_t number : {5U, 6U})
    wal.add(1, number);
  CHECK(find_gaps(wal.all(), 1).empty());
  wal.add_backup("b", 1, lsn_in(3, 0), lsn_in(3, 100));
  const auto gaps = find_gaps(wal.all(), 1);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].after.to_string() == "000000010000000000000002");
  CHECK(gaps[0].before.to_string() == "000000010000000000000005");
  CHECK(gaps[0].missing == 2);
}

TEST_CASE("a segment missing in front of the beginning of a later one is a gap", "[catalog]") {
  HandMadeWal wal;
  for (const std::uint64_t number : {2U, 3U})
    wal.add(1, number);
  wal.add_tail(1, 5, 8192);
  wal.add_backup("b", 1, lsn_in(2, 0), lsn_in(2, 100));
  const auto gaps = find_gaps(wal.all(), 1);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].after.to_string() == "000000010000000000000003");
  CHECK(gaps[0].before.to_string() == "000000010000000000000005");
  CHECK(gaps[0].missing == 1);
}

TEST_CASE("no gap lies between the last segment of a log and the first of the next", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 0xFFF);
  wal.add(1, 0x1000);
  CHECK(find_gaps(wal.all(), 1).empty());
  CHECK(follow(wal.all(), 1, lsn_in(0xFFF, 0)).segments.size() == 2);
}

TEST_CASE("the path begins in the middle of a segment and ends where the archive does",
          "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 3; ++number)
    wal.add(1, number);
  const Followed path = follow(wal.all(), 1, lsn_in(2, 0x28));
  CHECK(names(path) ==
        std::vector<std::string>{"000000010000000000000002", "000000010000000000000003"});
  CHECK(path.segments[0].begin == lsn_in(2, 0x28));
  CHECK(path.segments[0].end == lsn_in(3, 0));
  CHECK(path.segments[1].begin == lsn_in(3, 0));
  CHECK(path.missing.to_string() == "000000010000000000000004");
  CHECK_FALSE(path.behind_gap);
  CHECK(path.last_record == lsn_in(3, HandMadeWal::kLastRecord));
  CHECK(path.end_of_records == lsn_in(4, 0));
}

TEST_CASE("a path that finds nothing has no records", "[catalog]") {
  HandMadeWal wal;
  const Followed path = follow(wal.all(), 1, lsn_in(2, 0x28));
  CHECK(path.segments.empty());
  CHECK(path.missing.to_string() == "000000010000000000000002");
  CHECK_FALSE(path.behind_gap);
  CHECK(path.last_record == 0);
  CHECK(path.end_of_records == 0);
}

TEST_CASE("a path ends at a gap and knows what lies behind it", "[catalog]") {
  HandMadeWal wal;
  for (const std::uint64_t number : {1U, 2U, 6U, 7U})
    wal.add(1, number);
  const Followed path = follow(wal.all(), 1, lsn_in(1, 0));
  CHECK(path.segments.size() == 2);
  CHECK(path.missing.to_string() == "000000010000000000000003");
  REQUIRE(path.behind_gap);
  CHECK(path.behind_gap->to_string() == "000000010000000000000006");
}

TEST_CASE("segments in which no record starts are passed through", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 1);
  for (const std::uint64_t number : {2U, 3U}) {
    SegmentIndex& index = wal.add(1, number).index;
    index.first_record = index.last_record = index.end_of_records = 0;
  }
  const Followed path = follow(wal.all(), 1, lsn_in(1, 0));
  CHECK(path.segments.size() == 3);
  CHECK(path.last_record == lsn_in(1, HandMadeWal::kLastRecord));
}

TEST_CASE("a timeline's path takes its parent's segments up to the fork", "[catalog]") {
  HandMadeWal wal = forked();
  const Followed path = follow(wal.all(), 2, lsn_in(1, 0x28));
  CHECK(names(path) ==
        std::vector<std::string>{"000000010000000000000001", "000000010000000000000002",
                                 "000000020000000000000003", "000000020000000000000004"});
  CHECK(path.missing.to_string() == "000000020000000000000005");
  CHECK_FALSE(path.behind_gap);  // the parent's segment 5 is not on the path
}

TEST_CASE("a parent's path goes on behind the fork", "[catalog]") {
  HandMadeWal wal = forked();
  const Followed path = follow(wal.all(), 1, lsn_in(1, 0x28));
  CHECK(path.segments.size() == 5);
  CHECK(path.segments.back().row->name.to_string() == "000000010000000000000005");
}

TEST_CASE("the parent's segment that holds the fork stands in for the child's", "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 5; ++number)
    wal.add(1, number);
  wal.add_history(2, kForkInSegment3);
  const Followed path = follow(wal.all(), 2, lsn_in(1, 0x28));
  REQUIRE(path.segments.size() == 3);
  CHECK(path.segments[2].row->name.to_string() == "000000010000000000000003");
  CHECK(path.segments[2].end == 0x380000);
  CHECK(path.missing.timeline == 2);
  CHECK_FALSE(path.behind_gap);
}

TEST_CASE("the end of the records lies before the fork where a parent's segment stands in",
          "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 3; ++number)
    wal.add(1, number);
  wal.add_history(2, kForkInSegment3);
  const Followed path = follow(wal.all(), 2, lsn_in(1, 0x28));
  // Timeline 1 went on behind the fork; its records there are not on the path.
  CHECK(path.end_of_records <= 0x380000);
  CHECK(path.last_record < 0x380000);
}

TEST_CASE("the first segment of a timeline may be stored while a later one is not", "[catalog]") {
  HandMadeWal wal = forked();
  wal.add(2, 7);
  const Followed path = follow(wal.all(), 2, lsn_in(1, 0x28));
  CHECK(path.segments.size() == 4);
  CHECK(path.missing.to_string() == "000000020000000000000005");
  REQUIRE(path.behind_gap);
  CHECK(path.behind_gap->to_string() == "000000020000000000000007");
}

TEST_CASE("a parent's segment is no end while WAL of a grandchild lies behind it", "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 3; ++number)
    wal.add(1, number);
  wal.add_history(2, kForkInSegment3);
  wal.add_history(3, std::string(kForkInSegment3) + "2\t0/680000\tx\n");
  wal.add(3, 6);
  const Followed path = follow(wal.all(), 3, lsn_in(1, 0));
  CHECK(path.missing.to_string() == "000000020000000000000003");
  REQUIRE(path.behind_gap);
  CHECK(path.behind_gap->to_string() == "000000030000000000000006");
}

TEST_CASE("two forks in one segment: the newest timeline that is stored is taken", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 2);
  wal.add(1, 3);
  wal.add(2, 3);
  wal.add_history(3, "1\t0/320000\ta\n2\t0/340000\tb\n");
  CHECK(names(follow(wal.all(), 3, lsn_in(2, 0))).back() == "000000020000000000000003");
  wal.add(3, 3);
  wal.add(3, 4);
  const Followed path = follow(wal.all(), 3, lsn_in(2, 0));
  CHECK(names(path) == std::vector<std::string>{"000000010000000000000002",
                                                "000000030000000000000003",
                                                "000000030000000000000004"});
}

TEST_CASE("three timelines one after the other make one path", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 1);
  wal.add(1, 2);
  wal.add(2, 2);
  wal.add(2, 3);
  wal.add(2, 4);
  wal.add(5, 4);
  wal.add_history(5, "1\t0/280000\ta\n2\t0/480000\tb\n");
  CHECK(names(follow(wal.all(), 5, lsn_in(1, 0))) ==
        std::vector<std::string>{"000000010000000000000001", "000000020000000000000002",
                                 "000000020000000000000003", "000000050000000000000004"});
}

TEST_CASE("the longest beginning ends the path where its segment is missing", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 1);
  wal.add_tail(1, 2, 8192);
  wal.add_tail(1, 2, 80'000);
  wal.add_tail(1, 2, 24'576);
  const Followed path = follow(wal.all(), 1, lsn_in(1, 0));
  REQUIRE(path.segments.size() == 2);
  CHECK(path.segments[1].row->index.valid_end == lsn_in(2, 80'000));
  CHECK(path.end_of_records == lsn_in(2, 80'000));
  CHECK_FALSE(path.behind_gap);
}

TEST_CASE("a whole segment is taken before its beginnings", "[catalog]") {
  HandMadeWal wal;
  wal.add_tail(1, 2, 80'000);
  wal.add(1, 2);
  wal.add(1, 3);
  CHECK(follow(wal.all(), 1, lsn_in(2, 0)).segments.size() == 2);
}

TEST_CASE("the missing segment and the one behind the gap are two", "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 4; ++number)
    wal.add(1, number);
  std::erase_if(wal.segments, [](const SegmentRow& row) { return row.name.segment == 2; });
  wal.add_tail(1, 2, 80'000);
  const Followed path = follow(wal.all(), 1, lsn_in(1, 0));
  CHECK(path.segments.size() == 2);
  REQUIRE(path.behind_gap);
  CHECK(path.behind_gap->to_string() == "000000010000000000000003");
  CHECK(path.missing != *path.behind_gap);  // "X is missing, X is stored" helps nobody
}

TEST_CASE("recovery cannot enter a damaged segment", "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 4; ++number)
    wal.add(1, number);
  HandMadeWal::damage(wal.whole(1, 2), 80'000);
  const Followed path = follow(wal.all(), 1, lsn_in(1, 0));
  REQUIRE(path.segments.size() == 1);
  CHECK(path.damaged);
  CHECK(path.missing.to_string() == "000000010000000000000002");
  CHECK(path.behind_gap);
}

}  // namespace pitr
