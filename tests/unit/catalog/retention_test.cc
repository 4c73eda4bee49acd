#include "catalog/retention.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::at;
using testing::HandMadeWal;
using testing::lsn_in;

namespace {

constexpr int kHour = 3600;
constexpr int kDay = 24 * kHour;
// at(0) is 2026-11-18, a Wednesday, 11:06:40 UTC: this is the midnight after it.
constexpr int kMidnight = 12 * kHour + 53 * 60 + 20;
constexpr std::uint64_t kMiddle = 0x80000;

int noon(int day) { return kMidnight + day * kDay + 12 * kHour; }

// One segment a day, named by the day: a commit at noon, archived an hour later. The backup of a
// day, taken early in the morning, begins in that day's segment.
struct World {
  HandMadeWal wal;

  SegmentRow& day(int number, TimelineId timeline = 1) {
    SegmentRow& row =
        wal.add(timeline, static_cast<std::uint64_t>(number),
                {{.offset = kMiddle, .second = noon(number), .xid = 700 + unsigned(number)}});
    row.archived_at = at(noon(number) + kHour);
    return row;
  }
  void days(int first, int last, TimelineId timeline = 1) {
    for (int number = first; number <= last; ++number)
      day(number, timeline);
  }
  BackupSummary& backup(int number, TimelineId timeline = 1, const std::string& id = "") {
    const auto segment = static_cast<std::uint64_t>(number);
    return wal.add_backup(id.empty() ? fmt::format("b{}", number) : id, timeline,
                          lsn_in(segment, 0x100), lsn_in(segment, 0x200),
                          noon(number) - 11 * kHour);
  }
  // The child begins in the middle of the day's segment, before its commit.
  void fork(TimelineId child, TimelineId parent, int number) {
    const std::string before = parent == 1 ? "" : wal.rows.histories.back().contents;
    wal.add_history(child, before + fmt::format("{}\t{}\tx\n", parent,
                                                format_lsn(lsn_in(unsigned(number), 0x1000))));
  }
};

struct Case {
  const char* claim;
  std::function<void(World& world, RetentionRequest& request)> build;
  const char* kept;     // backups, newest first
  const char* expired;  // timeline:first-last
};

// Days 1 to 20 of timeline 1, a backup every other day from day 2 on; now it is day 20, evening.
void usual(World& world, RetentionRequest& request) {
  world.days(1, 20);
  for (int day = 2; day <= 20; day += 2)
    world.backup(day);
  request.now = at(noon(20) + 8 * kHour);
}

std::string kept_in(const RetentionDecision& decision) {
  std::string kept;
  for (const BackupVerdict& verdict : decision.backups) {
    if (verdict.is_kept()) kept += (kept.empty() ? "" : " ") + verdict.backup->id;
  }
  return kept;
}

std::string expired_in(const RetentionDecision& decision) {
  std::string expired;
  for (const ExpiredWal& wal : decision.wal) {
    expired += fmt::format("{}{}:{}-{}", expired.empty() ? "" : " ", wal.range.timeline,
                           wal.range.first, wal.range.last);
  }
  return expired;
}

const Case kCases[] = {
    // ---- numbers of backups
    {"backups = 1 keeps the newest and all WAL since",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
     },
     "b20", "1:1-19"},
    {"backups = 3 keeps the WAL from the oldest of three on",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 3;
     },
     "b20 b18 b16", "1:1-15"},
    {"a number as great as there are backups only frees the WAL before the first",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 10;
     },
     "b20 b18 b16 b14 b12 b10 b8 b6 b4 b2", "1:1-1"},
    {"a greater number, too",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1000;
     },
     "b20 b18 b16 b14 b12 b10 b8 b6 b4 b2", "1:1-1"},
    {"one backup left stays",
     [](World& w, RetentionRequest& r) {
       w.days(1, 20);
       w.backup(3);
       r.now = at(noon(300));
       r.policy.backups = 1;
     },
     "b3", "1:1-2"},
    {"without a backup no WAL goes",
     [](World& w, RetentionRequest& r) {
       w.days(1, 20);
       r.policy.backups = 1;
       r.now = at(noon(99));
     },
     "", ""},
    {"an empty repository is no mistake",
     [](World&, RetentionRequest& r) {
       r.policy.days = 1;
       r.now = at(noon(99));
     },
     "", ""},
    {"a backup whose WAL is missing does not count, and stays while an older one does",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       std::erase_if(w.wal.segments, [](const SegmentRow& row) { return row.name.segment == 20; });
       r.policy.backups = 1;
     },
     "b20 b18", "1:1-17"},
    {"a backup whose WAL is missing goes with those of its age",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       std::erase_if(w.wal.segments, [](const SegmentRow& row) { return row.name.segment == 6; });
       r.policy.backups = 2;
     },
     "b20 b18", "1:1-17"},
    {"where only one with damaged pages reaches the begin of the days it stays",
     [](World& w, RetentionRequest& r) {
       w.days(1, 20);
       w.backup(10).page_errors.push_back({.path = "base/5/1", .block = 3});
       w.backup(18);
       w.backup(20);
       r.now = at(noon(20) + 8 * kHour);
       r.policy.days = 5;
     },
     "b20 b18 b10", "1:1-9"},
    {"a backup with damaged pages does not count",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.backup(19).page_errors.push_back({.path = "base/5/1", .block = 3});
       r.policy.backups = 2;
     },
     "b20 b19 b18", "1:1-17"},
    {"when only one with damaged pages is usable it stays",
     [](World& w, RetentionRequest& r) {
       w.days(1, 9);
       w.backup(5).page_errors.push_back({.path = "base/5/1", .block = 3});
       r.policy.backups = 1;
       r.now = at(noon(9));
     },
     "b5", "1:1-4"},
    {"while no backup is usable none goes, and no WAL behind the oldest of them",
     [](World& w, RetentionRequest& r) {
       w.days(1, 3);
       w.backup(5);
       w.backup(7);
       r.policy.backups = 1;
       r.now = at(noon(9));
     },
     "b7 b5", "1:1-3"},
    // ---- days
    {"days = 5 keeps the last backup before them, and all WAL since",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 5;
     },
     "b20 b18 b16 b14", "1:1-13"},
    {"days = 1",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 1;
     },
     "b20 b18", "1:1-17"},
    {"more days than there are: everything stays but WAL that no backup reaches",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 60;
     },
     "b20 b18 b16 b14 b12 b10 b8 b6 b4 b2", "1:1-1"},
    {"a backup that ended in the days cannot reach their begin",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.wal.rows.backups.back().finished_at = at(noon(20));  // b20: within the day
       r.policy.days = 1;
     },
     "b20 b18", "1:1-17"},
    {"a commit in the backup that is later than its end counts",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       for (BackupSummary& b : w.wal.rows.backups) {
         if (b.id == "b14") b.last_commit_at = at(noon(17));
       }
       r.policy.days = 5;
     },
     "b20 b18 b16 b14 b12", "1:1-11"},
    {"days and backups: what either keeps",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 1;
       r.policy.backups = 4;
     },
     "b20 b18 b16 b14", "1:1-13"},
    // ---- days and clocks
    {"a clock an hour ahead changes nothing",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 5;
       r.now += std::chrono::hours(1);
     },
     "b20 b18 b16 b14", "1:1-13"},
    {"a clock a year ahead removes nothing more",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 5;
       r.now += std::chrono::days(365);
     },
     "b20 b18 b16 b14", "1:1-13"},
    {"a clock an hour behind removes nothing more",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 5;
       r.now -= std::chrono::hours(1);
     },
     "b20 b18 b16 b14", "1:1-13"},
    {"a clock a year behind keeps everything",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 5;
       r.now -= std::chrono::days(365);
     },
     "b20 b18 b16 b14 b12 b10 b8 b6 b4 b2", "1:1-1"},
    {"a year's jump that was archived, too, is no time",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.day(21).archived_at = at(noon(21 + 365));
       w.wal.whole(1, 21).index.last_commit = testing::postgres_time(noon(21 + 365));
       r.policy.days = 5;
       r.now = at(noon(21 + 365) + 2 * kHour);
     },
     "b20 b18 b16 b14", "1:1-13"},
    {"a backup that was taken while the clock was a year ahead does not pass for the newest",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.backup(15).finished_at = at(noon(380));
       r.policy.backups = 2;
     },
     "b20 b18", "1:1-17"},
    {"a backup that was taken while the clock was a year behind is no base for the days",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       for (BackupSummary& b : w.wal.rows.backups) {
         if (b.id == "b18") b.finished_at = at(noon(18 - 365));
       }
       r.policy.days = 5;
     },
     "b20 b18 b16 b14", "1:1-13"},
    {"an idle month is not counted",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.day(21).archived_at = at(noon(51));
       w.wal.whole(1, 21).index.last_commit = testing::postgres_time(noon(51));
       r.policy.days = 5;
       r.now = at(noon(51) + kHour);
     },
     "b20 b18 b16 b14", "1:1-13"},
    // ---- daily, weekly, monthly, yearly
    {"daily = 2 keeps two days' newest, the older one with only its own WAL",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.daily = 2;
     },
     "b20 b18", "1:1-17 1:19-19"},
    {"of two backups of one day the newer",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       BackupSummary& second = w.backup(18, 1, "b18b");
       second.stop_lsn += 0x100;
       second.finished_at += std::chrono::hours(2);
       r.policy.daily = 2;
     },
     "b20 b18b", "1:1-17 1:19-19"},
    {"days without a backup are passed over",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.daily = 4;
     },
     "b20 b18 b16 b14", "1:1-13 1:15-15 1:17-17 1:19-19"},
    {"weekly = 3 keeps the newest of each week, Monday to Sunday",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.weekly = 3;
     },
     "b20 b16 b10", "1:1-9 1:11-15 1:17-19"},
    {"monthly = 2: of November and December",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.monthly = 2;
     },
     "b20 b10", "1:1-9 1:11-19"},
    {"yearly = 9 keeps one backup a year",
     [](World& w, RetentionRequest& r) {
       w.days(1, 60);
       for (int day = 2; day <= 60; day += 4)
         w.backup(day);
       r.now = at(noon(60));
       r.policy.yearly = 9;
     },
     "b58 b42", "1:1-41 1:43-57"},
    {"daily keeps beside days: the WAL of the days stays unbroken",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.days = 3;
       r.policy.daily = 5;
     },
     "b20 b18 b16 b14 b12", "1:1-11 1:13-13 1:15-15"},
    {"an unusable backup is no day's newest",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       std::erase_if(w.wal.segments, [](const SegmentRow& row) { return row.name.segment == 18; });
       r.policy.daily = 2;
     },
     "b20 b16", "1:1-15 1:17-19"},
    // ---- pins, uses, references
    {"a pin without WAL keeps what makes the backup consistent",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.pins = {{.backup = "b4", .with_wal = false}};
     },
     "b20 b4", "1:1-3 1:5-19"},
    {"a pin with WAL keeps all of it from there on",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.pins = {{.backup = "b16", .with_wal = true}};
     },
     "b20 b16", "1:1-15"},
    {"of two pins of a backup the one with WAL counts",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.pins = {{.backup = "b16", .with_wal = true}, {.backup = "b16", .with_wal = false}};
     },
     "b20 b16", "1:1-15"},
    {"the pin of a backup that is gone means nothing",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.pins = {{.backup = "b3"}};
     },
     "b20", "1:1-19"},
    {"a restore keeps the backup that it reads and the WAL after it",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.uses = {{.backup = "b10", .by = "pitr restore"}};
     },
     "b20 b10", "1:1-9"},
    {"a backup that holds another's contents stays with it",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.references = {{"b20", {"b12"}}};
     },
     "b20 b12", "1:1-11 1:13-19"},
    {"a chain of them, too",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.references = {{"b12", {"b6"}}, {"b20", {"b12"}}};
     },
     "b20 b12 b6", "1:1-5 1:7-11 1:13-19"},
    {"what only a backup needs that goes is not kept for it",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.policy.backups = 1;
       r.references = {{"b10", {"b6"}}};
     },
     "b20", "1:1-19"},
    {"the WAL that a running backup will need is behind the newest one's start",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.days(21, 23);  // it began on day 21 and is not published yet
       r.policy.daily = 1;
       r.now = at(noon(23) + 2 * kHour);
     },
     "b20", "1:1-19"},
    // ---- timelines
    {"the WAL on the way to the new timeline stays, the old one's beyond the fork stays in its "
     "days",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.fork(2, 1, 18);
       w.days(18, 25, 2);
       w.backup(22, 2);
       r.policy.days = 30;
       r.now = at(noon(25) + 2 * kHour);
     },
     "b22 b20 b18 b16 b14 b12 b10 b8 b6 b4 b2", "1:1-1"},
    {"a branch that no kept backup reaches goes when it is older than all that stays",
     [](World& w, RetentionRequest& r) {
       w.days(1, 12);
       w.backup(2);
       w.backup(11);  // behind the fork, on the branch that is left
       w.fork(2, 1, 8);
       w.days(8, 40, 2);
       for (SegmentRow& row : w.wal.segments) {
         if (row.name.timeline == 2) row.archived_at += std::chrono::days(10);
       }
       w.backup(30, 2).finished_at += std::chrono::days(10);
       w.wal.rows.backups.back().started_at += std::chrono::days(10);
       r.policy.backups = 1;
       r.now = at(noon(50) + 2 * kHour);
     },
     "b30", "1:1-12 2:8-29"},
    {"a branch that is archived still stays, whatever backups are newer",
     [](World& w, RetentionRequest& r) {
       w.days(1, 20);
       w.backup(2);
       w.backup(10);
       w.fork(2, 1, 5);  // a copy that was promoted and archives here
       w.days(5, 19, 2);
       for (int day = 12; day <= 19; ++day)
         w.backup(day, 2, fmt::format("c{}", day));
       r.policy.backups = 2;
       r.now = at(noon(20) + 2 * kHour);
     },
     "c19 c18 b10", "1:1-9 2:5-17"},
    {"both sides of a fork stay with a backup before it",
     [](World& w, RetentionRequest& r) {
       w.days(1, 12);
       w.backup(5);
       w.fork(2, 1, 8);
       w.days(8, 12, 2);
       r.policy.backups = 1;
       r.now = at(noon(12) + 2 * kHour);
     },
     "b5", "1:1-4"},
    {"the segment at the fork stays on both timelines",
     [](World& w, RetentionRequest& r) {
       w.days(1, 8);
       w.fork(2, 1, 8);
       w.days(8, 12, 2);
       w.backup(8, 2, "f8").start_lsn = lsn_in(8, 0x2000);
       w.wal.rows.backups.back().stop_lsn = lsn_in(8, 0x3000);
       r.policy.backups = 1;
       r.now = at(noon(12) + 2 * kHour);
     },
     "f8", "1:1-7"},
    {"a timeline with a greater number is not the newer one",
     [](World& w, RetentionRequest& r) {
       w.days(1, 20);
       w.backup(18);
       w.fork(7, 1, 3);
       w.days(3, 6, 7);
       w.backup(5, 7, "old");
       r.policy.backups = 1;
       r.now = at(noon(20) + 2 * kHour);
     },
     "b18", "1:1-17 7:3-6"},
    {"while a history file is missing all WAL that may be on its way stays",
     [](World& w, RetentionRequest& r) {
       w.days(1, 20);
       w.backup(10);
       w.backup(15);
       w.days(12, 19, 3);
       r.policy.backups = 1;
       r.now = at(noon(20) + 2 * kHour);
     },
     "b15", "1:1-14"},
    {"tails and partial segments go with the WAL around them",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       w.wal.add_tail(1, 7, 0x1000);
       r.policy.backups = 1;
     },
     "b20", "1:1-19"},
    // ---- after pg_upgrade
    {"the old system identifier keeps its last backup",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.is_current = false;
       r.also_recorded = {at(noon(200)), at(noon(196)), at(noon(190))};
       r.policy.days = 5;
       r.now = at(noon(200) + kHour);
     },
     "b20", "1:1-19"},
    {"and its older ones go as time goes on under the new one",
     [](World& w, RetentionRequest& r) {
       usual(w, r);
       r.is_current = false;
       for (int day = 21; day < 60; day += 3)
         r.also_recorded.push_back(at(noon(day)));
       r.policy.days = 5;
       r.now = at(noon(58));
     },
     "b20", "1:1-19"},
    {"WAL of an old system identifier without any backup goes",
     [](World& w, RetentionRequest& r) {
       w.days(1, 5);
       r.is_current = false;
       r.policy.days = 5;
       r.now = at(noon(58));
     },
     "", "1:1-5"},
};

}  // namespace

TEST_CASE("what retention keeps", "[catalog]") {
  for (const Case& one : kCases) {
    DYNAMIC_SECTION(one.claim) {
      World world;
      RetentionRequest request;
      one.build(world, request);
      const RetentionDecision decision = decide_retention(world.wal.all(), request);
      CHECK(kept_in(decision) == one.kept);
      CHECK(expired_in(decision) == one.expired);
    }
  }
}

TEST_CASE("every backup that stays has a reason in words", "[catalog]") {
  World world;
  RetentionRequest request;
  usual(world, request);
  request.policy = {.backups = 1, .days = 3, .daily = 2};
  request.pins = {{.backup = "b4", .with_wal = false}};
  request.uses = {{.backup = "b6", .by = "pitr restore, process 1 on h"}};
  const RetentionDecision decision = decide_retention(world.wal.all(), request);
  const auto reasons = [&](const std::string& id) { return decision.find(id)->reasons; };
  CHECK(reasons("b20").front() == "the newest usable backup");
  CHECK(reasons("b4") == std::vector<std::string>{"pinned"});
  CHECK(reasons("b6") == std::vector<std::string>{"in use by pitr restore, process 1 on h"});
  CHECK_THAT(reasons("b16").front(), Catch::StartsWith("days = 3: every moment since "));
  CHECK(reasons("b18").back() == "daily = 2: the newest of 2026-12-07");
  CHECK(reasons("b2").empty());
}

TEST_CASE("what was removed is recorded up to what stays", "[catalog]") {
  World world;
  RetentionRequest request;
  usual(world, request);
  // Segments that were missing before: their place is not a gap afterwards.
  std::erase_if(world.wal.segments, [](const SegmentRow& row) {
    return row.name.segment == 3 || row.name.segment == 19;
  });
  request.policy.daily = 2;
  const RetentionDecision decision = decide_retention(world.wal.all(), request);
  CHECK(expired_in(decision) == "1:1-17");
  CHECK(expiry_after(world.wal.all(), decision).wal == std::vector<SegmentRange>{{1, 0, 17}});
}

TEST_CASE("what went stays recorded when something wants it again, but for what is stored",
          "[catalog]") {
  World world;
  RetentionRequest request;
  usual(world, request);
  std::erase_if(world.wal.segments, [](const SegmentRow& row) {
    return row.name.segment >= 6 && row.name.segment <= 15 && row.name.segment != 10;
  });
  world.wal.rows.expiry = {.wal = {{1, 5, 15}}, .backups = {"b6", "b4"}};
  request.policy.daily = 1;
  request.uses = {{.backup = "b4", .by = "pitr restore, process 1 on h"}};
  const Expiry expiry = expiry_after(world.wal.all(), decide_retention(world.wal.all(), request));
  CHECK(expiry.wal == std::vector<SegmentRange>{{1, 0, 3}, {1, 6, 9}, {1, 11, 15}});
  CHECK(expiry.covers_backup("b6"));
  CHECK_FALSE(expiry.covers_backup("b4"));
}

TEST_CASE("a backup that cannot be restored is not the newest, and not the last", "[catalog]") {
  World world;
  RetentionRequest request;
  usual(world, request);
  request.policy.backups = 1;
  request.broken = {"b20", "b18"};
  const RetentionDecision decision = decide_retention(world.wal.all(), request);
  CHECK(decision.find("b16")->reasons.front() == "the newest usable backup");
  CHECK(decision.find("b16")->keeps_wal);
  CHECK_FALSE(decision.find("b14")->is_kept());
  request.broken.clear();
  for (const BackupSummary& backup : world.wal.rows.backups) {
    if (backup.id != "b16") request.broken.insert(backup.id);
  }
  CHECK(why_not_removable(world.wal.all(), request, "b16") == "it is the last usable backup");
}

TEST_CASE("a log that takes weeks to fill is no silence", "[catalog]") {
  World world;
  world.days(1, 40);
  world.backup(2);
  const std::vector<Instant> recorded = recorded_moments(world.wal.all());
  CHECK(begin_of_days(recorded, at(noon(41)), 14) == at(noon(27)));
}

TEST_CASE("one backup may go by its id unless something needs it", "[catalog]") {
  World world;
  RetentionRequest request;
  world.days(1, 9);
  world.backup(2);
  world.backup(4);
  world.backup(6);
  world.backup(8).page_errors.push_back({.path = "base/1/1", .block = 1});
  request.pins = {{.backup = "b2"}};
  request.references = {{"b6", {"b4"}}};
  const auto why = [&](const std::string& id) {
    return why_not_removable(world.wal.all(), request, id).value_or("it may go");
  };
  CHECK(why("b2") == "it is pinned");
  CHECK(why("b4") == "backup b6 uses its data");
  CHECK(why("b6") == "it may go");
  CHECK(why("b8") == "it may go");
  request.pins.clear();
  request.references.clear();
  request.uses = {{.backup = "b4", .by = "pitr restore"}};
  CHECK(why("b4") == "it is in use by pitr restore");
  std::erase_if(world.wal.rows.backups,
                [](const BackupSummary& backup) { return backup.id < "b6"; });
  CHECK(why("b6") == "it is the last usable backup");
  CHECK(why("b8") == "it may go");
  request.is_current = false;
  CHECK(why("b6") == "it may go");
}

TEST_CASE("the last days begin where they would without a clock that jumped", "[catalog]") {
  std::vector<Instant> recorded;
  for (int day = 0; day < 30; ++day)
    recorded.push_back(at(noon(day)));
  const Instant newest = recorded.back();
  CHECK(begin_of_days(recorded, newest, 14) == newest - std::chrono::days(14));
  CHECK(begin_of_days(recorded, newest + std::chrono::hours(20), 14) ==
        newest + std::chrono::hours(20) - std::chrono::days(14));
  CHECK(begin_of_days(recorded, newest + std::chrono::days(400), 14) ==
        newest - std::chrono::days(14));
  CHECK(begin_of_days(recorded, newest - std::chrono::days(400), 14) ==
        newest - std::chrono::days(414));
  CHECK(begin_of_days({}, newest, 14) == newest - std::chrono::days(14));
  CHECK(begin_of_days(recorded, newest, 365) == newest - std::chrono::days(365));
  // The jump was archived as well, and time went on there for two days.
  for (int day = 0; day <= 2; ++day)
    recorded.push_back(at(noon(400 + day)));
  CHECK(begin_of_days(recorded, at(noon(402)), 14) == newest - std::chrono::days(12));
}

}  // namespace pitr
