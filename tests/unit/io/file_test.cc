#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::Bytes;
using testing::bytes_of;
using testing::error_kind_of;
using testing::error_of;
using testing::TemporaryDirectory;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 0777U;
}

}  // namespace

TEST_CASE("a read at the end of a file gives what is there", "[io]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "0123456789");
  const File file = File::open_for_read(directory / "f");
  CHECK(file.size() == 10);
  Bytes bytes(8);
  CHECK(file.read_at(0, bytes) == 8);
  CHECK(file.read_at(6, bytes) == 4);
  CHECK(as_text(ByteSpan(bytes).first(4)) == "6789");
  CHECK(file.read_at(10, bytes) == 0);
  CHECK(file.read_at(1000, bytes) == 0);
}

TEST_CASE("a file that cannot be opened is named with the reason", "[io]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "missing";
  const ErrorReport report = error_of([&] { File::open_for_read(path); });
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK_THAT(report.message,
             Catch::Contains("\"" + path + "\"") && Catch::Contains("No such file or directory"));
}

TEST_CASE("creating a file fails where the name exists", "[io]") {
  const TemporaryDirectory directory;
  const std::string path = directory / "f";
  {
    File file = File::create(path);
    file.write_at(0, as_byte_span("kept"));
    file.sync();
    file.close();
    CHECK_FALSE(file.is_open());
  }
  CHECK(mode_of(path) == 0600);
  CHECK(error_kind_of([&] { File::create(path); }) == ErrorKind::kSystem);
  CHECK(read_whole_file(path) == "kept");
}

TEST_CASE("creating a file does not follow a symbolic link", "[io]") {
  const TemporaryDirectory directory;
  REQUIRE(symlink((directory / "elsewhere").c_str(), (directory / "f").c_str()) == 0);
  CHECK(error_kind_of([&] { File::create(directory / "f"); }) == ErrorKind::kSystem);
  CHECK_FALSE(testing::exists(directory / "elsewhere"));
}

TEST_CASE("a write fails in words where the file was opened for reading", "[io]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "x");
  const File file = File::open_for_read(directory / "f");
  const ErrorReport report = error_of([&] { file.write_at(0, as_byte_span("y")); });
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK_THAT(report.message, Catch::Contains(directory / "f"));
}

TEST_CASE("a descriptor has one owner", "[io]") {
  const TemporaryDirectory directory;
  File first = File::create(directory / "f");
  const int descriptor = first.descriptor();
  File second = std::move(first);
  CHECK(second.descriptor() == descriptor);
  second = File::create(directory / "g");
  CHECK(second.path() == directory / "g");
  CHECK(fcntl(second.descriptor(), F_GETFD) == FD_CLOEXEC);
}

TEST_CASE("replacing a file leaves the new contents and nothing beside it", "[io]") {
  const TemporaryDirectory directory;
  replace_file(directory / "state", "one");
  CHECK(mode_of(directory / "state") == 0600);
  replace_file(directory / "state", "two");
  CHECK(read_whole_file(directory / "state") == "two");
  CHECK(testing::names_in(directory.path()) == std::vector<std::string>{"state"});
}

TEST_CASE("a replacement that fails leaves the old contents", "[io]") {
  const TemporaryDirectory directory;
  CHECK(error_kind_of([&] { replace_file(directory / "missing/state", "x"); }) ==
        ErrorKind::kSystem);
  create_directories(directory / "state");
  CHECK(error_kind_of([&] { replace_file(directory / "state", "x"); }) == ErrorKind::kSystem);
  CHECK(testing::names_in(directory.path()) == std::vector<std::string>{"state"});
}

TEST_CASE("a whole file is read up to a limit", "[io]") {
  const TemporaryDirectory directory;
  const std::string contents(200'000, 'x');
  testing::write_file(directory / "f", contents);
  CHECK(read_whole_file(directory / "f") == contents);
  CHECK(read_whole_file(directory / "f", contents.size()) == contents);
  CHECK(error_kind_of([&] { read_whole_file(directory / "f", contents.size() - 1); }) ==
        ErrorKind::kSystem);
}

TEST_CASE("a file in /proc is read although its size is unknown beforehand", "[io]") {
  CHECK_THAT(read_whole_file("/proc/self/status"), Catch::Contains("Pid:"));
}

TEST_CASE("a missing file is told from one that cannot be read", "[io]") {
  const TemporaryDirectory directory;
  std::string contents = "untouched";
  CHECK_FALSE(try_read_whole_file(directory / "missing", contents));
  CHECK_FALSE(try_read_whole_file(directory / "no/such/folder", contents));
  CHECK(error_kind_of([&] { try_read_whole_file(directory.path(), contents); }) ==
        ErrorKind::kSystem);
  testing::write_file(directory / "empty", "");
  CHECK(try_read_whole_file(directory / "empty", contents));
  CHECK(contents.empty());
}

TEST_CASE("directories are made with all their parents, for their owner only", "[io]") {
  const TemporaryDirectory directory;
  create_directories(directory / "a/b/c");
  create_directories(directory / "a/b/c");
  CHECK(mode_of(directory / "a") == 0700);
  CHECK(mode_of(directory / "a/b/c") == 0700);
  testing::write_file(directory / "file", "x");
  CHECK(error_kind_of([&] { create_directories(directory / "file/below"); }) == ErrorKind::kSystem);
}

TEST_CASE("a file in the place of a directory is not taken for one", "[io]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "file", "x");
  CHECK(error_kind_of([&] {
          create_directories(directory / "file");
          sync_directory(directory / "file");
        }) == ErrorKind::kSystem);
}

TEST_CASE("the parent of a path is what stands before its last slash", "[io]") {
  CHECK(parent_directory("/a/b") == "/a");
  CHECK(parent_directory("/a") == "/");
  CHECK(parent_directory("b") == ".");
  CHECK(parent_directory("a/b/c") == "a/b");
}

}  // namespace pitr
