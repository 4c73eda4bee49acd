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

std::string key_of(TimelineId timeline, std::uint64_t segment) {
  const SegmentName name = SegmentName::containing(timeline, lsn_in(segment, 0), testing::k1MiB);
  return wal_key({.name = "main", .system_identifier = testing::kSystemIdentifier},
                 *WalFileName::parse(name.to_string()));
}

// What the sentence says of one lost segment, others being lost as well.
std::string lost_segment(HandMadeWal& wal, std::uint64_t segment, TimelineId timeline = 1,
                         Losses losses = {}) {
  losses.wal_keys.insert(key_of(timeline, segment));
  return LostMoments(wal.all(), losses)
      .without_wal(timeline, lsn_in(segment, 0), lsn_in(segment + 1, 0));
}

std::string lost_backup(HandMadeWal& wal, const std::string& id, Losses losses = {}) {
  losses.backups.insert(id);
  return LostMoments(wal.all(), losses).without_backup(id);
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
  CHECK(lost_backup(wal, "second") ==
        "backup second cannot be restored; moments on timeline 1 are reached from backup first "
        "instead");
}

TEST_CASE("a lost first backup costs the time up to the next one", "[catalog]") {
  HandMadeWal wal = two_backups();
  CHECK(lost_backup(wal, "first") == "backup first cannot be restored; " + between(10, 50));
}

TEST_CASE("a backup that nothing can be reached from costs only itself", "[catalog]") {
  HandMadeWal wal = two_backups();
  wal.add_backup("third", 1, lsn_in(20, 0x100), lsn_in(20, 0x200), 99);
  CHECK(lost_backup(wal, "third") == "backup third cannot be restored");
}

TEST_CASE("what one loss costs depends on the others", "[catalog]") {
  HandMadeWal wal = two_backups();
  // Both backups: no moment is left, and nobody stands in for the other.
  CHECK(lost_backup(wal, "second", {.wal_keys = {}, .backups = {"first"}}) ==
        fmt::format("backup second cannot be restored; targets after {} on timeline 1 cannot be "
                    "reached",
                    to_local_text(at(50))));
  // A segment between them: the first one does not reach the second one's moments.
  CHECK(lost_backup(wal, "second", {.wal_keys = {key_of(1, 4)}, .backups = {}}) ==
        fmt::format("backup second cannot be restored; targets after {} on timeline 1 cannot be "
                    "reached",
                    to_local_text(at(50))));
  // Without the second backup a lost segment costs everything after it.
  CHECK(lost_segment(wal, 4, 1, {.wal_keys = {}, .backups = {"second"}}) ==
        fmt::format("targets after {} on timeline 1 cannot be reached", to_local_text(at(30))));
  // Two segments: what is lost begins with the first and ends with the next backup.
  CHECK(lost_segment(wal, 4, 1, {.wal_keys = {key_of(1, 3)}, .backups = {}}) == between(20, 50));
}

TEST_CASE("a segment that another one stands in for costs nothing", "[catalog]") {
  HandMadeWal wal = two_backups();
  wal.add_history(2, fmt::format("1\t{}\tno recovery target\n", format_lsn(lsn_in(9, 0x4000))));
  wal.add(2, 9, {{.offset = kMiddle, .second = 98, .xid = 809}});
  // The child's first segment begins with its parent's records: only timeline 1 is cut.
  CHECK(lost_segment(wal, 9) ==
        fmt::format("targets after {} on timeline 1 cannot be reached", to_local_text(at(80))));
  CHECK(LostMoments::without_history(7) ==
        "no target on timeline 7 can be reached, and others only with --timeline");
}

}  // namespace pitr
