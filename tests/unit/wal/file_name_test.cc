#include "wal/file_name.h"

#include <catch2/catch.hpp>

namespace pitr {

TEST_CASE("archive_command is given four kinds of file", "[wal]") {
  const auto segment = WalFileName::parse("00000001000000000000000A").value();
  CHECK(segment.kind == WalFileKind::kSegment);
  CHECK(segment.segment.segment == 0xA);
  CHECK(segment.has_pages());

  const auto partial = WalFileName::parse("000000010000000200000003.partial").value();
  CHECK(partial.kind == WalFileKind::kPartialSegment);
  CHECK(partial.segment == SegmentName{.timeline = 1, .log = 2, .segment = 3});
  CHECK(partial.has_pages());

  const auto history = WalFileName::parse("0000000B.history").value();
  CHECK(history.kind == WalFileKind::kHistory);
  CHECK(history.segment.timeline == 0xB);
  CHECK_FALSE(history.has_pages());

  const auto backup = WalFileName::parse("000000010000000000000004.00000028.backup").value();
  CHECK(backup.kind == WalFileKind::kBackupHistory);
  CHECK(backup.segment.segment == 4);
  CHECK(backup.backup_start == 0x28);
  CHECK_FALSE(backup.has_pages());
}

TEST_CASE("a WAL file name keeps its text", "[wal]") {
  const std::string text = GENERATE("00000001000000000000000A", "000000010000000200000003.partial",
                                    "0000000B.history", "000000010000000000000004.00000028.backup");
  CHECK(WalFileName::parse(text).value().text == text);
}

TEST_CASE("a name outside the grammar never becomes a path", "[wal]") {
  const std::string text = GENERATE(
      "", ".", "..", "/", ".history", "../00000002.history", "00000002.history/",
      "pg_wal/000000010000000000000001", "/000000010000000000000001", "000000010000000000000001/..",
      "00000001000000000000000a", "0000000b.history", "0000002.history", "000000002.history",
      "00000002.History", "00000002.history.partial", "00000002.partial",
      "000000010000000000000001.", "000000010000000000000001.part",
      "000000010000000000000001.partial.", "000000010000000000000001.Partial",
      "000000010000000000000001.00000028", "000000010000000000000001.0000028.backup",
      "000000010000000000000001.0000002g.backup", "000000010000000000000001.000000028.backup",
      "000000010000000000000001.00000028.backup2", "000000010000000000000001.00000028.partial",
      "000000010000000000000001;rm -rf x", "00000001000000000000 001", "RECOVERYXLOG",
      "000000010000000000000001\n", "000000010000000000000001.history", "archive_status");
  CAPTURE(text);
  CHECK_FALSE(WalFileName::parse(text));
}

TEST_CASE("a name with a null character inside is refused", "[wal]") {
  CHECK_FALSE(WalFileName::parse(std::string_view("00000002.history\0", 17)));
  CHECK_FALSE(WalFileName::parse(std::string("00000001000000000000") + '\0' + "001"));
}

TEST_CASE("the name of a timeline history file is in hexadecimal", "[wal]") {
  CHECK(history_file_name(2) == "00000002.history");
  CHECK(history_file_name(10) == "0000000A.history");
  CHECK(history_file_name(0xFFFFFFFF) == "FFFFFFFF.history");
}

}  // namespace pitr
