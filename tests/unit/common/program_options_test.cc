#include "common/program_options.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"

namespace pitr {

using testing::error_kind_of;
using testing::error_of;
using testing::words;

namespace {

ProgramOptions parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "pitr-archive");
  std::vector<char*> argv;
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  return parse_program_options(static_cast<int>(arguments.size()), argv.data());
}

using Arguments = std::vector<std::string>;

}  // namespace

TEST_CASE("without options everything has its default", "[common]") {
  const ProgramOptions options = parse({"pg_wal/000000010000000000000001"});
  CHECK(options.config_path.empty());
  CHECK(options.cluster.empty());
  CHECK(options.log_level == LogLevel::kInfo);
  CHECK(options.log_format == LogFormat::kText);
  CHECK_FALSE(options.rescued);
  CHECK_FALSE(options.help);
  CHECK_FALSE(options.version);
  CHECK(options.arguments == Arguments{"pg_wal/000000010000000000000001"});
}

TEST_CASE("no arguments at all are no error here", "[common]") {
  CHECK(parse({}).arguments.empty());
  CHECK(parse({""}).arguments == Arguments{""});
}

TEST_CASE("each option is read, with = or as the next argument", "[common]") {
  const ProgramOptions options =
      parse({"--config=/etc/x.toml", "--cluster", "east", "--log-level=debug", "--log-format",
             "json", "--rescued", "--help", "--version", "%p", "%f"});
  CHECK(options.config_path == "/etc/x.toml");
  CHECK(options.cluster == "east");
  CHECK(options.log_level == LogLevel::kDebug);
  CHECK(options.log_format == LogFormat::kJson);
  CHECK(options.rescued);
  CHECK(options.help);
  CHECK(options.version);
  CHECK(options.arguments == Arguments{"%p", "%f"});
}

TEST_CASE("options may stand behind arguments, and the last one counts", "[common]") {
  const ProgramOptions options =
      parse({"a", "--config=1", "b", "--config", "2", "--log-level=error", "c"});
  CHECK(options.config_path == "2");
  CHECK(options.log_level == LogLevel::kError);
  CHECK(options.arguments == Arguments{"a", "b", "c"});
}

TEST_CASE("behind -- everything is an argument", "[common]") {
  CHECK(parse({"--rescued", "--", "--config", "-x"}).arguments == Arguments{"--config", "-x"});
}

TEST_CASE("an unknown option is refused with the nearest known one", "[common]") {
  const auto [option, nearest] = GENERATE(table<std::string, std::string>({
      {"--confg", "--config"},
      {"--confg=/etc/x", "--config"},
      {"--clutser", "--cluster"},
      {"--loglevel=debug", "--log-level"},
      {"--resuced", "--rescued"},
      {"--hepl", "--help"},
  }));
  const ErrorReport report = error_of([&] { parse({option, "path"}); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("\"" + option.substr(0, option.find('=')) + "\""));
  CHECK_THAT(report.hint, Catch::Contains("\"" + nearest + "\""));
}

TEST_CASE("an unknown option near to nothing is refused without a guess", "[common]") {
  const ErrorReport report = error_of([] { parse({"--compress-with-brotli"}); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK(report.hint.empty());
  CHECK(error_kind_of([] { parse({"-x"}); }) == ErrorKind::kUsage);
  CHECK(error_kind_of([] { parse({"--" + std::string(100'000, 'x')}); }) == ErrorKind::kUsage);
}

// archive_command names the paths first and operators append options to them.
TEST_CASE("an unknown option behind arguments is the one that is named", "[common]") {
  const ErrorReport report = error_of([] { parse({"path", "name", "--confg=/etc/x"}); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("\"--confg\""));
  CHECK_THAT(report.hint, Catch::Contains("\"--config\""));
}

TEST_CASE("a missing value behind arguments is the one that is named", "[common]") {
  const ErrorReport report = error_of([] { parse({"path", "--config"}); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("\"--config\""));
}

TEST_CASE("a missing value and a needless value are refused", "[common]") {
  const std::string option = GENERATE("--config", "--cluster", "--log-level", "--log-format",
                                      "--help=yes", "--rescued=1", "--version=");
  const ErrorReport report = error_of([&] { parse({option}); });
  CHECK(report.kind == ErrorKind::kUsage);
  CHECK_THAT(report.message, Catch::Contains("\"" + option.substr(0, option.find('=')) + "\""));
}

TEST_CASE("the beginning of several options is none of them", "[common]") {
  CHECK(error_kind_of([] { parse({"--log", "debug"}); }) == ErrorKind::kUsage);
  CHECK(error_kind_of([] { parse({"--c", "x"}); }) == ErrorKind::kUsage);
}

TEST_CASE("log levels and formats are known by their names only", "[common]") {
  CHECK(parse_log_level("error") == LogLevel::kError);
  CHECK(parse_log_level("warning") == LogLevel::kWarning);
  CHECK(parse_log_level("info") == LogLevel::kInfo);
  CHECK(parse_log_level("debug") == LogLevel::kDebug);
  CHECK(parse_log_format("text") == LogFormat::kText);
  CHECK(parse_log_format("json") == LogFormat::kJson);
  const std::string text = GENERATE("", "ERROR", "warn", "debug2", "yaml", "json ", "\xFF");
  CAPTURE(text);
  const ErrorReport level = error_of([&] { parse_log_level(text); });
  CHECK(level.kind == ErrorKind::kUsage);
  CHECK_THAT(words(level), Catch::Contains("\"" + text + "\"") && Catch::Contains("warning"));
  CHECK_THAT(words(error_of([&] { parse_log_format(text); })), Catch::Contains("json"));
  CHECK(error_kind_of([&] { parse({"--log-level=" + text}); }) == ErrorKind::kUsage);
}

TEST_CASE("a version names the program, the product and its number", "[common]") {
  CHECK(version_text("pitr-archive") == "pitr-archive (pitr) " PITR_VERSION);
}

}  // namespace pitr
