#include "wal/segment_name.h"

#include <array>

#include <catch2/catch.hpp>

namespace pitr {

namespace {

constexpr SegmentSize k16MiB = 1ULL << 24;
constexpr SegmentSize k1GiB = 1ULL << 30;

}  // namespace

TEST_CASE("a segment name holds timeline and both halves of the segment number", "[wal]") {
  const auto name = SegmentName::parse("0000000A0000012300000045").value();
  CHECK(name.timeline == 0xA);
  CHECK(name.log == 0x123);
  CHECK(name.segment == 0x45);
  CHECK(name.to_string() == "0000000A0000012300000045");
}

TEST_CASE("the last segment of a log is followed by the first of the next log", "[wal]") {
  const auto last = SegmentName::parse("0000000300000000000000FF").value();
  CHECK(last.next(k16MiB).to_string() == "000000030000000100000000");
}

TEST_CASE("with segments of 1 GiB a log has four of them", "[wal]") {
  const auto last = SegmentName::parse("000000010000000700000003").value();
  CHECK(last.is_valid(k1GiB));
  CHECK(last.next(k1GiB).to_string() == "000000010000000800000000");
  CHECK_FALSE(SegmentName::parse("000000010000000700000004").value().is_valid(k1GiB));
}

TEST_CASE("pg_walfile_name of 2/4000000 depends on the segment size", "[wal]") {
  const Lsn lsn = 0x2'0400'0000;
  CHECK(SegmentName::containing(1, lsn, 1ULL << 20).to_string() == "000000010000000200000040");
  CHECK(SegmentName::containing(1, lsn, k16MiB).to_string() == "000000010000000200000004");
  CHECK(SegmentName::containing(1, lsn, 64ULL << 20).to_string() == "000000010000000200000001");
  CHECK(SegmentName::containing(1, lsn, k1GiB).to_string() == "000000010000000200000000");
}

TEST_CASE("for every segment size a name gives the position that it was made from", "[wal]") {
  for (SegmentSize size = kSmallestSegment; size <= kLargestSegment; size *= 2) {
    for (const Lsn lsn : {size, Lsn{0xFFFF'FFFF}, Lsn{0x1'0000'0000}, Lsn{0x1'2345'6789}}) {
      CAPTURE(size, lsn);
      const SegmentName name = SegmentName::containing(7, lsn, size);
      CHECK(name.is_valid(size));
      CHECK(name.start(size) == lsn / size * size);
      CHECK(name.number(size) == lsn / size);
      CHECK(name.next(size).start(size) == name.start(size) + size);
      CHECK(name.next(size).timeline == 7);
      CHECK(SegmentName::parse(name.to_string()) == name);
    }
  }
}

TEST_CASE("the byte on a segment's boundary belongs to the later segment", "[wal]") {
  CHECK(SegmentName::containing(1, k16MiB - 1, k16MiB).segment == 0);
  CHECK(SegmentName::containing(1, k16MiB, k16MiB).segment == 1);
}

TEST_CASE("segment names sort by timeline, then in the order of the WAL", "[wal]") {
  const SegmentName early{.timeline = 1, .log = 0, .segment = 0xFF};
  const SegmentName late{.timeline = 1, .log = 1, .segment = 0};
  const SegmentName other{.timeline = 2, .log = 0, .segment = 1};
  CHECK(early < late);
  CHECK(late < other);
}

TEST_CASE("files beside the segments are not segment names", "[wal]") {
  const std::string text =
      GENERATE("", "00000002.history", "00000001000000000000000a", "00000001000000000000000",
               "0000000100000000000000011", "000000010000000000000001.partial",
               "000000010000000000000001.00000028.backup", " 00000001000000000000001",
               "00000001000000000000000G", "../000010000000000000001", "00000001-00000000000001x");
  CAPTURE(text);
  CHECK_FALSE(SegmentName::parse(text));
}

}  // namespace pitr
