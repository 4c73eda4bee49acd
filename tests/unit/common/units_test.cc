#include "common/units.h"

#include <catch2/catch.hpp>

namespace pitr {

using std::chrono::milliseconds;

TEST_CASE("sizes are shown in binary units", "[common]") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(512) == "512 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.0 KiB");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(16'777'216) == "16.0 MiB");
  CHECK(format_bytes(std::uint64_t{5} << 40) == "5.0 TiB");
  CHECK(format_bytes(~std::uint64_t{0}) == "16384.0 PiB");
}

TEST_CASE("sizes are read as PostgreSQL reads them: MB is binary", "[common]") {
  CHECK(parse_bytes("4096") == 4096U);
  CHECK(parse_bytes("0") == 0U);
  CHECK(parse_bytes("512B") == 512U);
  CHECK(parse_bytes("100k") == 102'400U);
  CHECK(parse_bytes("100kB") == 102'400U);
  CHECK(parse_bytes("64MB") == 67'108'864U);
  CHECK(parse_bytes("64MiB") == 67'108'864U);
  CHECK(parse_bytes("64 MiB") == 67'108'864U);
  CHECK(parse_bytes("1GB") == 1'073'741'824U);
  CHECK(parse_bytes("2TiB") == 2'199'023'255'552U);
}

TEST_CASE("the largest size fits, the next one is refused", "[common]") {
  CHECK(parse_bytes("18446744073709551615") == ~std::uint64_t{0});
  CHECK(parse_bytes("16777215TiB") == 16'777'215ULL << 40);
  const std::string text = GENERATE("18446744073709551616", "16777216TiB", "18446744073709551615k",
                                    "99999999999999999999999GB");
  CAPTURE(text);
  CHECK_FALSE(parse_bytes(text));
}

TEST_CASE("texts that are no size are refused", "[common]") {
  const std::string text = GENERATE("", " ", "MiB", "-1", "+1", " 5", "5MiBs", "5Mib", "5mb",
                                    "5 M B", "1.5GiB", "1e3", "0x10", "5%", "five", "1,000");
  CAPTURE(text);
  CHECK_FALSE(parse_bytes(text));
}

TEST_CASE("durations are read with their unit, a number alone counts seconds", "[common]") {
  CHECK(parse_duration("60s") == milliseconds(60'000));
  CHECK(parse_duration("5min") == milliseconds(300'000));
  CHECK(parse_duration("500ms") == milliseconds(500));
  CHECK(parse_duration("2h") == milliseconds(7'200'000));
  CHECK(parse_duration("1d") == milliseconds(86'400'000));
  CHECK(parse_duration("10") == milliseconds(10'000));
  CHECK(parse_duration("0") == milliseconds(0));
  CHECK(parse_duration("5 min") == milliseconds(300'000));
}

TEST_CASE("texts that are no duration are refused", "[common]") {
  const std::string text = GENERATE("", "s", "-5s", "+5s", " 5s", "5.5s", "5sec.", "5 fortnights",
                                    "1h30m", "5S", "ms5", "1:30");
  CAPTURE(text);
  CHECK_FALSE(parse_duration(text));
}

TEST_CASE("a duration beyond all sense is refused, not wrapped around", "[common]") {
  const std::string text = GENERATE("18446744073709551615", "18446744073709551616ms",
                                    "213503982335d", "9223372036854775807ms", "99999999999d");
  CAPTURE(text);
  CHECK_FALSE(parse_duration(text));
}

}  // namespace pitr
