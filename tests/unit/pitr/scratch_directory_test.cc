#include "pitr/scratch_directory.h"

#include <filesystem>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/temporary_directory.h"

namespace pitr {

using std::chrono::milliseconds;
using testing::error_kind_of;
using testing::error_of;
using testing::TemporaryDirectory;
namespace fs = std::filesystem;

TEST_CASE("a rehearsal's folder goes with it, a kept one stays", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string scratch = directory / "new/scratch";
  { const ScratchDirectory gone(scratch, milliseconds(0)); }
  CHECK(fs::is_empty(scratch));
  std::string kept;
  {
    ScratchDirectory stays(scratch, milliseconds(0));
    stays.keep();
    kept = stays.path();
    testing::write_file(kept + "/file", "contents");
  }
  { const ScratchDirectory another(scratch, milliseconds(0)); }
  CHECK(fs::exists(kept + "/file"));
}

TEST_CASE("leftovers go, links in them are not followed, other folders stay", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string scratch = directory.path();
  for (const char* name : {"pitr-drill.left", "pitr-drill.empty", "pitr-drill.mine", "other", "to"})
    fs::create_directory(directory / name);
  testing::write_file(directory / "pitr-drill.left/pitr.drill", "process 1 on nowhere");
  testing::write_file(directory / "pitr-drill.mine/file", "mine");
  testing::write_file(directory / "to/file", "precious");
  fs::create_directory_symlink(directory / "to", directory / "pitr-drill.left/link");
  fs::create_directory_symlink(directory / "to", directory / "pitr-drill.link");
  {
    const ScratchDirectory made(scratch, milliseconds(0));
    CHECK_FALSE(fs::exists(directory / "pitr-drill.left"));
    CHECK_FALSE(fs::exists(directory / "pitr-drill.empty"));
  }
  CHECK(fs::exists(directory / "pitr-drill.mine/file"));
  CHECK(fs::exists(directory / "to/file"));
  CHECK(fs::exists(directory / "other"));
  CHECK(fs::exists(directory / "pitr-drill.link"));
}

TEST_CASE("one rehearsal at a time", "[pitr]") {
  const TemporaryDirectory directory;
  const ScratchDirectory first(directory.path(), milliseconds(0));
  CHECK(error_of([&] { ScratchDirectory(directory.path(), milliseconds(100)); }).code ==
        "lock_timeout");
  CHECK(fs::exists(first.path()));
}

TEST_CASE("space is asked for before anything is written", "[pitr]") {
  const TemporaryDirectory directory;
  check_free_space(directory.path(), 1);
  CHECK(error_of([&] { check_free_space(directory.path(), UINT64_MAX); }).code == "no_space");
}

TEST_CASE("scratch space inside what must stay as it is is refused", "[pitr]") {
  const TemporaryDirectory directory;
  const std::string data = directory / "data";
  fs::create_directory(data);
  fs::create_directory_symlink(data, directory / "link");
  for (const std::string& place : {data, data + "/base/new", directory / "link/new"}) {
    CAPTURE(place);
    CHECK(error_kind_of([&] { check_scratch_space(place, {"", data}); }) == ErrorKind::kUsage);
  }
  check_scratch_space(data + "2", {data, ""});
}

}  // namespace pitr
