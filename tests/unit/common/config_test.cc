#include "common/config.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/child_process.h"
#include "harness/environment.h"
#include "harness/errors.h"
#include "harness/temporary_directory.h"

namespace pitr {

using std::chrono::milliseconds;
using testing::EnvironmentVariable;
using testing::error_kind_of;
using testing::error_of;
using testing::TemporaryDirectory;
using testing::words;

namespace {

constexpr const char* kMinimal = "[repository]\nurl = \"file:///srv/pitr\"\n";

// Nothing of the environment that the tests are run in may show.
class CleanEnvironment {
 public:
  CleanEnvironment() {
    std::vector<std::string> names;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const std::string_view text(*variable);
      if (text.starts_with("PITR_")) names.emplace_back(text.substr(0, text.find('=')));
    }
    for (const std::string& name : names)
      unset_.push_back(std::make_unique<EnvironmentVariable>(name, std::nullopt));
  }

 private:
  std::vector<std::unique_ptr<EnvironmentVariable>> unset_;
};

struct ConfigFile {
  CleanEnvironment environment;
  TemporaryDirectory directory;
  std::string path = directory / "pitr.toml";

  explicit ConfigFile(std::string_view text) {
    testing::write_file(path, text);
    chmod(path.c_str(), 0600);  // whatever the umask
  }
  Config load() const { return load_config(path); }
};

Config loaded(const std::string& text) { return ConfigFile(text).load(); }
Config with_minimal(const std::string& text) { return loaded(kMinimal + text); }
ErrorReport refusal(const std::string& text) {
  return error_of([&] { loaded(text); });
}

}  // namespace

TEST_CASE("a file with a repository alone gives every default", "[common]") {
  const Config config = loaded(kMinimal);
  CHECK(config.repository.url == "file:///srv/pitr");
  CHECK(repository_path(config) == "/srv/pitr");
  CHECK(config.repository.compression == "lz4");
  CHECK(config.cluster.name == "main");
  CHECK(config.cluster.data_directory.empty());
  CHECK(config.cluster.connection == "dbname=postgres");
  CHECK(config.state.directory == "/var/lib/pitr");
  CHECK(config.archive.jobs == 2);
  CHECK(config.archive.look_ahead == 8);
  CHECK(config.archive.look_ahead_time == milliseconds(40));
  CHECK(config.restore.jobs == 2);
  CHECK(config.restore.retry_time == milliseconds(10'000));
  CHECK(config.restore.standby_unreachable == StandbyUnreachable::kWait);
  CHECK(config.restore.prefetch == 16);
  CHECK(config.backup.jobs == 2);
  CHECK(config.backup.rate_limit_bytes_per_second == 0);
  CHECK_FALSE(config.backup.low_priority);
  CHECK(config.backup.wal_timeout == milliseconds(600'000));
  CHECK(config.io.ring == RingMode::kAuto);
  CHECK(config.audit.file.empty());
  CHECK(config.retention.is_empty());
  CHECK(config.retention_after_restore == std::chrono::hours(48));
}

TEST_CASE("every option of a file arrives in its place", "[common]") {
  const Config config = loaded(R"(
[cluster]
name = "east-1"
data_directory = "/srv/pg/15/"
connection = "host=/tmp port=5433"
[repository]
url = "file:///srv/pitr/"
compression = "zstd:19"
[state]
directory = "/srv/state"
[archive]
jobs = 64
look_ahead = 0
look_ahead_time = "1s"
[restore]
jobs = 1
retry_time = "1min"
prefetch = 0
standby_unreachable = "stop"
[backup]
jobs = 4
rate_limit = "100MiB"
priority = "low"
wal_timeout = "2h"
[io]
ring = "off"
[audit]
file = "/var/log/pitr/audit.log"
[retention]
backups = 2
days = 14
daily = 7
weekly = 5
monthly = 12
yearly = 100000
after_restore = "1d"
)");
  CHECK(config.cluster.name == "east-1");
  CHECK(config.cluster.data_directory == "/srv/pg/15");
  CHECK(config.cluster.connection == "host=/tmp port=5433");
  CHECK(config.repository.url == "file:///srv/pitr");
  CHECK(config.repository.compression == "zstd:19");
  CHECK(config.state.directory == "/srv/state");
  CHECK(config.archive.jobs == 64);
  CHECK(config.archive.look_ahead == 0);
  CHECK(config.archive.look_ahead_time == milliseconds(1000));
  CHECK(config.restore.jobs == 1);
  CHECK(config.restore.retry_time == milliseconds(60'000));
  CHECK(config.restore.prefetch == 0);
  CHECK(config.restore.standby_unreachable == StandbyUnreachable::kStop);
  CHECK(config.backup.jobs == 4);
  CHECK(config.backup.rate_limit_bytes_per_second == 104'857'600);
  CHECK(config.backup.low_priority);
  CHECK(config.backup.wal_timeout == milliseconds(7'200'000));
  CHECK(config.io.ring == RingMode::kOff);
  CHECK(config.audit.file == "/var/log/pitr/audit.log");
  CHECK(config.retention.backups == 2);
  CHECK(config.retention.days == 14);
  CHECK(config.retention.daily == 7);
  CHECK(config.retention.weekly == 5);
  CHECK(config.retention.monthly == 12);
  CHECK(config.retention.yearly == 100'000);
  CHECK_FALSE(config.retention.is_empty());
  CHECK(config.retention_after_restore == std::chrono::hours(24));
}

TEST_CASE("the environment overrides the file", "[common]") {
  const ConfigFile file(kMinimal + std::string("[archive]\njobs = 3\n[io]\nring = \"off\"\n"));
  const EnvironmentVariable url("PITR_REPOSITORY_URL", "file:///elsewhere");
  const EnvironmentVariable jobs("PITR_ARCHIVE_JOBS", "7");
  const EnvironmentVariable time("PITR_RESTORE_RETRY_TIME", "5s");
  const EnvironmentVariable standby("PITR_RESTORE_STANDBY_UNREACHABLE", "stop");
  const Config config = file.load();
  CHECK(config.repository.url == "file:///elsewhere");
  CHECK(config.archive.jobs == 7);
  CHECK(config.restore.retry_time == milliseconds(5000));
  CHECK(config.restore.standby_unreachable == StandbyUnreachable::kStop);
  CHECK(config.io.ring == RingMode::kOff);
}

TEST_CASE("a bad value in the environment is named by its variable", "[common]") {
  const auto [name, value] = GENERATE(table<std::string, std::string>({
      {"PITR_ARCHIVE_JOBS", "0"},
      {"PITR_ARCHIVE_JOBS", "2x"},
      {"PITR_ARCHIVE_JOBS", "-1"},
      {"PITR_ARCHIVE_JOBS", ""},
      {"PITR_ARCHIVE_JOBS", "4294967298"},
      {"PITR_ARCHIVE_LOOK_AHEAD", "65"},
      {"PITR_ARCHIVE_LOOK_AHEAD", ""},
      {"PITR_ARCHIVE_LOOK_AHEAD_TIME", "soon"},
      {"PITR_CLUSTER_NAME", ""},
      {"PITR_REPOSITORY_URL", "/srv/pitr"},
      {"PITR_IO_RING", "on"},
  }));
  const ConfigFile file(kMinimal);
  const EnvironmentVariable variable(name, value);
  CAPTURE(name, value);
  const ErrorReport report = error_of([&] { file.load(); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains(name));
  CHECK_THAT(report.detail, Catch::Contains("Expected"));
}

TEST_CASE("the given path comes before PITR_CONFIG, and both are made absolute", "[common]") {
  const ConfigFile given("[repository]\nurl = \"file:///given\"\n");
  const ConfigFile named("[repository]\nurl = \"file:///named\"\n");
  const EnvironmentVariable variable("PITR_CONFIG", named.path);
  CHECK(repository_path(given.load()) == "/given");
  const Config config = load_config("");
  CHECK(repository_path(config) == "/named");
  CHECK(config.path == named.path);
}

TEST_CASE("a relative path is kept as an absolute one", "[common]") {
  const ConfigFile file(kMinimal);
  const std::filesystem::path before = std::filesystem::current_path();
  REQUIRE(chdir(file.directory.path().c_str()) == 0);
  const Config config = load_config("pitr.toml");
  REQUIRE(chdir(before.c_str()) == 0);
  CHECK(config.path == file.path);
}

TEST_CASE("a file that was named must be there", "[common]") {
  const CleanEnvironment clean;
  const TemporaryDirectory directory;
  const std::string missing = directory / "missing.toml";
  const EnvironmentVariable url("PITR_REPOSITORY_URL", "file:///srv/pitr");
  CHECK_THAT(error_of([&] { load_config(missing); }).message, Catch::Contains(missing));
  const EnvironmentVariable variable("PITR_CONFIG", missing);
  CHECK_THAT(error_of([] { load_config(""); }).message, Catch::Contains(missing));
}

TEST_CASE("no file is needed where the environment names the repository", "[common]") {
  if (access("/etc/pitr/pitr.toml", F_OK) == 0) return;  // this host has one
  const CleanEnvironment clean;
  const ErrorReport report = error_of([] { load_config(""); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(words(report), Catch::Contains("no repository is configured") &&
                                Catch::Contains("/etc/pitr/pitr.toml") &&
                                Catch::Contains("PITR_REPOSITORY_URL"));
  const EnvironmentVariable url("PITR_REPOSITORY_URL", "file:///srv/pitr");
  const Config config = load_config("");
  CHECK(config.path.empty());
  CHECK(repository_path(config) == "/srv/pitr");
}

TEST_CASE("a file without a repository is refused by name", "[common]") {
  const ConfigFile file("[cluster]\nname = \"main\"\n");
  const ErrorReport report = error_of([&] { file.load(); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.detail, Catch::Contains(file.path));
}

TEST_CASE("an unknown section or key is refused with its line", "[common]") {
  const auto [text, line, unknown] = GENERATE(table<std::string, int, std::string>({
      {"\n[repositry]\nurl = \"file:///x\"\n", 2, "repositry"},
      {"[clutser]\nname = \"x\"\n", 1, "clutser"},
      {"[archive]\n\njob = 2\n", 3, "job"},
      {"[repository]\nURL = \"file:///x\"\n", 2, "URL"},
      {"[backup]\nrate_limt = \"1M\"\n", 2, "rate_limt"},
      {"url = \"file:///x\"\n", 1, "url"},
  }));
  const ConfigFile file(text);
  CAPTURE(text);
  const ErrorReport report = error_of([&] { file.load(); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains(fmt::format("{}:{}:", file.path, line)) &&
                                 Catch::Contains(unknown + "\""));
}

TEST_CASE("for an unknown section the nearest known one is suggested", "[common]") {
  CHECK_THAT(refusal("[repositry]\n").hint, Catch::Contains("\"repository\""));
  CHECK_THAT(refusal("[clutser]\n").hint, Catch::Contains("\"cluster\""));
  CHECK(refusal("[quite_something_else]\n").hint.empty());
}

TEST_CASE("for an unknown key the nearest one of its section is suggested", "[common]") {
  CHECK_THAT(refusal("[archive]\njob = 2\n").hint, Catch::Contains("jobs\""));
  CHECK_THAT(refusal("[repository]\nuri = \"file:///x\"\n").hint, Catch::Contains("url\""));
  CHECK_THAT(refusal("[backup]\nrate_limt = \"1M\"\n").hint, Catch::Contains("rate_limit\""));
}

TEST_CASE("a value of the wrong type is refused with what was expected", "[common]") {
  const std::string text = GENERATE(
      "[archive]\njobs = \"2\"\n", "[archive]\njobs = 2.0\n", "[archive]\njobs = true\n",
      "[archive]\njobs = [2]\n", "[cluster]\nname = 5\n", "[cluster]\nname = 2026-11-22\n",
      "[restore]\nretry_time = 10\n", "[io]\nring = false\n", "[state.directory]\nx = 1\n");
  CAPTURE(text);
  const ErrorReport report = refusal(text);
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("wrong type"));
  CHECK_THAT(report.message, Catch::Contains("pitr.toml:"));
}

TEST_CASE("a rehearsal's settings and questions arrive in their places", "[common]") {
  const ConfigFile file(std::string(kMinimal) + R"(
[drill]
directory = "/srv/scratch/"
bin_directory = "/opt/pg/bin"
timeout = "2h"
check_timeout = "90s"
promote = true
preload_libraries = "timescaledb"

[[drill.check]]
name = "orders"
sql = "SELECT count(*) > 0 FROM orders"

[[drill.check]]
name = "version"
database = "shop"
sql = "SELECT 1"
expect = "1"
)");
  const Config config = file.load();
  CHECK(config.drill.directory == "/srv/scratch");
  CHECK(config.drill.bin_directory == "/opt/pg/bin");
  CHECK(config.drill.timeout == milliseconds(7'200'000));
  CHECK(config.drill.check_timeout == milliseconds(90'000));
  CHECK(config.drill.promote);
  CHECK(config.drill.preload_libraries == "timescaledb");
  REQUIRE(config.drill.checks.size() == 2);
  CHECK(config.drill.checks[0].name == "orders");
  CHECK(config.drill.checks[0].database == "postgres");
  CHECK(config.drill.checks[0].expect == "true");
  CHECK(config.drill.checks[1].database == "shop");
  CHECK(config.drill.checks[1].expect == "1");
  const EnvironmentVariable promote("PITR_DRILL_PROMOTE", "false");
  CHECK_FALSE(file.load().drill.promote);
}

TEST_CASE("a question that cannot be asked is refused with its line", "[common]") {
  const auto [text, expected] = GENERATE(table<std::string, std::string>(
      {{"[[drill.check]]\nname = \"a\"\n", ":3: [[drill.check]] needs a name"},
       {"[[drill.check]]\nsql = \"SELECT 1\"\n", ":3: [[drill.check]] needs a name"},
       {"[[drill.check]]\nname = \"a\"\nsql = 1\n", ":5: drill.check.sql has the wrong type"},
       {"[[drill.check]]\nname = \"a\"\nexpects = \"1\"\n", "unknown key of [[drill.check]]"},
       {"[drill]\ncheck = 1\n", ":4: drill.check has the wrong type"},
       {"[drill]\ncheck = [1]\n", ":4: drill.check has the wrong type"},
       {"[drill.check]\nname = \"a\"\n", "drill.check has the wrong type"},
       {"[drill]\npromote = \"true\"\n", ":4: drill.promote has the wrong type"},
       {"[drill]\npromote = 1\n", ":4: drill.promote has the wrong type"},
       {"[drill]\ntimeout = true\n", ":4: drill.timeout has the wrong type"}}));
  CAPTURE(text);
  const ConfigFile file(kMinimal + text);
  CHECK(error_kind_of([&] { file.load(); }) == ErrorKind::kUsage);
  CHECK_THAT(words(error_of([&] { file.load(); })), Catch::Contains(expected));
}

TEST_CASE("an impossible value is refused with what was expected", "[common]") {
  const std::string text = GENERATE(
      "[archive]\njobs = 0\n", "[archive]\njobs = -1\n", "[archive]\njobs = 65\n",
      "[archive]\njobs = 4294967298\n", "[restore]\nprefetch = 1025\n",
      "[restore]\nprefetch = -1\n", "[restore]\nretry_time = \"-1s\"\n",
      "[restore]\nretry_time = \"soon\"\n", "[restore]\nretry_time = \"\"\n",
      "[restore]\nstandby_unreachable = \"Wait\"\n", "[backup]\nrate_limit = \"fast\"\n",
      "[backup]\nrate_limit = \"99999999999TiB\"\n", "[io]\nring = \"on\"\n",
      "[state]\ndirectory = \"state\"\n", "[state]\ndirectory = \"\"\n",
      "[cluster]\ndata_directory = \"./data\"\n", "[repository]\nurl = \"\"\n",
      "[repository]\nurl = \"/srv/pitr\"\n", "[repository]\nurl = \"file://srv/pitr\"\n",
      "[repository]\nurl = \"file://\"\n", "[repository]\nurl = \"http://host/\"\n",
      "[repository]\ncompression = \"\"\n", "[repository]\ncompression = \"gzip\"\n",
      "[repository]\ncompression = \"zstd:0\"\n", "[repository]\ncompression = \"zstd:20\"\n",
      "[repository]\ncompression = \"zstd:\"\n", "[repository]\ncompression = \"zstd:3x\"\n",
      "[repository]\ncompression = \"lz4:3\"\n");
  CAPTURE(text);
  const ErrorReport report = refusal(text);
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("pitr.toml:2: invalid value"));
  CHECK_THAT(report.detail, Catch::Contains("Expected"));
}

TEST_CASE("a cluster's name can be a part of every key", "[common]") {
  for (const char* name : {"a", "main", "eu-west_1.prod", "A9"})
    CHECK(with_minimal(fmt::format("[cluster]\nname = \"{}\"\n", name)).cluster.name == name);
  CHECK(with_minimal(fmt::format("[cluster]\nname = \"{:x>64}\"\n", "")).cluster.name.size() == 64);
  const std::string bad = GENERATE("", ".", "..", ".hidden", "-x", "a/b", "../x", "a b", "\xC3\xA4",
                                   std::string(65, 'x'), "a\\u0000b", "a\\n");
  CAPTURE(bad);
  CHECK(refusal(fmt::format("[cluster]\nname = \"{}\"\n", bad)).kind == ErrorKind::kUsage);
}

TEST_CASE("a path with a zero in it is refused: the system would cut it there", "[common]") {
  const std::string text = GENERATE("[repository]\nurl = \"file:///srv/\\u0000x\"\n",
                                    "[state]\ndirectory = \"/srv/\\u0000x\"\n",
                                    "[cluster]\ndata_directory = \"/srv/\\u0000x\"\n",
                                    "[cluster]\nconnection = \"dbname=x\\u0000\"\n");
  CHECK(error_of([&] { loaded(text); }).kind == ErrorKind::kUsage);
  CHECK_THAT(refusal(text).message, Catch::Contains("invalid value"));
}

TEST_CASE("thresholds are looked at only where they are set", "[common]") {
  const Config unset = loaded(kMinimal);
  CHECK_FALSE(unset.alert.backup_age);
  CHECK_FALSE(unset.alert.ready_files);
  CHECK_FALSE(unset.alert.free_space_percent);
  CHECK(unset.alert.command.empty());
  CHECK(unset.alert.repeat == std::chrono::hours(4));

  const Config set = with_minimal(R"([alert]
backup_age = "26h"
archive_lag = "10min"
ready_files = 0
free_space = "7.5%"
verify_age = "8d"
drill_age = "35d"
command = "notify 'a b' | mail"
timeout = "5s"
repeat = "1h"
)");
  CHECK(set.alert.backup_age == std::chrono::hours(26));
  CHECK(set.alert.archive_lag == std::chrono::minutes(10));
  CHECK(set.alert.ready_files == 0U);
  CHECK(set.alert.free_space_percent == 7.5);
  CHECK(set.alert.verify_age == std::chrono::hours(8 * 24));
  CHECK(set.alert.drill_age == std::chrono::hours(35 * 24));
  CHECK(set.alert.command == "notify 'a b' | mail");
  CHECK(set.alert.timeout == std::chrono::seconds(5));
  CHECK(set.alert.repeat == std::chrono::hours(1));
}

TEST_CASE("a threshold that is none is refused", "[common]") {
  const std::string bad = GENERATE(
      "backup_age = \"soon\"", "backup_age = 26", "ready_files = -1", "ready_files = \"1\"",
      "free_space = \"10\"", "free_space = \"\"", "free_space = \"%\"", "free_space = \"101%\"",
      "free_space = \"nan%\"", "free_space = \"-1%\"", "free_space = 10", "command = \"a\\u0000b\"",
      "repeat = \"\"", "url = \"x\"");
  CAPTURE(bad);
  CHECK(refusal(fmt::format("{}[alert]\n{}\n", kMinimal, bad)).kind == ErrorKind::kUsage);
}

TEST_CASE("what this version does not have is refused, not ignored", "[common]") {
  const std::string text = GENERATE(
      "[encryption]\nkey_file = \"/x\"\n", "[encryption]\n",
      "[[repository]]\nurl = \"file:///a\"\n[[repository]]\nurl = \"file:///b\"\n",
      "[repository]\nurl = \"s3://bucket/x\"\n", "[repository]\nurl = \"azure://account/x\"\n",
      "[repository]\nurl = \"gs://bucket/x\"\n", "[repository]\nurl = \"sftp://host/x\"\n");
  CAPTURE(text);
  const ErrorReport report = refusal(text);
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK(report.code == "not_available");
  CHECK_THAT(report.message, Catch::Contains("not available in this version"));
}

TEST_CASE("what is not TOML is refused with file and line", "[common]") {
  const auto [text, line] = GENERATE(table<std::string, int>({
      {"[repository\n", 1},
      {"[repository]\nurl = \n", 2},
      {"[repository]\nurl = \"file:///x\n", 2},
      {"[repository]\nurl = file:///x\n", 2},
      {"[repository]\nurl = \"a\"\nurl = \"b\"\n", 3},
      {"[archive]\njobs = 99999999999999999999\n", 2},
      {"\n\nx = \"\xFF\xFE\"\n", 3},
  }));
  const ConfigFile file(text);
  CAPTURE(text);
  const ErrorReport report = error_of([&] { file.load(); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::StartsWith(fmt::format("{}:{}: ", file.path, line)));
}

TEST_CASE("an empty, foreign, binary or enormous file is refused", "[common]") {
  const std::string text =
      GENERATE(std::string(), std::string("# nothing\n"), std::string(4096, '\0'),
               std::string("\x7f"
                           "ELF\x02\x01\x01"),
               std::string(1U << 20, 'x'), std::string("= [\n"),
               std::string("{\"repository\": {\"url\": \"file:///x\"}}"),
               std::string("archive_mode = on\narchive_command = 'pitr-archive %p'\n"));
  CHECK(refusal(text).kind == ErrorKind::kUsage);
}

TEST_CASE("a letter beyond ASCII outside of quotes is refused", "[common]") {
  const std::string text = GENERATE(as<std::string>(), "ä\n", "[archive]\njobs = é\n",
                                    "[archive]\njobs = 2 é\n", "[archive]\njöbs = 2\n", "[Größe]\n",
                                    "[repository]\nurl = “file:///x”\n", "x = \"\"\"\\\n§\"\"\"\n");
  CAPTURE(text);
  CHECK(testing::returns_in_child([&] {
    if (refusal(text).kind != ErrorKind::kUsage) std::abort();
  }));
}

// An abort is status 134, above 125: it ends PostgreSQL's archiver or a recovery.
TEST_CASE("no text makes the parser abort", "[common]") {
  const std::string text =
      GENERATE(as<std::string>(), "[[[", "[[[[x]]]]", "[a.[", "{[", "x = [[[", "x = {{",
               "x = \"\\u", "'''", "x = 1979-", "x = 0x", "x = +", "[]", "[[]]", "a.b.", "\"");
  CAPTURE(text);
  for (const std::string& contents : {text, std::string(10'000, text.front())}) {
    const ConfigFile file(contents);
    CHECK(testing::returns_in_child([&] {
      if (error_kind_of([&] { file.load(); }) != ErrorKind::kUsage) std::abort();
    }));
  }
}

TEST_CASE("a section must be a section", "[common]") {
  const std::string text =
      GENERATE("archive = 5\n", "archive = \"jobs\"\n", "[[archive]]\njobs = 1\n");
  CAPTURE(text);
  const ErrorReport report = refusal(text);
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("must be a section"));
}

TEST_CASE("a file that others can write is refused: they would say where the WAL goes",
          "[common]") {
  const ConfigFile file(kMinimal);
  chmod(file.path.c_str(), 0646);
  const ErrorReport report = error_of([&] { file.load(); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.hint, Catch::Contains("chmod o-w " + file.path));
  chmod(file.path.c_str(), 0644);
  CHECK_NOTHROW(file.load());
}

TEST_CASE("a directory is no configuration file, whatever the environment says", "[common]") {
  const CleanEnvironment clean;
  const TemporaryDirectory directory;
  const EnvironmentVariable url("PITR_REPOSITORY_URL", "file:///srv/pitr");
  const ErrorReport report = error_of([&] { load_config(directory.path()); });
  CHECK_THAT(words(report), Catch::Contains(directory.path()));
}

}  // namespace pitr
