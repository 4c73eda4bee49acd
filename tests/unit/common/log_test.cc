#include "common/log.h"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "harness/environment.h"

namespace pitr {

using testing::stderr_of;

namespace {

// Puts back what the tests usually run with.
class LogSetting {
 public:
  LogSetting(LogLevel level, LogFormat format) { set_log(level, format); }
  LogSetting(const LogSetting&) = delete;
  LogSetting& operator=(const LogSetting&) = delete;
  LogSetting(LogSetting&&) = delete;
  LogSetting& operator=(LogSetting&&) = delete;
  ~LogSetting() { set_log(LogLevel::kError, LogFormat::kText); }
};

void log_one_of_each() {
  log_error({.kind = ErrorKind::kSystem, .message = "e"});
  log_warning("w");
  log_info("i");
  log_debug("d");
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace

TEST_CASE("a log level shows itself and what is graver", "[common]") {
  const auto [level, expected] = GENERATE(table<LogLevel, std::string>({
      {LogLevel::kError, "ERROR:  e\n"},
      {LogLevel::kWarning, "ERROR:  e\nWARNING:  w\n"},
      {LogLevel::kInfo, "ERROR:  e\nWARNING:  w\nINFO:  i\n"},
      {LogLevel::kDebug, "ERROR:  e\nWARNING:  w\nINFO:  i\nDEBUG:  d\n"},
  }));
  const LogSetting setting(level, LogFormat::kText);
  CHECK(stderr_of(log_one_of_each) == expected);
}

TEST_CASE("as JSON every line is one object with the fields of the report", "[common]") {
  const LogSetting setting(LogLevel::kDebug, LogFormat::kJson);
  const auto lines = lines_of(stderr_of([] {
    log_error({.kind = ErrorKind::kCorrupt, .message = "m", .detail = "D.", .hint = "H."});
    log_warning("w");
  }));
  REQUIRE(lines.size() == 2);
  const auto error = nlohmann::json::parse(lines[0]);
  CHECK(error.at("level") == "ERROR");
  CHECK(error.at("message") == "m");
  CHECK(error.at("detail") == "D.");
  CHECK(error.at("hint") == "H.");
  CHECK(error.at("time").get<std::string>().size() ==
        std::string("2026-11-22T10:00:00.123456Z").size());
  const auto warning = nlohmann::json::parse(lines[1]);
  CHECK(warning.at("level") == "WARNING");
  CHECK(warning.at("message") == "w");
  CHECK_FALSE(warning.contains("detail"));
  CHECK_FALSE(warning.contains("hint"));
}

TEST_CASE("a message with quotes, backslashes and control characters stays one JSON line",
          "[common]") {
  const LogSetting setting(LogLevel::kWarning, LogFormat::kJson);
  std::string message = "a \"path\" with \\ and";
  for (char c = 1; c < 0x20; ++c)
    message += c;
  message += "\x7f \xC3\xA4";
  const auto lines = lines_of(stderr_of([&] { log_warning(message); }));
  REQUIRE(lines.size() == 1);
  CHECK(nlohmann::json::parse(lines[0]).at("message") == message);
}

// A file name is any bytes; JSON is UTF-8 (RFC 8259, 8.1), and a collector drops what is not JSON.
TEST_CASE("a message that is no UTF-8 is JSON all the same", "[common]") {
  const LogSetting setting(LogLevel::kWarning, LogFormat::kJson);
  for (const char* message : {"/srv/\xFF", "cut off \xC3", "overlong \xC0\x80", "\x80\x80"}) {
    const auto lines = lines_of(stderr_of([&] { log_warning(message); }));
    REQUIRE(lines.size() == 1);
    CHECK(nlohmann::json::accept(lines[0]));
  }
}

TEST_CASE("lines of many threads do not mix", "[common]") {
  const LogSetting setting(LogLevel::kWarning, LogFormat::kText);
  const std::string text = stderr_of([] {
    std::vector<std::thread> threads;
    for (char c = 'a'; c < 'e'; ++c) {
      threads.emplace_back([c] {
        for (int i = 0; i < 100; ++i)
          log_warning(std::string(300, c));
      });
    }
    for (std::thread& thread : threads)
      thread.join();
  });
  const auto lines = lines_of(text);
  CHECK(lines.size() == 400);
  for (const std::string& line : lines)
    CHECK(line == fmt::format("WARNING:  {}", std::string(300, line.back())));
}

TEST_CASE("a message of a megabyte is printed whole", "[common]") {
  const LogSetting setting(LogLevel::kWarning, LogFormat::kText);
  const std::string message(1U << 20, 'x');
  CHECK(stderr_of([&] { log_warning(message); }) == "WARNING:  " + message + "\n");
}

TEST_CASE("a sink takes the lines of the set level in stderr's place", "[common]") {
  static std::vector<std::pair<LogLevel, std::string>> taken;
  taken.clear();
  const LogSetting setting(LogLevel::kInfo, LogFormat::kJson);
  set_log_sink(
      [](LogLevel level, const ErrorReport& report) { taken.emplace_back(level, report.message); });
  const std::string printed = stderr_of(log_one_of_each);
  set_log_sink(nullptr);

  CHECK(printed.empty());
  const std::vector<std::pair<LogLevel, std::string>> expected = {
      {LogLevel::kError, "e"}, {LogLevel::kWarning, "w"}, {LogLevel::kInfo, "i"}};
  CHECK(taken == expected);
  CHECK_FALSE(stderr_of(log_one_of_each).empty());
}

}  // namespace pitr
