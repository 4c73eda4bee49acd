#include "catalog/recovery_plan.h"

#include <catch2/catch.hpp>

#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::at;
using testing::HandMadeWal;
using testing::lsn_in;
using testing::postgres_time;
using Kind = RecoveryTarget::Kind;

namespace {

constexpr std::uint64_t kMiddle = 0x80000;

PlanRequest request(RecoveryTarget target) {
  return {.target = std::move(target), .now = at(100'000)};
}
PlanRequest to_time(int second, bool inclusive = true) {
  return request({.kind = Kind::kTime, .time = at(second), .inclusive = inclusive});
}
PlanRequest to_xid(std::uint64_t xid, bool inclusive = true) {
  return request({.kind = Kind::kXid, .xid = xid, .inclusive = inclusive});
}
PlanRequest to_lsn(Lsn lsn, bool inclusive = true) {
  return request({.kind = Kind::kLsn, .lsn = lsn, .inclusive = inclusive});
}
PlanRequest to_name(const std::string& name) {
  return request({.kind = Kind::kName, .name = name});
}
PlanRequest on_timeline(PlanRequest asked, TimelineId timeline) {
  asked.timeline = timeline;
  return asked;
}
PlanRequest from_backup(PlanRequest asked, const std::string& id) {
  asked.backup_id = id;
  return asked;
}

std::string code(const RecoveryPlan& plan) { return plan.reason ? plan.reason->code : "reachable"; }

std::uint32_t last_xid(const RecoveryPlan& plan) {
  return plan.commit_before ? plan.commit_before->xid : 0;
}

RestorePoint restore_point(const std::string& name, Lsn start, int second) {
  return {.start = start, .end = start + 104, .time = postgres_time(second), .name = name};
}

// A backup in segment 1, then commits 701 to 706 at 10, 20, … 60 seconds, two in each segment.
HandMadeWal usual() {
  HandMadeWal wal;
  wal.add(1, 1, {{.offset = 0x100, .second = -20, .xid = 690}});
  wal.add(1, 2,
          {{.offset = 0x1000, .second = 10, .xid = 701},
           {.offset = kMiddle, .second = 20, .xid = 702}});
  wal.add(1, 3,
          {{.offset = 0x1000, .second = 30, .xid = 703},
           {.offset = kMiddle, .second = 40, .xid = 704}});
  wal.add(1, 4,
          {{.offset = 0x1000, .second = 50, .xid = 705},
           {.offset = kMiddle, .second = 60, .xid = 706}});
  wal.add_backup("first", 1, lsn_in(1, 0x28), lsn_in(1, 0x200));
  return wal;
}

// Timeline 2 forks off at 0/380000. After the fork timeline 1 has the commits 704 (40 s, in the
// same segment) and 705, 706; timeline 2 has 804 (70 s) and 805 (80 s).
HandMadeWal forked() {
  HandMadeWal wal = usual();
  wal.add(2, 3,
          {{.offset = 0x1000, .second = 30, .xid = 703},
           {.offset = kMiddle + 0x1000, .second = 70, .xid = 804}});
  wal.add(2, 4, {{.offset = 0x1000, .second = 80, .xid = 805}});
  wal.add_history(2, "1\t0/380000\tno recovery target specified\n");
  return wal;
}

}  // namespace

TEST_CASE("a moment between two commits contains the one before", "[catalog]") {
  HandMadeWal wal = usual();
  const RecoveryPlan plan = wal.plan(to_time(35));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.backup->id == "first");
  CHECK(plan.timeline == 1);
  CHECK(plan.timeline_path == std::vector<TimelineId>{1});
  CHECK(last_xid(plan) == 703);
  REQUIRE(plan.commit_after);
  CHECK(plan.commit_after->xid == 704);
  CHECK(plan.stop.kind == PlannedStop::Kind::kCommit);
  CHECK(plan.stop.xid == 703U);
  CHECK(plan.stop.time == postgres_time(30));
  CHECK(plan.stop.lsn == lsn_in(3, 0x1000));
  CHECK(plan.written.kind == Kind::kTime);
  CHECK(plan.first_segment == "000000010000000000000001");
  CHECK(plan.last_segment == "000000010000000000000003");
  CHECK(plan.segment_count == 3);
  CHECK(plan.bytes_to_fetch == 1'000'000 + 3 * 1000);
  CHECK(plan.windows.empty());
}

TEST_CASE("a commit at the very target is contained when the target is inclusive", "[catalog]") {
  HandMadeWal wal = usual();
  CHECK(last_xid(wal.plan(to_time(30))) == 703);
  CHECK(last_xid(wal.plan(to_time(30, false))) == 702);
}

TEST_CASE("recovery stops at the first commit past the target in LSN order", "[catalog]") {
  // Commit times are not monotonic: a commit may carry an earlier time than the one before it.
  HandMadeWal wal;
  wal.add(1, 1);
  wal.add(1, 2,
          {{.offset = 0x1000, .second = 10, .xid = 701},
           {.offset = 0x2000, .second = 40, .xid = 702},
           {.offset = 0x3000, .second = 20, .xid = 703}});
  wal.add(1, 3, {{.offset = 0x1000, .second = 50, .xid = 704}});
  wal.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(1, 0x200));
  const RecoveryPlan plan = wal.plan(to_time(30));
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 701);
  CHECK(plan.commit_after->xid == 702);
  CHECK(last_xid(wal.plan(to_time(45))) == 703);
}

TEST_CASE("an abort past the target stops recovery, too", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 1);
  wal.add(1, 2,
          {{.offset = 0x1000, .second = 10, .xid = 701},
           {.offset = 0x2000, .second = 40, .xid = 702, .is_commit = false},
           {.offset = 0x3000, .second = 20, .xid = 703}});
  wal.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(1, 0x200));
  const RecoveryPlan plan = wal.plan(to_time(30));
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 701);
  CHECK(plan.commit_after->xid == 703);  // the next commit that is lost
}

TEST_CASE("before the first commit after the backup there is no commit to name", "[catalog]") {
  HandMadeWal wal = usual();
  wal.segments.erase(wal.segments.begin());
  wal.add(1, 1);
  const RecoveryPlan plan = wal.plan(to_time(5));
  REQUIRE(code(plan) == "reachable");
  CHECK_FALSE(plan.commit_before);
  CHECK(plan.stop.kind == PlannedStop::Kind::kLsn);
  REQUIRE(plan.commit_after);
  CHECK(plan.commit_after->xid == 701);
}

TEST_CASE("of a plan only the segments that the target needs are read", "[catalog]") {
  HandMadeWal wal;
  for (std::uint64_t number = 1; number <= 50; ++number) {
    wal.add(1, number,
            {{.offset = 0x1000,
              .second = static_cast<int>(number) * 10,
              .xid = static_cast<std::uint32_t>(number)}});
  }
  wal.add_backup("b", 1, lsn_in(1, 0x2000), lsn_in(1, 0x3000));
  REQUIRE(code(wal.plan(to_time(255))) == "reachable");
  CHECK(wal.segments_read <= 3);
}

TEST_CASE("a commit that ends in the next segment is found, and that segment is needed",
          "[catalog]") {
  HandMadeWal wal = usual();
  wal.straddle(1, 2, 777, 25);
  const RecoveryPlan at_it = wal.plan(to_time(27));
  REQUIRE(code(at_it) == "reachable");
  CHECK(last_xid(at_it) == 777);

  // The record at which recovery stops must be whole before it can be looked at.
  const RecoveryPlan before_it = wal.plan(to_time(22));
  REQUIRE(code(before_it) == "reachable");
  CHECK(last_xid(before_it) == 702);
  REQUIRE(before_it.commit_after);
  CHECK(before_it.commit_after->xid == 777);
  CHECK(before_it.last_segment == "000000010000000000000003");
}

TEST_CASE("the segment in which the wanted transaction's record ends is needed", "[catalog]") {
  HandMadeWal wal = usual();
  wal.straddle(1, 2, 777, 25);
  for (const bool inclusive : {true, false}) {
    CAPTURE(inclusive);
    const RecoveryPlan plan = wal.plan(to_xid(777, inclusive));
    REQUIRE(code(plan) == "reachable");
    CHECK(plan.last_segment == "000000010000000000000003");
  }
}

TEST_CASE("a target before the backup is refused with what can be reached instead", "[catalog]") {
  HandMadeWal wal = usual();
  wal.rows.backups.front().last_commit_at = at(-20);
  const RecoveryPlan plan = wal.plan(to_time(-30));
  CHECK(code(plan) == "before_backup");
  CHECK_FALSE(plan.backup);
  REQUIRE(plan.windows.size() == 1);
  CHECK(plan.windows[0].to_time == at(60));
  CHECK(plan.nearest_after == at(-20));
  CHECK_FALSE(plan.nearest_before);
}

TEST_CASE("without a backup nothing can be reached", "[catalog]") {
  HandMadeWal wal;
  CHECK(code(wal.plan(to_time(30))) == "no_backup");
  wal.add(1, 1);
  for (const PlanRequest& asked : {to_time(30), to_xid(3), to_lsn(lsn_in(1, 100)), to_name("x"),
                                   request({}), request({.kind = Kind::kImmediate})}) {
    const RecoveryPlan plan = wal.plan(asked);
    CHECK(code(plan) == "no_backup");
    CHECK_FALSE(plan.reason->message.empty());
    CHECK(plan.windows.empty());
  }
}

TEST_CASE("a backup without its own WAL does not count", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 1);
  wal.add(1, 3);
  wal.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(2, 0x200));
  CHECK(code(wal.plan(request({.kind = Kind::kImmediate}))) == "no_backup");
  CHECK(reachable_windows(wal.all()).empty());
  wal.add_tail(1, 2, 0x100);
  CHECK(code(wal.plan(request({.kind = Kind::kImmediate}))) == "no_backup");
  wal.add_tail(1, 2, 0x300);
  CHECK(code(wal.plan(request({.kind = Kind::kImmediate}))) == "reachable");
}

TEST_CASE("a backup that stops at a segment's end needs no further one", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 1);
  wal.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(2, 0));
  const RecoveryPlan plan = wal.plan(request({.kind = Kind::kImmediate}));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.last_segment == "000000010000000000000001");
  CHECK(plan.segment_count == 1);
}

TEST_CASE("a target behind a gap is refused and the gap is named", "[catalog]") {
  HandMadeWal wal = usual();
  std::erase_if(wal.segments, [](const SegmentRow& row) { return row.name.segment == 3; });
  for (const PlanRequest& asked :
       {to_time(55), to_xid(706), to_lsn(lsn_in(4, 0x1000)), to_name("later")}) {
    const RecoveryPlan plan = wal.plan(asked);
    CHECK(code(plan) == "wal_gap");
    CHECK_THAT(plan.reason->message, Catch::Contains("000000010000000000000003"));
    CHECK_THAT(plan.reason->message, Catch::Contains("000000010000000000000004"));
  }
  CHECK(last_xid(wal.plan(to_time(15))) == 701);
  CHECK(wal.plan(to_time(55)).nearest_before == at(20));
}

TEST_CASE("a moment that only the commits behind a gap could confirm is refused", "[catalog]") {
  HandMadeWal wal = usual();
  std::erase_if(wal.segments, [](const SegmentRow& row) { return row.name.segment == 3; });
  CHECK(code(wal.plan(to_time(25))) == "wal_gap");
}

TEST_CASE("a damaged segment is not called missing and stored at once", "[catalog]") {
  HandMadeWal wal = usual();
  HandMadeWal::damage(wal.whole(1, 3), 0x2000);
  const RecoveryPlan plan = wal.plan(to_time(45));
  REQUIRE(plan.reason);
  const std::string& message = plan.reason->message;
  const std::string stored = "000000010000000000000004";
  CAPTURE(message);
  const std::size_t first = message.find(stored);
  CHECK((first == std::string::npos || message.find(stored, first + 1) == std::string::npos));
}

TEST_CASE("the end of the WAL is the gap when that is wanted", "[catalog]") {
  HandMadeWal wal = usual();
  std::erase_if(wal.segments, [](const SegmentRow& row) { return row.name.segment == 3; });
  PlanRequest asked = request({});
  CHECK(code(wal.plan(asked)) == "wal_gap");
  asked.until_gap = true;
  const RecoveryPlan plan = wal.plan(asked);
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 702);
  // pitr-restore never lets recovery end at a gap: a target must end it before.
  CHECK(plan.written.kind == Kind::kLsn);
  CHECK(plan.written.lsn == lsn_in(2, HandMadeWal::kLastRecord));
  CHECK(plan.written.inclusive);
  REQUIRE(plan.warnings.size() == 1);
  CHECK_THAT(plan.warnings[0], Catch::Contains("\"000000010000000000000004\" on, is left out"));
}

TEST_CASE("the record that ends a backup can be an inclusive target, not an exclusive one",
          "[catalog]") {
  HandMadeWal wal = usual();
  WalReader reader = wal.reader();
  const RecordPlace backup_end{.start = lsn_in(1, 0x1d8), .end = lsn_in(1, 0x200)};
  reader.find_record = [&](const SegmentRow&, Lsn lsn) {
    if (lsn <= lsn_in(1, 0x100))
      return std::optional(RecordPlace{lsn_in(1, 0x100), lsn_in(1, 0x1d8)});
    return std::optional(backup_end);
  };
  const auto plan = [&](Lsn lsn, bool inclusive) {
    return plan_recovery(wal.all(), to_lsn(lsn, inclusive), reader);
  };
  for (const Lsn lsn : {backup_end.start, lsn_in(1, 0x101)}) {
    const RecoveryPlan reached = plan(lsn, true);
    REQUIRE(code(reached) == "reachable");
    CHECK(reached.stop.lsn == backup_end.start);
    CHECK(last_xid(reached) == 690);
    CHECK(code(plan(lsn, false)) == "before_backup");
  }
  CHECK(code(plan(lsn_in(1, 0x100), true)) == "before_backup");
}

TEST_CASE("a target between a drop's removal of files and its commit ends with the commit before",
          "[catalog]") {
  HandMadeWal wal = usual();
  SegmentIndex& index = wal.whole(1, 3).index;
  index.databases.push_back({.start = lsn_in(3, 0x2000), .oid = 5, .is_drop = true});
  index.restore_points.push_back(restore_point("amid", lsn_in(3, 0x3000), 35));
  index.restore_points.push_back(restore_point("early", lsn_in(3, 0x1100), 31));
  for (const PlanRequest& asked : {to_name("amid"), to_lsn(lsn_in(3, 0x3000), false)}) {
    const RecoveryPlan plan = wal.plan(asked);
    REQUIRE(code(plan) == "reachable");
    CHECK(last_xid(plan) == 703);
    CHECK(plan.written.kind == Kind::kLsn);
    CHECK(plan.written.inclusive);
    CHECK(plan.written.lsn == lsn_in(3, 0x1000));
    CHECK(plan.stop.kind == PlannedStop::Kind::kCommit);
    CHECK(plan.stop.xid == 703U);
    CHECK(plan.warnings.size() == 1);
  }
  CHECK(wal.plan(to_name("early")).written.kind == Kind::kName);
  // Once the drop has committed it is wanted.
  const RecoveryPlan behind = wal.plan(to_lsn(lsn_in(3, kMiddle)));
  CHECK(last_xid(behind) == 704);
  CHECK(behind.written.lsn == lsn_in(3, kMiddle));
  CHECK(behind.warnings.empty());
}

TEST_CASE("the future cannot be reached", "[catalog]") {
  HandMadeWal wal = usual();
  PlanRequest asked = to_time(200);
  asked.now = at(100);
  const RecoveryPlan plan = wal.plan(asked);
  CHECK(code(plan) == "in_the_future");
  CHECK(plan.nearest_before == at(60));
}

TEST_CASE("after the last commit recovery ends at the last whole record", "[catalog]") {
  HandMadeWal wal = usual();
  for (const int second : {60, 61, 99'999}) {
    CAPTURE(second);
    const RecoveryPlan plan = wal.plan(to_time(second));
    REQUIRE(code(plan) == "reachable");
    CHECK(plan.target.kind == Kind::kTime);
    CHECK(plan.written.kind == Kind::kLsn);
    CHECK(plan.written.lsn == lsn_in(4, HandMadeWal::kLastRecord));
    CHECK(plan.written.inclusive);
    CHECK(plan.stop.kind == PlannedStop::Kind::kEndOfWal);
    CHECK(last_xid(plan) == 706);
    CHECK_FALSE(plan.commit_after);
    REQUIRE_FALSE(plan.warnings.empty());
    CHECK_THAT(plan.warnings.front(), Catch::Contains("706"));
    CHECK(plan.last_segment == "000000010000000000000004");
  }
}

TEST_CASE("the last whole record may lie in a tail", "[catalog]") {
  HandMadeWal wal = usual();
  wal.add_tail(1, 5, 0x9000, {{.offset = 0x1000, .second = 65, .xid = 707}});
  const RecoveryPlan plan = wal.plan(to_time(70));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.written.lsn == lsn_in(5, 0x9000 - 100));
  CHECK(last_xid(plan) == 707);
}

TEST_CASE("an exclusive target at the last commit leaves that commit out", "[catalog]") {
  HandMadeWal wal = usual();
  const RecoveryPlan plan = wal.plan(to_time(60, false));
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 705);
  CHECK(plan.written.kind == Kind::kTime);
}

TEST_CASE("the end of the WAL needs no target", "[catalog]") {
  HandMadeWal wal = usual();
  const RecoveryPlan plan = wal.plan(request({}));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.written.kind == Kind::kEnd);
  CHECK(plan.stop.kind == PlannedStop::Kind::kEndOfWal);
  CHECK(plan.stop.lsn == lsn_in(5, 0));
  CHECK(last_xid(plan) == 706);
  CHECK(plan.segment_count == 4);
}

TEST_CASE("where a server shall pause at the end of the WAL, that is a target", "[catalog]") {
  HandMadeWal wal = usual();
  PlanRequest asked = request({});
  asked.end_as_target = true;
  const RecoveryPlan plan = wal.plan(asked);
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.target.kind == Kind::kEnd);
  CHECK(plan.written.kind == Kind::kLsn);
  CHECK(plan.written.lsn == lsn_in(4, HandMadeWal::kLastRecord));
  CHECK(plan.written.inclusive);
  CHECK(plan.stop.kind == PlannedStop::Kind::kEndOfWal);
  CHECK(last_xid(plan) == 706);
}

TEST_CASE("immediate stops where the backup is consistent", "[catalog]") {
  HandMadeWal wal = usual();
  const RecoveryPlan plan = wal.plan(request({.kind = Kind::kImmediate}));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.stop.kind == PlannedStop::Kind::kConsistency);
  CHECK(plan.stop.lsn == lsn_in(1, 0x200));
  CHECK(last_xid(plan) == 690);
  CHECK(plan.segment_count == 1);
}

TEST_CASE("a transaction is contained when the target is inclusive", "[catalog]") {
  HandMadeWal wal = usual();
  const RecoveryPlan with = wal.plan(to_xid(704));
  REQUIRE(code(with) == "reachable");
  CHECK(last_xid(with) == 704);
  CHECK(with.commit_after->xid == 705);
  CHECK(with.last_segment == "000000010000000000000003");
  const RecoveryPlan without = wal.plan(to_xid(704, false));
  REQUIRE(code(without) == "reachable");
  CHECK(last_xid(without) == 703);
  CHECK(without.commit_after->xid == 704);
}

TEST_CASE("an aborted transaction can be stopped at, with a warning", "[catalog]") {
  HandMadeWal wal = usual();
  wal.add(1, 5, {{.offset = 0x1000, .second = 70, .xid = 707, .is_commit = false}});
  const RecoveryPlan plan = wal.plan(to_xid(707));
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 706);
  CHECK_FALSE(plan.warnings.empty());
}

TEST_CASE("a transaction that never ended after the backup is not found", "[catalog]") {
  HandMadeWal wal = usual();
  CHECK(code(wal.plan(to_xid(9999))) == "xid_not_found");
  CHECK(code(wal.plan(to_xid(690))) == "before_backup");  // between redo and consistency
}

TEST_CASE("equal transaction ids of two epochs are told apart", "[catalog]") {
  constexpr std::uint64_t kEpoch = 1ULL << 32;
  HandMadeWal wal;
  wal.add(1, 1).index.checkpoints = {{.next_xid = 5000}};
  wal.add(1, 2, {{.offset = 0x1000, .second = 10, .xid = 6000}}).index.checkpoints = {
      {.next_xid = 5500}};
  wal.add(1, 3).index.checkpoints = {{.next_xid = kEpoch + 5000}};
  wal.add(1, 4, {{.offset = 0x1000, .second = 20, .xid = 6000}}).index.checkpoints = {
      {.next_xid = kEpoch + 5500}};
  wal.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(1, 0x200));
  const RecoveryPlan early = wal.plan(to_xid(6000));
  REQUIRE(code(early) == "reachable");
  CHECK(early.stop.lsn == lsn_in(2, 0x1000));
  const RecoveryPlan late = wal.plan(to_xid(kEpoch + 6000));
  REQUIRE(code(late) == "reachable");
  CHECK(late.stop.lsn == lsn_in(4, 0x1000));
  CHECK(late.next_xid == kEpoch + 5500);
  CHECK(code(wal.plan(to_xid(2 * kEpoch + 6000))) == "xid_not_found");
}

TEST_CASE("PostgreSQL, which compares 32 bits, is not told an id that an earlier epoch has, too",
          "[catalog]") {
  constexpr std::uint64_t kEpoch = 1ULL << 32;
  HandMadeWal wal;
  wal.add(1, 1).index.checkpoints = {{.next_xid = 5000}};
  wal.add(1, 2, {{.offset = 0x1000, .second = 10, .xid = 6000}});
  wal.add(1, 3, {{.offset = 0x1000, .second = 20, .xid = 6000}}).index.checkpoints = {
      {.next_xid = kEpoch + 5500}};
  wal.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(1, 0x200));
  const RecoveryPlan plan = wal.plan(to_xid(kEpoch + 6000));
  // It would stop at the first: an LSN names the second, or the plan says no.
  CHECK((!plan.reachable() || plan.written.kind != Kind::kXid));
}

TEST_CASE("an LSN is reached by the record that starts there", "[catalog]") {
  HandMadeWal wal = usual();
  const RecoveryPlan with = wal.plan(to_lsn(lsn_in(3, 0x1000)));
  REQUIRE(code(with) == "reachable");
  CHECK(last_xid(with) == 703);
  const RecoveryPlan without = wal.plan(to_lsn(lsn_in(3, 0x1000), false));
  REQUIRE(code(without) == "reachable");
  CHECK(last_xid(without) == 702);
  CHECK(without.commit_after->xid == 703);
}

TEST_CASE("an LSN at a page's start means the record behind the page's header", "[catalog]") {
  // pg_current_wal_lsn() gives such an LSN when the last record filled its page.
  HandMadeWal wal = usual();
  wal.add(1, 5, {{.offset = 0x2000 + kShortPageHeaderSize, .second = 70, .xid = 707}});
  const RecoveryPlan plan = wal.plan(to_lsn(lsn_in(5, 0x2000)));
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 707);
  CHECK(last_xid(wal.plan(to_lsn(lsn_in(5, 0x2000), false))) == 706);
}

TEST_CASE("an LSN outside what is archived is refused", "[catalog]") {
  HandMadeWal wal = usual();
  CHECK(code(wal.plan(to_lsn(lsn_in(1, 0x100)))) == "before_backup");
  CHECK(code(wal.plan(to_lsn(lsn_in(9, 0)))) == "after_end");
  CHECK_FALSE(wal.plan(to_lsn(lsn_in(1, 0x100))).nearest_before);
  CHECK(wal.plan(to_lsn(lsn_in(1, 0x100))).nearest_after.has_value());
  CHECK(wal.plan(to_lsn(lsn_in(9, 0))).nearest_before == at(60));
  CHECK_FALSE(wal.plan(to_lsn(lsn_in(9, 0))).nearest_after);
  CHECK(code(wal.plan(to_lsn(lsn_in(4, HandMadeWal::kLastRecord)))) == "reachable");
  CHECK(code(wal.plan(to_lsn(lsn_in(4, HandMadeWal::kLastRecord + 8)))) == "after_end");
}

TEST_CASE("a restore point is reached", "[catalog]") {
  HandMadeWal wal = usual();
  wal.whole(1, 3).index.restore_points = {restore_point("before_drop", lsn_in(3, 0x4000), 35)};
  const RecoveryPlan plan = wal.plan(to_name("before_drop"));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.stop.kind == PlannedStop::Kind::kRestorePoint);
  CHECK(plan.stop.lsn == lsn_in(3, 0x4000));
  CHECK(plan.stop.time == postgres_time(35));
  CHECK(last_xid(plan) == 703);
  CHECK(plan.written.name == "before_drop");
  CHECK(plan.warnings.empty());
  CHECK(code(wal.plan(to_name("before_dro"))) == "restore_point_not_found");
}

TEST_CASE("of two restore points with one name the first after the backup counts", "[catalog]") {
  HandMadeWal wal = usual();
  wal.whole(1, 2).index.restore_points = {restore_point("nightly", lsn_in(2, 0x4000), 15)};
  wal.whole(1, 4).index.restore_points = {restore_point("nightly", lsn_in(4, 0x4000), 55)};
  const RecoveryPlan plan = wal.plan(to_name("nightly"));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.stop.lsn == lsn_in(2, 0x4000));
  REQUIRE(plan.warnings.size() == 1);
  CHECK_THAT(plan.warnings[0], Catch::Contains("2 times"));

  wal.add_backup("second", 1, lsn_in(3, 0x28), lsn_in(3, 0x200));
  const RecoveryPlan later = wal.plan(to_name("nightly"));
  REQUIRE(code(later) == "reachable");
  CHECK(later.backup->id == "second");
  CHECK(later.stop.lsn == lsn_in(4, 0x4000));
  CHECK(later.warnings.empty());
}

TEST_CASE("a restore point from before the backup is not reached", "[catalog]") {
  HandMadeWal wal = usual();
  wal.whole(1, 1).index.restore_points = {restore_point("during", lsn_in(1, 0x80), -10)};
  CHECK(code(wal.plan(to_name("during"))) == "before_backup");
  wal.whole(1, 1).index.restore_points = {restore_point("earlier", lsn_in(1, 0x10), -30)};
  CHECK(code(wal.plan(to_name("earlier"))) == "restore_point_not_found");
}

TEST_CASE("the newest backup that serves is taken", "[catalog]") {
  HandMadeWal wal = usual();
  wal.add_backup("second", 1, lsn_in(3, 0x2000), lsn_in(3, 0x2800), 33);
  CHECK(wal.plan(to_time(45)).backup->id == "second");
  CHECK(wal.plan(to_time(15)).backup->id == "first");
  CHECK(wal.plan(to_xid(702)).backup->id == "first");
  CHECK(wal.plan(to_lsn(lsn_in(3, 0x1000))).backup->id == "first");
  CHECK(wal.plan(request({.kind = Kind::kImmediate})).backup->id == "second");
}

TEST_CASE("a backup with bad pages serves only where no other does, and with a warning",
          "[catalog]") {
  HandMadeWal wal = usual();
  wal.add_backup("second", 1, lsn_in(3, 0x2000), lsn_in(3, 0x2800), 33).page_errors = {
      {.path = "base/5/16384", .block = 7}};
  CHECK(wal.plan(to_time(45)).backup->id == "first");
  CHECK(wal.plan(to_time(45)).warnings.empty());
  const RecoveryPlan named = wal.plan(from_backup(to_time(45), "second"));
  REQUIRE(named.warnings.size() == 1);
  CHECK_THAT(named.warnings[0], Catch::Contains("pages that fail their checksums"));
  std::erase_if(wal.rows.backups, [](const BackupSummary& backup) { return backup.id == "first"; });
  CHECK(wal.plan(to_time(45)).backup->id == "second");
}

TEST_CASE("a backup serves only when no commit in it is later than the target", "[catalog]") {
  HandMadeWal wal = usual();
  // Redo before the commit 703 (30 s), consistent only after it.
  wal.add_backup("second", 1, lsn_in(3, 0x28), lsn_in(3, 0x2000), 33);
  CHECK(wal.plan(to_time(25)).backup->id == "first");
  CHECK(wal.plan(to_time(30)).backup->id == "second");
}

TEST_CASE("a named backup is taken or the plan fails", "[catalog]") {
  HandMadeWal wal = usual();
  wal.add_backup("second", 1, lsn_in(3, 0x2000), lsn_in(3, 0x2800), 33);
  CHECK(wal.plan(from_backup(to_time(45), "first")).backup->id == "first");
  CHECK(last_xid(wal.plan(from_backup(to_time(45), "first"))) == 704);
  CHECK_FALSE(wal.plan(from_backup(to_time(15), "second")).reachable());
  const RecoveryPlan unknown = wal.plan(from_backup(to_time(45), "third"));
  CHECK(code(unknown) == "no_backup");
  CHECK_THAT(unknown.reason->message, Catch::Contains("third"));
}

TEST_CASE("a moment is looked for on the newest timeline first", "[catalog]") {
  HandMadeWal wal = forked();
  const RecoveryPlan plan = wal.plan(to_time(75));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.timeline == 2);
  CHECK(plan.timeline_path == std::vector<TimelineId>{1, 2});
  CHECK(last_xid(plan) == 804);
  CHECK(plan.last_segment == "000000020000000000000004");
  CHECK(plan.segment_count == 4);
}

TEST_CASE("what the parent committed after the fork is not on the child's path", "[catalog]") {
  HandMadeWal wal = forked();
  CHECK(last_xid(wal.plan(to_time(45))) == 703);
  CHECK(last_xid(wal.plan(on_timeline(to_time(45), 1))) == 704);
  CHECK(wal.plan(on_timeline(to_time(45), 1)).timeline == 1);
}

TEST_CASE("what only an older timeline has is found there", "[catalog]") {
  HandMadeWal wal = forked();
  CHECK(wal.plan(to_xid(706)).timeline == 1);
  CHECK(wal.plan(to_xid(805)).timeline == 2);
  CHECK(code(wal.plan(on_timeline(to_xid(706), 2))) == "xid_not_found");
  CHECK(code(wal.plan(on_timeline(to_xid(805), 1))) == "xid_not_found");
  PlanRequest asked = to_xid(706);
  asked.newest_timeline = true;
  CHECK(code(wal.plan(asked)) == "xid_not_found");
}

TEST_CASE("the end of the WAL is that of the newest timeline", "[catalog]") {
  HandMadeWal wal = forked();
  const RecoveryPlan newest = wal.plan(request({}));
  REQUIRE(code(newest) == "reachable");
  CHECK(newest.timeline == 2);
  CHECK(last_xid(newest) == 805);
  CHECK(last_xid(wal.plan(on_timeline(request({}), 1))) == 706);
}

TEST_CASE("the end of the WAL from a named backup is that of the newest timeline it leads to",
          "[catalog]") {
  HandMadeWal wal = forked();
  wal.add_backup("abandoned", 1, lsn_in(4, 0x28), lsn_in(4, 0x200));
  const RecoveryPlan plan = wal.plan(from_backup(request({}), "abandoned"));
  REQUIRE(code(plan) == "reachable");
  CHECK(plan.timeline == 1);
  CHECK(last_xid(plan) == 706);
  CHECK(wal.plan(from_backup(request({}), "first")).timeline == 2);
  PlanRequest asked = from_backup(request({}), "abandoned");
  asked.newest_timeline = true;
  const RecoveryPlan refused = wal.plan(asked);
  CHECK(code(refused) == "no_backup");
  CHECK_THAT(refused.reason->message, Catch::Contains("path to timeline 2"));
}

TEST_CASE("where an older timeline goes on after the newest one ends, that is said", "[catalog]") {
  HandMadeWal wal = forked();
  CHECK(wal.plan(request({})).warnings.empty());  // the newest one's commits are later
  wal.add(1, 5, {{.offset = 0x1000, .second = 90, .xid = 707}});
  for (const PlanRequest& asked : {request({}), to_time(95)}) {
    const RecoveryPlan plan = wal.plan(asked);
    CHECK(plan.timeline == 2);
    REQUIRE_FALSE(plan.warnings.empty());
    CHECK_THAT(plan.warnings.back(), Catch::Contains("later commits are on timeline 1") &&
                                         Catch::Contains("transaction 707"));
  }
  CHECK(wal.plan(on_timeline(request({}), 2)).warnings.empty());
}

TEST_CASE("a timeline without its history file cannot be reached", "[catalog]") {
  HandMadeWal wal = forked();
  wal.rows.histories.clear();
  const RecoveryPlan plan = wal.plan(on_timeline(to_time(75), 2));
  CHECK(code(plan) == "no_backup");
  CHECK_THAT(plan.reason->message, Catch::Contains("history file"));
}

TEST_CASE("a backup taken after the fork is not on the other timeline", "[catalog]") {
  HandMadeWal wal = forked();
  wal.add_backup("old_primary", 1, lsn_in(4, 0x28), lsn_in(4, 0x200), 45);
  CHECK(wal.plan(on_timeline(to_time(75), 2)).backup->id == "first");
  CHECK(wal.plan(on_timeline(to_time(55), 1)).backup->id == "old_primary");
  CHECK_FALSE(wal.plan(from_backup(on_timeline(to_time(75), 2), "old_primary")).reachable());
}

TEST_CASE("where a parent's segment stands in, nothing behind the fork is replayed", "[catalog]") {
  // A standby was promoted and has archived no segment yet; the old primary lived on.
  HandMadeWal wal = usual();
  wal.add_history(2, "1\t0/380000\tno recovery target specified\n");
  const RecoveryPlan plan = wal.plan(on_timeline(to_time(90), 2));
  REQUIRE(code(plan) == "reachable");
  CHECK(last_xid(plan) == 703);
  CHECK(plan.written.kind == Kind::kLsn);
  CHECK(wal.plan(on_timeline(request({}), 2)).written.kind == Kind::kLsn);
  // Inclusive at or past the fork would replay records that timeline 2 never had.
  CHECK(plan.written.lsn <= 0x380000);
  CHECK((plan.written.lsn < 0x380000 || !plan.written.inclusive));
  for (const ReachableWindow& window : reachable_windows(wal.all())) {
    if (window.timeline == 2) CHECK(window.to_time <= at(30));
  }
}

TEST_CASE("a gap on the newest timeline is not hidden by the end of an abandoned one",
          "[catalog]") {
  HandMadeWal wal = forked();
  std::erase_if(wal.segments, [](const SegmentRow& row) {
    return row.name.timeline == 2 && row.name.segment == 4;
  });
  wal.add(2, 5, {{.offset = 0x1000, .second = 90, .xid = 806}});
  CHECK(code(wal.plan(to_time(85))) == "wal_gap");
}

TEST_CASE("a window lasts from the backup to the last commit of each timeline", "[catalog]") {
  HandMadeWal wal = forked();
  const auto windows = reachable_windows(wal.all());
  REQUIRE(windows.size() == 2);
  CHECK(windows[0].timeline == 1);
  CHECK(windows[0].backup_id == "first");
  CHECK(windows[0].from_lsn == lsn_in(1, 0x200));
  CHECK(windows[0].to_lsn == lsn_in(5, 0));
  CHECK(windows[0].to_time == at(60));
  CHECK(windows[1].timeline == 2);
  CHECK(windows[1].to_time == at(80));
}

TEST_CASE("a window ends at a gap, and one without a commit has no end", "[catalog]") {
  HandMadeWal wal = usual();
  std::erase_if(wal.segments, [](const SegmentRow& row) { return row.name.segment == 3; });
  auto windows = reachable_windows(wal.all());
  REQUIRE(windows.size() == 1);
  CHECK(windows[0].to_time == at(20));
  CHECK(windows[0].to_lsn == lsn_in(3, 0));

  HandMadeWal quiet;
  quiet.add(1, 1);
  quiet.add_backup("b", 1, lsn_in(1, 0x28), lsn_in(1, 0x200));
  windows = reachable_windows(quiet.all());
  REQUIRE(windows.size() == 1);
  CHECK_FALSE(windows[0].to_time);
  CHECK(windows[0].from_time == at(0));
  CHECK(reachable_windows(HandMadeWal().all()).empty());
}

}  // namespace pitr
