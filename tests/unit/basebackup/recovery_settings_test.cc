#include "basebackup/recovery_settings.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace pitr {

namespace {

using Kind = RecoveryTarget::Kind;

RecoverySettings usual_settings() {
  RecoverySettings settings{.target = {.kind = Kind::kLsn, .lsn = 0xA02000028}};
  settings.timeline = 3;
  settings.action = "pause";
  settings.restore_command = "pitr-restore %f %p";
  return settings;
}

std::string merged(const RecoverySettings& settings) {
  return merge_recovery_settings("", settings);
}

// The value of the last line that sets `name`, as it is written; empty: none does.
std::string last_value(const std::string& text, const std::string& name) {
  const std::size_t at = text.rfind("\n" + name + " = ");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 4;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

}  // namespace

TEST_CASE("a restore_command quotes what the shell would take apart", "[basebackup]") {
  CHECK(make_restore_command("/usr/bin/pitr-restore", {"--config", "/etc/pitr.toml"}) ==
        "/usr/bin/pitr-restore --config /etc/pitr.toml %f %p");
  CHECK(make_restore_command("pitr-restore", {}) == "pitr-restore %f %p");
  CHECK(make_restore_command("/my dir/pitr-restore", {"it's", "", "a;b", "$HOME", "\\"}) ==
        R"('/my dir/pitr-restore' 'it'\''s' '' 'a;b' '$HOME' '\' %f %p)");
}

TEST_CASE("a percent sign of a path is doubled for PostgreSQL", "[basebackup]") {
  CHECK(make_restore_command("/100%/pitr-restore", {"%f"}) == "'/100%%/pitr-restore' '%%f' %f %p");
}

TEST_CASE("a value is quoted as PostgreSQL's configuration file wants it", "[basebackup]") {
  RecoverySettings settings = usual_settings();
  settings.restore_command = "a 'b' \\ c\nd % \xFF";
  CHECK(last_value(merged(settings), "restore_command") == R"('a ''b'' \\ c\nd % )"
                                                           "\xFF'");
  settings = usual_settings();
  settings.target = {.kind = Kind::kName, .name = "it's \\"};
  CHECK(last_value(merged(settings), "recovery_target_name") == R"('it''s \\')");
}

TEST_CASE("exactly one target is set, and it stands last", "[basebackup]") {
  struct Expected {
    RecoveryTarget target;
    std::string line;
  };
  const Instant time = Instant(std::chrono::microseconds(1'795'000'000'123'456));
  const Expected expected = GENERATE_COPY(values<Expected>(
      {{{.kind = Kind::kTime, .time = time},
        "recovery_target_time = '2026-11-18 11:06:40.123456+00'"},
       {{.kind = Kind::kLsn, .lsn = 0xA02000028}, "recovery_target_lsn = 'A/2000028'"},
       {{.kind = Kind::kXid, .xid = (1ULL << 32) + 7}, "recovery_target_xid = '7'"},
       {{.kind = Kind::kName, .name = "before_drop"}, "recovery_target_name = 'before_drop'"},
       {{.kind = Kind::kImmediate}, "recovery_target = 'immediate'"}}));
  RecoverySettings settings = usual_settings();
  settings.target = expected.target;
  settings.extra = {{"port", "5433"}};
  const std::string text = merged(settings);
  CAPTURE(text);
  CHECK(text.ends_with("\n" + expected.line + "\n"));
  CHECK(last_value(text, "recovery_target_action") == "'pause'");
  CHECK(last_value(text, "recovery_target_inclusive") == "'on'");
  CHECK(last_value(text, "recovery_target_timeline") == "'3'");
  CHECK(last_value(text, "port") == "'5433'");
  // An empty value after a set one would be "multiple recovery targets specified".
  const std::string name = expected.line.substr(0, expected.line.find(' '));
  CHECK(count(text, "\n" + name + " = ") == 1);
  std::size_t empty = 0;
  for (const char* other : {"recovery_target", "recovery_target_lsn", "recovery_target_name",
                            "recovery_target_time", "recovery_target_xid"}) {
    empty += count(text, fmt::format("\n{} = ''\n", other));
  }
  CHECK(empty == 4);
}

TEST_CASE("an exclusive target is written as such", "[basebackup]") {
  RecoverySettings settings = usual_settings();
  settings.target.inclusive = false;
  CHECK(last_value(merged(settings), "recovery_target_inclusive") == "'off'");
}

TEST_CASE("the end of the WAL has no target at all", "[basebackup]") {
  RecoverySettings settings = usual_settings();
  settings.target = {};
  settings.timeline = 0;
  const std::string text = merged(settings);
  for (const char* name : {"recovery_target", "recovery_target_lsn", "recovery_target_name",
                           "recovery_target_time", "recovery_target_xid"}) {
    CHECK(last_value(text, name) == "''");
  }
  CHECK(last_value(text, "recovery_target_timeline") == "'latest'");
  CHECK(last_value(text, "recovery_target_action").empty());
}

TEST_CASE("what ended an earlier recovery is emptied", "[basebackup]") {
  const std::string text = merged(usual_settings());
  CHECK(last_value(text, "archive_cleanup_command") == "''");
  CHECK(last_value(text, "recovery_end_command") == "''");
  CHECK(last_value(text, "restore_command") == "'pitr-restore %f %p'");
  CHECK(last_value(text, "archive_mode").empty());
}

TEST_CASE("archiving is turned off when that is wanted", "[basebackup]") {
  RecoverySettings settings = usual_settings();
  settings.turn_archiving_off = true;
  CHECK(last_value(merge_recovery_settings("archive_mode = on\n", settings), "archive_mode") ==
        "'off'");
}

TEST_CASE("an earlier recovery's lines are removed whatever their case or spacing",
          "[basebackup]") {
  const std::string line =
      GENERATE("recovery_target_time = '2026-01-01'", "RECOVERY_TARGET_TIME='2026-01-01'",
               "  Recovery_Target_Time   '2026-01-01'  # comment",
               "\trecovery_target_time\t=\t'2026-01-01'", "recovery_target_time='2026-01-01'\r",
               "\rrecovery_target_time = '2026-01-01'", "Restore_Command = '2026-01-01'",
               "archive_cleanup_command='2026-01-01'", "recovery_end_command = '2026-01-01'",
               "recovery_target_timeline 2026-01-01", "recovery_min_apply_delay = '2026-01-01'");
  CAPTURE(line);
  for (const std::string& existing :
       {"a = 1\n" + line + "\nb = 2\n", line + "\na = 1\nb = 2", "a = 1\nb = 2\n" + line}) {
    const std::string text = merge_recovery_settings(existing, usual_settings());
    CHECK(count(text, "2026-01-01") == 0);
    CHECK(text.starts_with("a = 1\nb = 2\n"));
  }
}

TEST_CASE("every other line is kept as it is", "[basebackup]") {
  const std::string existing =
      "# Do not edit this file manually!\n# recovery_target_time = 'x'\n\nshared_buffers = '1GB'\n"
      "my.recovery_target = 'x'\nprimary_conninfo = 'host=recovery_target'\n"
      "\xFF\xFE\n'quoted'\n";
  const std::string text = merge_recovery_settings(existing, usual_settings());
  CHECK(text.starts_with(existing));
  CHECK(merge_recovery_settings("", usual_settings()) == text.substr(existing.size()));
}

TEST_CASE("a second merge replaces the first", "[basebackup]") {
  RecoverySettings other = usual_settings();
  other.target = {.kind = Kind::kXid, .xid = 7};
  const std::string text = merge_recovery_settings(merged(other), usual_settings());
  CHECK(count(text, "recovery_target_xid = '7'") == 0);
  CHECK(count(text, "\nrestore_command = ") == 1);
  CHECK(text.ends_with("recovery_target_lsn = 'A/2000028'\n"));
}

}  // namespace pitr
