#include "pitr/alert.h"

#include <chrono>

#include <catch2/catch.hpp>

#include "harness/temporary_directory.h"
#include "pitr/alert_command.h"

namespace pitr {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::TemporaryDirectory;

namespace {

const Instant kAt = from_unix_time(1'800'000'000);

std::vector<std::string> events(const ToldProblems& told, const std::vector<CheckResult>& results,
                                Instant at = kAt) {
  std::vector<std::string> all;
  for (const Alert& alert : choose_alerts(told, results, hours(4), at))
    all.push_back(alert.event + " " + alert.result.name);
  return all;
}

using Events = std::vector<std::string>;

}  // namespace

TEST_CASE("a problem is told once, again after a while, and when it is over", "[pitr]") {
  const CheckResult failed{"archiver", "failed", "it fails"};
  const CheckResult ok{"archiver", "ok", "it works"};
  const CheckResult warning{"archiver", "warning", "it might fail"};
  CHECK(events({}, {ok}).empty());
  CHECK(events({}, {failed}) == Events{"problem archiver"});
  CHECK(events({}, {warning}) == Events{"problem archiver"});

  const ToldProblems told = {{"archiver", {"failed", kAt - hours(9), kAt}}};
  CHECK(events(told, {failed}, kAt + hours(3)).empty());
  CHECK(events(told, {failed}, kAt + hours(4)) == Events{"reminder archiver"});
  CHECK(events(told, {warning}, kAt + hours(1)) == Events{"problem archiver"});
  CHECK(events(told, {ok}, kAt + hours(1)) == Events{"over archiver"});
  // Not made this time: nobody knows.
  CHECK(events(told, {{"server", "failed", "it is gone"}}) == Events{"problem server"});
  // A clock that was ahead when it was told must not silence it.
  CHECK(events(told, {failed}, kAt - hours(1)) == Events{"reminder archiver"});
  CHECK(choose_alerts(told, {ok}, hours(4), kAt).front().since == kAt - hours(9));
}

TEST_CASE("what was told is read back, and a damaged memory is none", "[pitr]") {
  const std::string good =
      R"({"format":1,"clusters":{"main":{"archiver":{"status":"failed",)"
      R"("since":"2026-11-22T10:00:00Z","told_at":"2026-11-22T11:00:00Z"},)"
      R"("server":{"status":"failed","since":"whenever","told_at":3},"repository":7}}})";
  const ToldProblems told = parse_told_problems(good, "main");
  REQUIRE(told.size() == 1);
  CHECK(told.at("archiver").status == "failed");
  CHECK(told.at("archiver").told_at - told.at("archiver").since == hours(1));
  CHECK(parse_told_problems(good, "other").empty());
  for (const std::string text :
       {"", "{", "null", "[]", "{\"clusters\": 5}", "{\"clusters\": {\"main\": []}}", "\xFF\xFF"}) {
    CAPTURE(text);
    CHECK(parse_told_problems(text, "main").empty());
  }
  CHECK(parse_told_problems(good.substr(0, good.size() / 2), "main").empty());
}

TEST_CASE("the command gets the document on its standard input, byte for byte", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string document = "{\"message\":\"it's \\\"$(id)\\\" `x` \\n\"}\n";
  const AlertRun run =
      run_alert_command("cat > '" + (directory / "got") + "'; echo told; echo >&2 aloud", document,
                        milliseconds(10'000));
  CHECK(run.failure.empty());
  CHECK(run.output == "told\naloud");
  const auto got = testing::read_file(directory / "got");
  CHECK(std::string_view(reinterpret_cast<const char*>(got.data()), got.size()) == document);
}

TEST_CASE("a command that is missing, fails, is killed or hangs is told of", "[pitr]") {
  const auto failure = [](const std::string& command, int timeout_ms = 10'000) {
    return run_alert_command(command, "{}", milliseconds(timeout_ms)).failure;
  };
  CHECK(failure("/no/such/command") == "ended with status 127: there is no such command");
  CHECK(failure("exit 3") == "ended with status 3");
  CHECK(failure("kill -9 $$") == "was ended by signal 9");
  const auto begun = std::chrono::steady_clock::now();
  CHECK(failure("sleep 60 & sleep 60", 200) == "took longer than 200 ms");
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(10));
}

TEST_CASE("a command that reads nothing, prints without end or leaves something behind", "[pitr]") {
  const std::string large(4 << 20, 'x');
  const auto begun = std::chrono::steady_clock::now();
  CHECK(run_alert_command("true", large, milliseconds(10'000)).failure.empty());
  const AlertRun loud = run_alert_command("yes", "{}", milliseconds(300));
  CHECK(loud.failure == "took longer than 300 ms");
  CHECK(loud.output.size() <= 4096);
  CHECK(run_alert_command("timeout 5 yes & exit 0", "{}", milliseconds(10'000)).failure.empty());
  CHECK(
      run_alert_command("timeout 5 sleep 5 & exit 0", "{}", milliseconds(10'000)).failure.empty());
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(4));
}

}  // namespace pitr
