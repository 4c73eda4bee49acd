#include "common/time.h"

#include <cstdlib>

#include <catch2/catch.hpp>

#include "harness/child_process.h"
#include "harness/environment.h"
#include "harness/errors.h"

namespace pitr {

using std::chrono::microseconds;
using std::chrono::seconds;
using testing::EnvironmentVariable;
using testing::error_of;
using testing::words;

namespace {

// `date -u -d '2026-11-22 13:03:27' +%s` prints 1795352607.
constexpr Instant kMoment{seconds(1'795'352'607)};

Instant read(std::string_view text) { return parse_instant(text, kMoment); }

}  // namespace

TEST_CASE("the epoch of PostgreSQL is 946684800 seconds after that of Unix", "[common]") {
  CHECK(from_postgres_time(0) == Instant(seconds(946'684'800)));
  CHECK(to_utc_text(from_postgres_time(0)) == "2000-01-01T00:00:00.000000Z");
  CHECK(to_utc_text(from_postgres_time(-1)) == "1999-12-31T23:59:59.999999Z");
  CHECK(to_postgres_time(Instant{}) == -946'684'800'000'000);
  CHECK(to_postgres_time(from_postgres_time(123'456'789)) == 123'456'789);
}

TEST_CASE("a moment that no instant can be becomes the nearest one", "[common]") {
  CHECK(from_unix_time(1'795'352'607) == kMoment);
  CHECK(from_unix_time(-1) == Instant(seconds(-1)));
  CHECK(from_unix_time(INT64_MAX) == Instant::max());
  CHECK(from_unix_time(INT64_MIN) == Instant::min());
  CHECK(from_postgres_time(INT64_MAX) == Instant::max());
  CHECK(to_postgres_time(Instant::min()) == INT64_MIN);
}

TEST_CASE("the first and the last instant are shown", "[common]") {
  const EnvironmentVariable tz("TZ", "Europe/Berlin");
  CHECK(to_utc_text(Instant::min()) == "-290308-12-21T19:59:05.224192Z");
  CHECK(to_utc_text(Instant::max()) == "294247-01-10T04:00:54.775807Z");
  CHECK(to_local_text(Instant::max()) == "294247-01-10 05:00:54.775807+01:00");
}

TEST_CASE("a time before there were zones is read back", "[common]") {
  const EnvironmentVariable tz("TZ", "Europe/Berlin");
  const Instant instant = read("1880-01-01T12:00:00Z");
  CHECK(to_local_text(instant) == "1880-01-01 12:53:28.000000+00:53:28");
  CHECK(read(to_local_text(instant)) == instant);
}

TEST_CASE("an instant is shown in UTC with microseconds", "[common]") {
  CHECK(to_utc_text(kMoment) == "2026-11-22T13:03:27.000000Z");
  CHECK(to_utc_text(kMoment + microseconds(5)) == "2026-11-22T13:03:27.000005Z");
  CHECK(to_utc_text(Instant(microseconds(-1))) == "1969-12-31T23:59:59.999999Z");
}

TEST_CASE("an instant is shown in the host's zone with its offset", "[common]") {
  const auto [zone, text] = GENERATE(table<std::string, std::string>({
      {"UTC", "2026-11-22 13:03:27.000000+00:00"},
      {"Europe/Berlin", "2026-11-22 14:03:27.000000+01:00"},
      {"America/St_Johns", "2026-11-22 09:33:27.000000-03:30"},
      {"Asia/Kathmandu", "2026-11-22 18:48:27.000000+05:45"},
  }));
  const EnvironmentVariable tz("TZ", zone);
  CHECK(to_local_text(kMoment) == text);
}

TEST_CASE("what is shown in the host's zone is read back", "[common]") {
  const EnvironmentVariable tz("TZ", GENERATE("UTC", "Europe/Berlin", "America/St_Johns"));
  const Instant instant = kMoment + microseconds(123'456);
  CHECK(read(to_local_text(instant)) == instant);
  CHECK(read(to_utc_text(instant)) == instant);
}

TEST_CASE("a time with an offset is read whatever the host's zone", "[common]") {
  const EnvironmentVariable tz("TZ", GENERATE("UTC", "America/New_York"));
  const std::string text = GENERATE(
      "2026-11-22T13:03:27Z", "2026-11-22T13:03:27z", "2026-11-22 13:03:27+00",
      "2026-11-22 14:03:27+01", "2026-11-22 14:03:27+01:00", "2026-11-22 14:03:27 +01:00",
      "2026-11-22 14:03:27+0100", "2026-11-22 09:33:27-03:30", "2026-11-22 09:33:27-0330",
      "20261122T130327Z", "20261122T140327+0100", "2026-11-22 13:03:27 UTC",
      "2026-11-22 13:03:27 GMT", "  2026-11-22 13:03:27Z  ", "2026-11-22 14:05:29+01:02:02");
  CAPTURE(text);
  CHECK(read(text) == kMoment);
}

TEST_CASE("fractions of a second are read to the microsecond", "[common]") {
  CHECK(read("2026-11-22 14:03:27.5+01") == kMoment + microseconds(500'000));
  CHECK(read("2026-11-22T13:03:27.000001Z") == kMoment + microseconds(1));
  CHECK(read("2026-11-22T13:03:27.123456Z") == kMoment + microseconds(123'456));
  CHECK(read("2026-11-22T13:03:27.123456" + std::string(1000, '9') + "Z") ==
        kMoment + microseconds(123'456));
}

TEST_CASE("seconds, or the whole time of day, may be left out", "[common]") {
  CHECK(read("2026-11-22T13:03Z") == kMoment - seconds(27));
  CHECK(read("20261122T1303Z") == kMoment - seconds(27));
  CHECK(read("20261122T1403+01") == kMoment - seconds(27));
  CHECK(to_utc_text(read("2026-11-22Z")) == "2026-11-22T00:00:00.000000Z");
  CHECK(to_utc_text(read("2026-11-22 UTC")) == "2026-11-22T00:00:00.000000Z");
}

TEST_CASE("a western offset behind a time without seconds is an offset only", "[common]") {
  CHECK(read("20261122T0803-0500") == kMoment - seconds(27));
  CHECK(read("20261122T0303-1000") == kMoment - seconds(27));
}

TEST_CASE("a named zone is the zone of that place on that day", "[common]") {
  const EnvironmentVariable tz("TZ", GENERATE("UTC", "Asia/Tokyo"));
  CHECK(read("2026-11-22 14:03:27 Europe/Berlin") == kMoment);
  CHECK(to_utc_text(read("2026-07-01 12:00:00 Europe/Berlin")) == "2026-07-01T10:00:00.000000Z");
  CHECK(to_utc_text(read("2026-07-01 12:00:00 America/New_York")) == "2026-07-01T16:00:00.000000Z");
}

TEST_CASE(
    "an abbreviation is refused: PostgreSQL gives it no summer time, a zone of that name does",
    "[common]") {
  const std::string zone = GENERATE("CET", "MET", "EET", "WET", "EST", "PRC", "XYZ");
  CAPTURE(zone);
  CHECK(error_of([&] { read("2026-07-01 12:00:00 " + zone); }).kind == ErrorKind::kUsage);
}

TEST_CASE("reading a named zone leaves the host's zone as it was", "[common]") {
  {
    const EnvironmentVariable tz("TZ", "Asia/Tokyo");
    read("2026-11-22 14:03:27 Europe/Berlin");
    CHECK_THROWS(read("2026-03-29 02:30:00 Europe/Berlin"));
    CHECK(to_local_text(kMoment) == "2026-11-22 22:03:27.000000+09:00");
    CHECK(std::string(std::getenv("TZ")) == "Asia/Tokyo");
  }
  const EnvironmentVariable unset("TZ", std::nullopt);
  read("2026-11-22 14:03:27 Europe/Berlin");
  CHECK(std::getenv("TZ") == nullptr);
}

TEST_CASE("without a zone the host's zone is meant", "[common]") {
  const EnvironmentVariable tz("TZ", "Europe/Berlin");
  CHECK(read("2026-11-22 14:03:27") == kMoment);
  CHECK(to_utc_text(read("2026-07-01 12:00")) == "2026-07-01T10:00:00.000000Z");
  CHECK(to_utc_text(read("2026-07-01")) == "2026-06-30T22:00:00.000000Z");
}

// Berlin, 25 October 2026: at 03:00 summer time the clocks went back to 02:00.
TEST_CASE("a local time that exists twice is refused with both instants", "[common]") {
  const EnvironmentVariable tz("TZ", "Europe/Berlin");
  const ErrorReport report = error_of([] { read("2026-10-25 02:30:00"); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(words(report), Catch::Contains("2026-10-25T00:30:00.000000Z") &&
                                Catch::Contains("2026-10-25T01:30:00.000000Z"));
  CHECK_THAT(report.message, Catch::Contains("twice"));
  CHECK(to_utc_text(read("2026-10-25 02:30:00+02")) == "2026-10-25T00:30:00.000000Z");
  CHECK(to_utc_text(read("2026-10-25 01:59:59")) == "2026-10-24T23:59:59.000000Z");
  CHECK(to_utc_text(read("2026-10-25 03:00:00")) == "2026-10-25T02:00:00.000000Z");
}

// Berlin, 29 March 2026: at 02:00 the clocks went forward to 03:00.
TEST_CASE("a local time that never existed is refused with both instants", "[common]") {
  const EnvironmentVariable tz("TZ", GENERATE("UTC", "Asia/Tokyo"));
  const ErrorReport report = error_of([] { read("2026-03-29 02:30:00 Europe/Berlin"); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("never existed"));
  CHECK_THAT(words(report), Catch::Contains("2026-03-29T01:30:00.000000Z") &&
                                Catch::Contains("2026-03-29T00:30:00.000000Z"));
  CHECK(to_utc_text(read("2026-03-29 01:59:59 Europe/Berlin")) == "2026-03-29T00:59:59.000000Z");
  CHECK(to_utc_text(read("2026-03-29 03:00:00 Europe/Berlin")) == "2026-03-29T01:00:00.000000Z");
}

TEST_CASE("a time can be told by how long ago it was", "[common]") {
  const auto [text, ago] = GENERATE(table<std::string, std::int64_t>({
      {"now", 0},
      {"1 second ago", 1},
      {"10 minutes ago", 600},
      {"10 min ago", 600},
      {"1 hour 30 minutes ago", 5400},
      {"2h ago", 7200},
      {"1 day ago", 86'400},
      {"3 weeks ago", 1'814'400},
      {"0 days ago", 0},
  }));
  CAPTURE(text);
  CHECK(read(text) == kMoment - seconds(ago));
}

TEST_CASE("what is no time is refused with examples of one", "[common]") {
  const std::string text = GENERATE(
      "", " ", "yesterday", "ago", " ago", "minutes ago", "-5 minutes ago", "ten minutes ago",
      "10 fortnights ago", "10 minutes", "2026", "2026-11", "2026-1-2", "26-11-22 10:00",
      "2026-13-01 00:00Z", "2026-00-01 00:00Z", "2026-11-31 00:00Z", "2026-02-29 00:00Z",
      "2026-11-22 24:01Z", "2026-11-22 10:60Z", "2026-11-22 10:00:61Z", "2026-11-22 10:00:00.Z",
      "2026-11-22 10:00:00 Middle/Earth", "2026-11-22 10:00:00 ../../etc/passwd",
      "2026-11-22 10:00:00 /etc/passwd", "2026-11-22 10:00:00+99", "2026-11-22 10:00:00+01:60",
      "2026-11-22 10:00:00+1", "2026-11-22 10:00:00Z and more", "2026-11-22 -1:00:00Z",
      "-026-11-22 10:00:00Z", "1795352607", "0/5000148");
  CAPTURE(text);
  const ErrorReport report = error_of([&] { read(text); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.hint, Catch::Contains("2026-11-22T13:03:27Z"));
}

TEST_CASE("an enormous or binary text is no time", "[common]") {
  CHECK(error_of([] { read(std::string(1U << 20, '2')); }).kind == ErrorKind::kUsage);
  CHECK(error_of([] { read(std::string(1U << 20, ' ')); }).kind == ErrorKind::kUsage);
  CHECK(error_of([] { read(std::string(32, '\0')); }).kind == ErrorKind::kUsage);
  CHECK(error_of([] { read("2026-11-22 10:00:00 " + std::string(1U << 16, 'x')); }).kind ==
        ErrorKind::kUsage);
  CHECK(error_of([] { read("99999999999999999999 days ago"); }).kind == ErrorKind::kUsage);
}

TEST_CASE("the name of a directory of zones is no zone", "[common]") {
  CHECK(error_of([] { read("2026-11-22 10:00:00 Europe"); }).kind == ErrorKind::kUsage);
}

TEST_CASE("a zone file that is none is no zone", "[common]") {
  CHECK(error_of([] { read("2026-11-22 10:00:00 tzdata.zi"); }).kind == ErrorKind::kUsage);
}

// The largest counts fit no Instant: refused, not wrapped around into a time that looks possible.
TEST_CASE("a time before every calendar is refused", "[common]") {
  // In a process of its own: with UBSan the overflow aborts.
  CHECK(testing::returns_in_child([] {
    if (error_of([] { read("1000000000 weeks ago"); }).kind != ErrorKind::kUsage) std::abort();
  }));
}

TEST_CASE("a leap second in the host's zone is the next minute, as PostgreSQL reads it",
          "[common]") {
  const EnvironmentVariable tz("TZ", "Europe/Berlin");
  CHECK(to_utc_text(read("2026-11-22T13:03:60Z")) == "2026-11-22T13:04:00.000000Z");
  CHECK(to_utc_text(read("2026-11-22 14:03:60")) == "2026-11-22T13:04:00.000000Z");
}

TEST_CASE("now is between two readings of the system's clock", "[common]") {
  const auto before = std::chrono::floor<microseconds>(std::chrono::system_clock::now());
  const Instant between = now();
  CHECK(between >= before);
  CHECK(between <= std::chrono::system_clock::now());
}

}  // namespace pitr
