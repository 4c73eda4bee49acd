#include "wal/lsn.h"

#include <catch2/catch.hpp>

namespace pitr {

TEST_CASE("an LSN is printed as PostgreSQL prints it", "[wal]") {
  CHECK(format_lsn(0x2'0400'0000) == "2/4000000");
  CHECK(format_lsn(0) == "0/0");
  CHECK(format_lsn(~Lsn{0}) == "FFFFFFFF/FFFFFFFF");
}

TEST_CASE("what PostgreSQL prints as an LSN is read back", "[wal]") {
  const Lsn lsn = GENERATE(Lsn{1}, Lsn{0x16B3740}, Lsn{0x2'0400'0000}, Lsn{0xFFFF'FFFF}, ~Lsn{0});
  CHECK(parse_lsn(format_lsn(lsn)) == lsn);
}

TEST_CASE("an LSN in lower case is read, as pg_lsn reads it", "[wal]") {
  CHECK(parse_lsn("a/ff") == 0xA'0000'00FF);
}

TEST_CASE("texts that are no LSN are refused", "[wal]") {
  const std::string text = GENERATE("", "/", "1/", "/1", "1", "1/2/3", "123456789/0", "0/123456789",
                                    "-1/0", "0/-1", " 1/0", "1/0 ", "0x1/0", "G/0", "+1/0");
  CAPTURE(text);
  CHECK_FALSE(parse_lsn(text));
}

TEST_CASE("a number is the whole text, without sign, and fits 64 bits", "[wal]") {
  CHECK(parse_number("18446744073709551615", 10) == ~std::uint64_t{0});
  CHECK(parse_number("FF", 16) == 255);
  const std::string text = GENERATE("", "-1", "+1", " 1", "1 ", "18446744073709551616", "1x");
  CAPTURE(text);
  CHECK_FALSE(parse_number(text, 10));
}

TEST_CASE("wal_segment_size is a power of two from 1 MiB to 1 GiB", "[wal]") {
  CHECK(is_valid_segment_size(1ULL << 20));
  CHECK(is_valid_segment_size(1ULL << 24));
  CHECK(is_valid_segment_size(1ULL << 30));
  CHECK_FALSE(is_valid_segment_size(0));
  CHECK_FALSE(is_valid_segment_size(1ULL << 19));
  CHECK_FALSE(is_valid_segment_size(1ULL << 31));
  CHECK_FALSE(is_valid_segment_size(3ULL << 20));
  CHECK_FALSE(is_valid_segment_size((1ULL << 24) + 1));
}

}  // namespace pitr
