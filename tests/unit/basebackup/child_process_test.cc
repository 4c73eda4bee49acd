#include "basebackup/child_process.h"

#include <chrono>
#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/temporary_directory.h"
#include "io/file.h"

namespace pitr {

using testing::error_kind_of;
using testing::TemporaryDirectory;

namespace {

constexpr std::int64_t kLong = 20'000;

std::optional<int> run(const std::string& script, const std::string& output,
                       std::int64_t timeout_ms = kLong) {
  return run_program({"/bin/sh", "-c", script}, output, timeout_ms, [] {});
}

bool is_gone(pid_t pid) {
  for (int i = 0; i < 400; ++i) {
    if (kill(pid, 0) != 0) return true;
    usleep(10'000);
  }
  return false;
}

}  // namespace

TEST_CASE("a program's output and status arrive, both streams in one file", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string output = directory / "output";
  const auto status = run("echo one; echo two >&2; exit 3", output);
  REQUIRE(status);
  CHECK(describe_wait_status(*status) == "exit status 3");
  CHECK(read_whole_file(output) == "one\ntwo\n");
  CHECK(describe_wait_status(run("kill -9 $$", output).value()) == "signal 9");
  CHECK(read_whole_file(output) == "one\ntwo\n");
}

TEST_CASE("a program that takes too long is killed", "[basebackup]") {
  const TemporaryDirectory directory;
  const auto begun = std::chrono::steady_clock::now();
  CHECK_FALSE(run("exec sleep 60", directory / "output", 100));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));
}

TEST_CASE("whoever gives up waiting leaves no program behind", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string pid_file = directory / "pid";
  const auto give_up = [&] {
    std::string text;
    if (try_read_whole_file(pid_file, text) && text.ends_with('\n')) throw std::string("enough");
  };
  CHECK_THROWS_AS(run_program({"/bin/sh", "-c", "echo $$ >" + pid_file + "; exec sleep 60"},
                              directory / "output", kLong, give_up),
                  std::string);
  CHECK(is_gone(std::stoi(read_whole_file(pid_file))));
}

TEST_CASE("what cannot be executed is said before a process is made", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string program = GENERATE("/nowhere/postgres", "/etc/passwd");
  CHECK(error_kind_of([&] { run_program({program}, directory / "output", kLong, [] {}); }) ==
        ErrorKind::kSystem);
}

TEST_CASE("orphans in sessions of their own are adopted and killed", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string pid_file = directory / "pid";
  adopt_orphans();
  REQUIRE(run("(setsid sh -c 'echo $$ >" + pid_file + "; exec sleep 60') &", directory / "output"));
  std::string text;
  while (!try_read_whole_file(pid_file, text) || !text.ends_with('\n'))
    usleep(10'000);
  kill_all_children();
  CHECK(is_gone(std::stoi(text)));
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);
}

}  // namespace pitr
