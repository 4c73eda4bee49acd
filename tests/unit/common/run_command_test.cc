#include "common/run_command.h"

#include <new>
#include <stdexcept>

#include <catch2/catch.hpp>

#include "common/exit_status.h"
#include "harness/environment.h"

namespace pitr {

using testing::stderr_of;

namespace {

// As pitr-archive and pitr-restore map their errors: each kind another status.
int status_of(const ErrorReport& report) { return 100 + static_cast<int>(report.kind); }

struct Run {
  int status = -1;
  std::string printed;
};

Run run(const std::function<int()>& command) {
  Run result;
  result.printed = stderr_of([&] { result.status = run_command(status_of, command); });
  return result;
}

}  // namespace

TEST_CASE("a command that returns gives its own status and prints nothing", "[common]") {
  for (const int status : {kSuccess, kFailure, kAbortRecovery}) {
    const Run result = run([&] { return status; });
    CHECK(result.status == status);
    CHECK(result.printed.empty());
  }
}

TEST_CASE("an error becomes the status of its report and is printed as PostgreSQL does",
          "[common]") {
  const Run result = run([]() -> int {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = "WAL segment \"x\" belongs to another database cluster",
                 .detail = "The segment has system identifier 5.",
                 .hint = "Check archive_command."});
  });
  CHECK(result.status == 100 + static_cast<int>(ErrorKind::kMismatch));
  CHECK(result.printed ==
        "ERROR:  WAL segment \"x\" belongs to another database cluster\n"
        "DETAIL:  The segment has system identifier 5.\n"
        "HINT:  Check archive_command.\n");
}

TEST_CASE("an error without detail and hint is one line", "[common]") {
  const Run result =
      run([]() -> int { throw Error({.kind = ErrorKind::kUsage, .message = "no"}); });
  CHECK(result.status == 100 + static_cast<int>(ErrorKind::kUsage));
  CHECK(result.printed == "ERROR:  no\n");
}

TEST_CASE("running out of memory is an error that may pass", "[common]") {
  const Run result = run([]() -> int { throw std::bad_alloc(); });
  CHECK(result.status == 100 + static_cast<int>(ErrorKind::kSystem));
  CHECK(result.printed == "ERROR:  out of memory\n");
}

TEST_CASE("an exception of a library becomes a status, not a crash", "[common]") {
  const Run result = run([]() -> int { throw std::out_of_range("map::at"); });
  CHECK(result.status == 100 + static_cast<int>(ErrorKind::kSystem));
  CHECK_THAT(result.printed,
             Catch::StartsWith("ERROR:  internal error") && Catch::Contains("map::at"));
}

// std::terminate() means SIGABRT, status 134: PostgreSQL's archiver would restart (above 125).
TEST_CASE("what is thrown and is no std::exception becomes a status too", "[common]") {
  Run result;
  CHECK_NOTHROW(result = run([]() -> int { throw 42; }));
  CHECK(result.status == 100 + static_cast<int>(ErrorKind::kSystem));
}

}  // namespace pitr
