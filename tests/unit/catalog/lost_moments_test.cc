#include "catalog/lost_moments.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "unit/catalog/hand_made_wal.h"

namespace pitr {

using testing::at;
using testing::HandMadeWal;
using testing::lsn_in;

namespace {

constexpr std::uint64_t kMiddle = 0x80000;

// Commits at 10, 20, … 90 seconds in segments 1 to 9; backups in 2 and in 6.
HandMadeWal two_backups() {
  HandMadeWal wal;
  for (std::uint32_t segment = 1; segment <= 9; ++segment) {
    wal.add(1, segment,
            {{.offset = kMiddle, .second = static_cast<int>(segment) * 10, .xid = 700 + segment}});
  }
  wal.add_backup("first", 1, lsn_in(2, 0x100), lsn_in(2, 0x200), 15);
  wal.add_backup("second", 1, lsn_in(6, 0x100), lsn_in(6, 0x200), 55);
  return wal;
}

std::string lost_segment(HandMadeWal& wal, std::uint64_t segment, TimelineId timeline = 1) {
  return without_wal(wal.all(), timeline, lsn_in(segment, 0), lsn_in(segment + 1, 0));
}

std::string between(int from, int to, TimelineId timeline = 1) {
  return fmt::format("targets between {} and {} on timeline {} cannot be reached",
                     to_local_text(at(from)), to_local_text(at(to)), timeline);
}

}  // namespace

TEST_CASE("a lost segment costs the time from the commit before it to the next backup",
          "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(lost_segment(wal, 4) == between(30, 50));
}

TEST_CASE("a lost segment behind the last backup costs everything after it", "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(lost_segment(wal, 8) ==
        fmt::format("targets after {} on timeline 1 cannot be reached", to_local_text(at(70))));
}

TEST_CASE("WAL from before the first backup costs nothing", "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(lost_segment(wal, 1) == "no moment is lost: no base backup needs it");
}

TEST_CASE("the WAL of the only backup costs everything before the next one", "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(lost_segment(wal, 2) ==
        fmt::format("targets before {} on timeline 1 cannot be reached", to_local_text(at(50))));
}

TEST_CASE("without any other backup nothing is left", "[catalog]") {
  HandMadeWal wal;
  wal.add(1, 2, {{.offset = kMiddle, .second = 20, .xid = 702}});
  wal.add_backup("only", 1, lsn_in(2, 0x100), lsn_in(2, 0x200), 15);
  CHECK(lost_segment(wal, 2) == "no target on timeline 1 can be reached");
}

TEST_CASE("a lost segment of a parent costs its children the same moments", "[catalog]") {
  HandMadeWal wal = two_backups();
  wal.add_history(2, fmt::format("1\t{}\tno recovery target\n", format_lsn(lsn_in(5, 0x4000))));
  wal.add(2, 5, {{.offset = kMiddle, .second = 58, .xid = 805}});
  wal.add(2, 6, {{.offset = kMiddle, .second = 68, .xid = 806}});
  CHECK(lost_segment(wal, 4) ==
        between(30, 50) + fmt::format("; targets after {} on timeline 2 cannot be reached",
                                      to_local_text(at(30))));
  // The second backup was taken behind the fork: it is not of timeline 2.
  CHECK(lost_segment(wal, 7) ==
        fmt::format("targets after {} on timeline 1 cannot be reached", to_local_text(at(60))));
}

TEST_CASE("a lost backup is made up for by an earlier one", "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(without_backup(wal.all(), "second") ==
        "backup second cannot be restored; moments on timeline 1 are reached from backup first "
        "instead");
}

TEST_CASE("a lost first backup costs the time up to the next one", "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(without_backup(wal.all(), "first") ==
        "backup first cannot be restored; " + between(10, 50));
}

TEST_CASE("a backup that nothing can be reached from costs only itself", "[catalog]") {
  HandMadeWal wal = two_backups();
  wal.add_backup("third", 1, lsn_in(20, 0x100), lsn_in(20, 0x200), 99);
  CHECK(without_backup(wal.all(), "third") == "backup third cannot be restored");
}

}  // namespace pitr
