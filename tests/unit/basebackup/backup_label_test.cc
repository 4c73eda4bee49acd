#include "basebackup/backup_label.h"

#include <string>

#include <catch2/catch.hpp>

#include "harness/errors.h"

namespace pitr {

using testing::error_kind_of;

namespace {

// As PostgreSQL 15 writes it.
std::string usual_label() {
  return "START WAL LOCATION: A/2000028 (file 000000030000000A00000002)\n"
         "CHECKPOINT LOCATION: A/2000060\n"
         "BACKUP METHOD: streamed\n"
         "BACKUP FROM: primary\n"
         "START TIME: 2026-11-23 15:39:36 UTC\n"
         "LABEL: nightly\n"
         "START TIMELINE: 3\n";
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = usual_label();
  text.replace(text.find(from), from.size(), to);
  return text;
}

ErrorKind refusal(const std::string& contents) {
  return error_kind_of([&] { parse_backup_label(contents); });
}

}  // namespace

TEST_CASE("a backup label tells where recovery begins", "[basebackup]") {
  const BackupLabel label = parse_backup_label(usual_label());
  CHECK(label.start_lsn == 0xA02000028);
  CHECK(label.checkpoint_lsn == 0xA02000060);
  CHECK(label.timeline == 3);
}

TEST_CASE("a label whose text looks like another line is read right", "[basebackup]") {
  CHECK(parse_backup_label(replaced("LABEL: nightly", "LABEL: START TIMELINE: 9")).timeline == 3);
  CHECK(parse_backup_label(replaced("nightly", "")).timeline == 3);
}

TEST_CASE("a label that lacks a line or holds nonsense is damaged", "[basebackup]") {
  const std::string contents = GENERATE(
      std::string(), std::string("\n"), std::string(1000, '\0'), std::string(1 << 20, 'x'),
      replaced("START WAL LOCATION: A/2000028", "START WAL LOCATION: A2000028"),
      replaced("START WAL LOCATION", "START WAL"), replaced("CHECKPOINT LOCATION", "CHECKPOINT"),
      replaced("START TIMELINE: 3", "START TIMELINE: 0"),
      replaced("START TIMELINE: 3", "START TIMELINE: -3"),
      replaced("START TIMELINE: 3", "START TIMELINE: 4294967299"),
      replaced("START TIMELINE: 3", "START TIMELINE: three"));
  CAPTURE(contents.substr(0, 300));
  CHECK(refusal(contents) == ErrorKind::kCorrupt);
}

TEST_CASE("a label cut short at any place is damaged", "[basebackup]") {
  const std::string whole = usual_label();
  for (std::size_t length = 0; length < whole.size() - 1; ++length) {
    CAPTURE(length);
    CHECK(refusal(whole.substr(0, length)) == ErrorKind::kCorrupt);
  }
}

TEST_CASE("what read_backup_label() of PostgreSQL refuses is damaged", "[basebackup]") {
  // It wants the first two lines in their order, each complete, and the timeline of the start
  // segment's name to be the one of the last line.
  const std::string contents = GENERATE(
      replaced(" (file 000000030000000A00000002)", ""), replaced("A/2000060\n", "A/2000060 \n"),
      "LABEL: first\n" + usual_label(), replaced("START TIMELINE: 3", "START TIMELINE: 4"),
      replaced("nightly", "x\nSTART TIMELINE: 9"));
  CAPTURE(contents);
  CHECK(refusal(contents) == ErrorKind::kCorrupt);
}

}  // namespace pitr
