#include "common/error.h"

#include <cerrno>

#include <catch2/catch.hpp>

#include "common/exit_status.h"
#include "harness/errors.h"

namespace pitr {

using testing::error_of;

TEST_CASE("without a code of its own a report has the word for its kind", "[common]") {
  const auto [kind, word] = GENERATE(table<ErrorKind, std::string>({
      {ErrorKind::kUsage, "usage"},
      {ErrorKind::kSystem, "system"},
      {ErrorKind::kMismatch, "mismatch"},
      {ErrorKind::kCorrupt, "corrupt"},
      {ErrorKind::kFinding, "finding"},
  }));
  CHECK(error_code({.kind = kind, .message = "x"}) == word);
  CHECK(error_code({.kind = kind, .message = "x", .code = "restore_target_unreachable"}) ==
        "restore_target_unreachable");
}

TEST_CASE("an error keeps its whole report", "[common]") {
  const Error error({.kind = ErrorKind::kMismatch,
                     .message = "what",
                     .detail = "Why.",
                     .hint = "What to do.",
                     .code = "word"});
  CHECK(std::string(error.what()) == "what");
  CHECK(error.report().kind == ErrorKind::kMismatch);
  CHECK(error.report().detail == "Why.");
  CHECK(error.report().hint == "What to do.");
  CHECK(error.report().code == "word");
}

TEST_CASE("a failed file operation names action, path and reason", "[common]") {
  const ErrorReport report = error_of([] { throw_file_error("open file", "/a/b", ENOENT); });
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK(report.message == "could not open file \"/a/b\": No such file or directory");
}

TEST_CASE("a full disk and missing permissions come with advice", "[common]") {
  for (const int full : {ENOSPC, EDQUOT}) {
    CHECK_THAT(error_of([&] { throw_file_error("write file", "/a", full); }).hint,
               Catch::Contains("Free space"));
  }
  for (const int denied : {EACCES, EPERM}) {
    CHECK_THAT(error_of([&] { throw_file_error("open file", "/a", denied); }).hint,
               Catch::Contains("permissions"));
  }
}

// pgarch.c and xlogarchive.c: 1 to 125 is a plain failure, above 125 ends archiver or recovery, and
// 128 + 15 is taken for a fast shutdown.
TEST_CASE("exit statuses are what PostgreSQL reacts to", "[common]") {
  CHECK(kSuccess == 0);
  CHECK(kFailure == 1);
  CHECK(kAbortRecovery > 125);
  CHECK(kAbortRecovery <= 255);
  CHECK(kAbortRecovery != 143);
  CHECK(kWrongUsage == 2);
  CHECK(kBadFinding == 3);
}

}  // namespace pitr
