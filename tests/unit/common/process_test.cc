#include "common/process.h"

#include <array>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/child_process.h"

namespace pitr {

using testing::dead_process;

TEST_CASE("a process knows its host, its namespace and its number", "[common]") {
  const ProcessIdentity self = ProcessIdentity::self();
  std::array<char, 256> host{};
  REQUIRE(gethostname(host.data(), host.size() - 1) == 0);
  struct stat status {};
  REQUIRE(stat("/proc/self/ns/pid", &status) == 0);
  CHECK(self.host == host.data());
  CHECK(self.pid_namespace == status.st_ino);
  CHECK(self.pid == getpid());
  CHECK(self.started > 0);
  CHECK(ProcessIdentity::parse(self.to_string())->started == self.started);
}

TEST_CASE("an identity is read back from its text, dots in the host included", "[common]") {
  const std::string host = GENERATE("db1", "db1.example.com", "10.0.0.1", "a..b");
  const ProcessIdentity identity{.host = host, .pid_namespace = 4026531836, .pid = 4711};
  CHECK(identity.to_string() == host + ".4026531836.4711");
  const auto found = ProcessIdentity::parse(identity.to_string());
  REQUIRE(found);
  CHECK(found->host == host);
  CHECK(found->pid_namespace == 4026531836);
  CHECK(found->pid == 4711);
}

TEST_CASE("texts that are no identity are refused", "[common]") {
  const std::string text =
      GENERATE("", ".", "..", "...", "host", "host.1", "host..1", "host.1.", "host.x.1", "host.1.x",
               "host.1.-5", "host.-1.5", "host.1.0", "host.1.2 ", "host. 1.2", "host.1.+2",
               "host.1.2-", "host.1.2-x", "host.1.-2-3", "host.18446744073709551616.1",
               "host.1.9223372036854775808", "host.0x1.2");
  CAPTURE(text);
  CHECK_FALSE(ProcessIdentity::parse(text));
  CHECK_FALSE(ProcessIdentity::parse(std::string_view("host.1.2\0", 9)));
  CHECK_FALSE(ProcessIdentity::parse(std::string(100'000, '.')));
}

TEST_CASE("a living process is not dead, whoever owns it", "[common]") {
  ProcessIdentity identity = ProcessIdentity::self();
  CHECK_FALSE(identity.is_dead());
  identity.started = 0;
  identity.pid = 1;  // not ours to signal: EPERM is no death
  CHECK_FALSE(identity.is_dead());
}

TEST_CASE("a process that ended is dead", "[common]") {
  ProcessIdentity identity = ProcessIdentity::self();
  identity.pid = dead_process();
  CHECK(identity.is_dead());
}

TEST_CASE("a process that ended is dead although nobody has waited for it", "[common]") {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  siginfo_t ended{};
  REQUIRE(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  ProcessIdentity identity = ProcessIdentity::self();
  identity.pid = child;
  CHECK(identity.is_dead());
  identity.started = 0;
  CHECK(identity.is_dead());
  REQUIRE(waitpid(child, nullptr, 0) == child);
}

TEST_CASE("a process is dead when its number belongs to another one by now", "[common]") {
  ProcessIdentity identity = ProcessIdentity::self();
  identity.started -= 1;
  CHECK(identity.is_dead());
  identity.host += "x";
  CHECK_FALSE(identity.is_dead());
}

TEST_CASE("a process of another host or container is never taken for dead", "[common]") {
  ProcessIdentity dead = ProcessIdentity::self();
  dead.pid = dead_process();
  ProcessIdentity elsewhere = dead;
  elsewhere.host += "x";
  CHECK_FALSE(elsewhere.is_dead());
  ProcessIdentity contained = dead;
  contained.pid_namespace += 1;
  CHECK_FALSE(contained.is_dead());
  ProcessIdentity of_the_same_name = dead;
  of_the_same_name.machine = "00000000";
  CHECK_FALSE(of_the_same_name.is_dead());
  CHECK(ProcessIdentity::parse(of_the_same_name.to_string())->machine == "00000000");
  CHECK(ProcessIdentity::parse(dead.to_string())->machine == dead.machine);
}

TEST_CASE("a number that stands for many processes signals none and is not dead", "[common]") {
  ProcessIdentity identity = ProcessIdentity::self();
  for (const std::int64_t pid : {std::int64_t{0}, std::int64_t{-1}}) {
    identity.pid = pid;
    CHECK_FALSE(identity.is_dead());
  }
  // Cut to 32 bits it would be 0, the whole process group.
  identity.pid = std::int64_t{1} << 32;
  CHECK_NOTHROW(identity.is_dead());
}

}  // namespace pitr
