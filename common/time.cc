#include "common/time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr std::int64_t kPerSecond = 1'000'000;
constexpr std::int64_t kPostgresEpoch = 946'684'800 * kPerSecond;  // 2000-01-01 00:00:00 UTC

// Not std::chrono::floor(): the second in which the first instants lie begins before them.
std::int64_t microseconds_of_second(Instant instant) {
  const std::int64_t rest = instant.time_since_epoch().count() % kPerSecond;
  return rest < 0 ? rest + kPerSecond : rest;
}

std::int64_t whole_seconds(Instant instant) {
  const std::int64_t count = instant.time_since_epoch().count();
  return count / kPerSecond - (count % kPerSecond < 0 ? 1 : 0);
}

std::int64_t limit_towards(std::int64_t number) {
  return number < 0 ? std::numeric_limits<std::int64_t>::min()
                    : std::numeric_limits<std::int64_t>::max();
}

std::int64_t sum_within_limits(std::int64_t number, std::int64_t added) {
  std::int64_t sum = 0;
  return __builtin_add_overflow(number, added, &sum) ? limit_towards(added) : sum;
}

// A date and a time of day without a zone.
struct WallTime {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  std::int64_t microsecond = 0;
};

// Takes characters off the front of a text; every function says whether it took something.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void skip_spaces() {
    while (take(' ')) {
    }
  }

  // Exactly `digits` decimal digits.
  bool take_number(std::size_t digits, int& number) {
    if (rest_.size() < digits || rest_.front() == '-') return false;
    const char* begin = rest_.data();
    const auto [end, error] = std::from_chars(begin, begin + digits, number);
    if (error != std::errc() || end != begin + digits) return false;
    rest_.remove_prefix(digits);
    return true;
  }

  // The digits after the decimal point; more than six are cut off, as PostgreSQL's are rounded
  // away.
  bool take_fraction(std::int64_t& microsecond) {
    std::int64_t unit = 100'000;
    const std::size_t before = rest_.size();
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      microsecond += (rest_.front() - '0') * unit;
      unit /= 10;
      rest_.remove_prefix(1);
    }
    return rest_.size() < before;
  }

  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

bool in_range(const WallTime& wall) {
  const std::chrono::year_month_day date(std::chrono::year(wall.year),
                                         std::chrono::month(static_cast<unsigned>(wall.month)),
                                         std::chrono::day(static_cast<unsigned>(wall.day)));
  return date.ok() && wall.hour <= 23 && wall.minute <= 59 && wall.second <= 60;
}

// "2026-11-22 14:03:27.5" or the basic form "20261122T140327"; a date alone is midnight.
std::optional<WallTime> take_wall_time(Scanner& scanner) {
  WallTime wall;
  if (!scanner.take_number(4, wall.year)) return std::nullopt;
  const bool dashes = scanner.take('-');
  if (!scanner.take_number(2, wall.month) || (dashes && !scanner.take('-')) ||
      !scanner.take_number(2, wall.day)) {
    return std::nullopt;
  }
  const std::string_view date_only = scanner.rest();
  if (scanner.take('T') || scanner.take('t') || scanner.take(' ')) {
    scanner.skip_spaces();
    if (!scanner.take_number(2, wall.hour)) {
      scanner = Scanner(date_only);
      return in_range(wall) ? std::optional(wall) : std::nullopt;
    }
    const bool colons = scanner.take(':');
    if (!scanner.take_number(2, wall.minute)) return std::nullopt;
    if (colons ? scanner.take(':') : !scanner.rest().empty()) {
      if (!scanner.take_number(2, wall.second) && colons) return std::nullopt;
      if (scanner.take('.') && !scanner.take_fraction(wall.microsecond)) return std::nullopt;
    }
  }
  return in_range(wall) ? std::optional(wall) : std::nullopt;
}

Instant as_utc(const WallTime& wall) {
  const std::chrono::sys_days date = std::chrono::year_month_day(
      std::chrono::year(wall.year), std::chrono::month(static_cast<unsigned>(wall.month)),
      std::chrono::day(static_cast<unsigned>(wall.day)));
  return Instant(date) + std::chrono::hours(wall.hour) + std::chrono::minutes(wall.minute) +
         seconds(wall.second) + microseconds(wall.microsecond);
}

// The instant at which clocks of the current TZ show `wall`, read with the given tm_isdst; nothing
// when that reading shows another time of day.
std::optional<Instant> as_local(const WallTime& wall, int is_dst) {
  std::tm parts{};
  parts.tm_year = wall.year - 1900;
  parts.tm_mon = wall.month - 1;
  parts.tm_mday = wall.day;
  parts.tm_hour = wall.hour;
  parts.tm_min = wall.minute;
  parts.tm_sec = wall.second;
  parts.tm_isdst = is_dst;
  const std::time_t time = std::mktime(&parts);
  if (parts.tm_hour != wall.hour || parts.tm_min != wall.minute || parts.tm_mday != wall.day) {
    return std::nullopt;
  }
  return Instant(seconds(time)) + microseconds(wall.microsecond);
}

Instant resolve_local(const WallTime& wall, std::string_view text) {
  if (wall.second == 60) {  // a leap second, the first of the next minute as in PostgreSQL
    WallTime before = wall;
    before.second = 59;
    return resolve_local(before, text) + seconds(1);
  }
  const std::optional<Instant> standard = as_local(wall, 0);
  const std::optional<Instant> summer = as_local(wall, 1);
  if (standard && summer && *standard != *summer) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("the local time \"{}\" exists twice", text),
                 .detail = fmt::format("It is {} before the clocks are set back and {} after.",
                                       to_utc_text(*summer), to_utc_text(*standard)),
                 .hint = "Write the time with its offset from UTC."});
  }
  if (!standard && !summer) {
    const Instant as_if_utc = as_utc(wall);
    const std::time_t around = whole_seconds(as_if_utc);
    std::tm before{};
    const std::time_t day_before = around - 86'400;
    localtime_r(&day_before, &before);
    const Instant first = as_if_utc - seconds(before.tm_gmtoff);
    std::tm after{};
    const std::time_t day_after = around + 86'400;
    localtime_r(&day_after, &after);
    const Instant second = as_if_utc - seconds(after.tm_gmtoff);
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("the local time \"{}\" never existed", text),
                 .detail = fmt::format(
                     "The clocks were set forward over it: with the earlier offset it would be {}, "
                     "with the later one {}.",
                     to_utc_text(first), to_utc_text(second)),
                 .hint = "Write the time with its offset from UTC."});
  }
  return standard ? *standard : *summer;
}

// "+01", "-0330", "+05:30", "+01:02:03": seconds east of UTC.
std::optional<std::int64_t> parse_offset(std::string_view text) {
  Scanner scanner(text);
  const bool west = scanner.take('-');
  if (!west && !scanner.take('+')) return std::nullopt;
  int hours = 0;
  int minutes = 0;
  int second = 0;
  if (!scanner.take_number(2, hours)) return std::nullopt;
  scanner.take(':');
  if (!scanner.rest().empty() && !scanner.take_number(2, minutes)) return std::nullopt;
  scanner.take(':');
  if (!scanner.rest().empty() && !scanner.take_number(2, second)) return std::nullopt;
  if (!scanner.rest().empty() || hours > 15 || minutes > 59 || second > 59) return std::nullopt;
  const std::int64_t total = hours * 3600 + minutes * 60 + second;
  return west ? -total : total;
}

bool is_known_zone(std::string_view name) {
  // What PostgreSQL reads as an abbreviation it gives a fixed offset: CET is +01 in summer, too.
  // The zone of that name has summer time.
  const bool is_abbreviation =
      std::all_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  if (is_abbreviation) return false;
  if (name.empty() || name.front() == '/' || name.find("..") != std::string_view::npos)
    return false;
  const std::string path = fmt::format("/usr/share/zoneinfo/{}", name);
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4> magic{};  // the folder also holds directories and tables of names
  return file.read(magic.data(), magic.size()) &&
         std::string_view(magic.data(), magic.size()) == "TZif";
}

Instant resolve_in_zone(const WallTime& wall, const std::string& zone, std::string_view text) {
  const char* set = std::getenv("TZ");
  const std::optional<std::string> previous = set ? std::optional<std::string>(set) : std::nullopt;
  const auto put_back = [&previous] {
    if (previous) {
      setenv("TZ", previous->c_str(), 1);
    } else {
      unsetenv("TZ");
    }
    tzset();
  };
  setenv("TZ", zone.c_str(), 1);
  tzset();
  try {
    const Instant instant = resolve_local(wall, text);
    put_back();
    return instant;
  } catch (const Error&) {
    put_back();
    throw;
  }
}

// "10 minutes ago", "1 hour 30 minutes ago".
std::optional<Instant> parse_ago(std::string_view text, Instant current) {
  constexpr std::array<std::pair<std::string_view, std::int64_t>, 10> kUnits = {{
      {"second", 1},
      {"sec", 1},
      {"s", 1},
      {"minute", 60},
      {"min", 60},
      {"hour", 3600},
      {"h", 3600},
      {"day", 86'400},
      {"d", 86'400},
      {"week", 604'800},
  }};
  constexpr std::int64_t kLongestAgo = 10'000LL * 366 * 86'400;  // keeps the arithmetic harmless
  if (!text.ends_with(" ago")) return std::nullopt;
  text.remove_suffix(4);
  std::int64_t total = 0;
  bool any = false;
  while (!text.empty()) {
    while (text.starts_with(' '))
      text.remove_prefix(1);
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || count < 0 || count > 1'000'000'000) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    while (text.starts_with(' '))
      text.remove_prefix(1);
    std::string_view unit = text.substr(0, text.find(' '));
    text.remove_prefix(unit.size());
    if (unit.size() > 2 && unit.ends_with('s')) unit.remove_suffix(1);
    std::int64_t factor = 0;
    for (const auto& [name, seconds_each] : kUnits) {
      if (unit == name) factor = seconds_each;
    }
    if (factor == 0) return std::nullopt;
    total += count * factor;
    if (total > kLongestAgo) return std::nullopt;
    any = true;
  }
  if (!any) return std::nullopt;
  return current - seconds(total);
}

}  // namespace

Instant now() { return std::chrono::floor<microseconds>(std::chrono::system_clock::now()); }

Instant from_unix_time(std::int64_t whole_seconds) {
  std::int64_t count = 0;
  if (__builtin_mul_overflow(whole_seconds, kPerSecond, &count))
    count = limit_towards(whole_seconds);
  return Instant(microseconds(count));
}

Instant from_postgres_time(std::int64_t microseconds_since_2000) {
  return Instant(microseconds(sum_within_limits(microseconds_since_2000, kPostgresEpoch)));
}

std::int64_t to_postgres_time(Instant instant) {
  return sum_within_limits(instant.time_since_epoch().count(), -kPostgresEpoch);
}

std::string to_utc_text(Instant instant) {
  const std::time_t time = whole_seconds(instant);
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     microseconds_of_second(instant));
}

std::string to_local_text(Instant instant) {
  const std::time_t time = whole_seconds(instant);
  std::tm parts{};
  localtime_r(&time, &parts);
  const long offset = parts.tm_gmtoff < 0 ? -parts.tm_gmtoff : parts.tm_gmtoff;
  std::string text =
      fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}{}{:02}:{:02}", parts.tm_year + 1900,
                  parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                  microseconds_of_second(instant), parts.tm_gmtoff < 0 ? '-' : '+', offset / 3600,
                  offset / 60 % 60);
  // A place's own mean time, before there were zones.
  if (offset % 60 != 0) text += fmt::format(":{:02}", offset % 60);
  return text;
}

Instant parse_instant(std::string_view text, Instant current) {
  while (text.starts_with(' '))
    text.remove_prefix(1);
  while (text.ends_with(' '))
    text.remove_suffix(1);
  if (text == "now") return current;
  if (const auto ago = parse_ago(text, current)) return *ago;

  Scanner scanner(text);
  if (const auto wall = take_wall_time(scanner)) {
    scanner.skip_spaces();
    const std::string zone(scanner.rest());
    if (zone.empty()) return resolve_local(*wall, text);
    if (zone == "Z" || zone == "z" || zone == "UTC" || zone == "GMT") return as_utc(*wall);
    if (const auto offset = parse_offset(zone)) return as_utc(*wall) - seconds(*offset);
    if (is_known_zone(zone)) return resolve_in_zone(*wall, zone, text);
  }
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("invalid time \"{}\"", text),
               .hint = "Write it like \"2026-11-22 14:03:27+01:00\", \"2026-11-22T13:03:27Z\" or "
                       "\"10 minutes ago\"."});
}

}  // namespace pitr
