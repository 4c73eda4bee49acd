#include "pitr/audit_reader.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/errors.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::TemporaryDirectory;
using testing::write_file;

namespace {

// As audit_log.cc writes it.
std::string line_of(int second, const std::string& outcome = "ok") {
  return fmt::format(
      R"({{"format":1,"time":"2026-11-22T10:00:{:02}.000000Z","started_at":"2026-11-22T09:00:00.000000Z",)"
      R"("command":"verify","cluster":"main","system_identifier":"7301122034409873321","host":"db1",)"
      R"("user":"postgres","pid":4711,"outcome":"{}","status":0,"error":null,"did":{{"problems":2}}}})"
      "\n",
      second, outcome);
}

}  // namespace

TEST_CASE("a line of the audit log gives back what it says", "[pitr]") {
  const auto entry = parse_audit_line(line_of(7, "finding"));
  REQUIRE(entry);
  CHECK(to_utc_text(entry->ended_at) == "2026-11-22T10:00:07.000000Z");
  CHECK(to_utc_text(entry->started_at.value()) == "2026-11-22T09:00:00.000000Z");
  CHECK(entry->command == "verify");
  CHECK(entry->cluster == "main");
  CHECK(entry->system_identifier == 7301122034409873321U);
  CHECK(entry->has_answer());
  CHECK(number_in(entry->did, "problems") == 2.0);
  CHECK_FALSE(number_in(entry->did, "no_such"));
}

TEST_CASE("what is not a whole line of ours is passed over", "[pitr]") {
  const std::string line = GENERATE(
      "", "{", "null", "[]", "\"text\"", "17", "{}", "\xFF\xFE", R"({"time": 5, "command": "x"})",
      R"({"time":"2026-11-22T10:00:00Z","outcome":"ok"})",
      R"({"time":"yesterday Z","command":"verify","outcome":"ok"})",
      R"({"time":"2026-11-22T10:00:00+01","command":"verify","outcome":"ok"})",
      R"({"time":"2026-11-22T10:00:00Z","command":["verify"],"outcome":"ok"})");
  CAPTURE(line);
  CHECK_FALSE(parse_audit_line(line));
  CHECK_FALSE(parse_audit_line(line_of(1).substr(0, 80)));
}

TEST_CASE("fields of the wrong type are as if they were not there", "[pitr]") {
  const auto entry = parse_audit_line(
      R"({"time":"2026-11-22T10:00:00Z","command":"drill","outcome":"failed","cluster":7,)"
      R"("system_identifier":-1,"started_at":{},"did":"much"})");
  REQUIRE(entry);
  CHECK(entry->cluster.empty());
  CHECK_FALSE(entry->system_identifier);
  CHECK_FALSE(entry->started_at);
  CHECK(entry->did.empty());
  CHECK_FALSE(entry->has_answer());
}

TEST_CASE("lines around a torn one are read, the last one without its end too", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "audit.log";
  std::string last = line_of(3);
  last.pop_back();
  write_file(path, line_of(1) + line_of(2).substr(0, 60) + "\n\n\0x\n" + last);
  const auto entries = read_audit_tail(path);
  REQUIRE(entries.size() == 2);
  CHECK(entries.front().ended_at < entries.back().ended_at);
}

TEST_CASE("of a long file only the end is read", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "audit.log";
  std::string text(5 << 20, 'x');  // a single line of 5 MiB
  text += "\n";
  for (int i = 0; i < 50; ++i)
    text += line_of(i);
  write_file(path, text);
  CHECK(read_audit_tail(path).size() == 50);
  const auto length = line_of(1).size();
  const auto entries = read_audit_tail(path, length * 3 + 20);
  REQUIRE(entries.size() == 3);
  CHECK(to_utc_text(entries.back().ended_at) == "2026-11-22T10:00:49.000000Z");
  CHECK(read_audit_tail(path, 10).empty());
}

TEST_CASE("no file is no entry; what is no file is an error", "[pitr]") {
  const TemporaryDirectory directory;
  CHECK(read_audit_tail(directory / "audit.log").empty());
  CHECK(read_audit_tail(directory / "nowhere/audit.log").empty());
  write_file(directory / "empty", std::string_view());
  CHECK(read_audit_tail(directory / "empty").empty());
  CHECK(testing::error_kind_of([&] { read_audit_tail(directory.path()); }) == ErrorKind::kSystem);
}

}  // namespace pitr
