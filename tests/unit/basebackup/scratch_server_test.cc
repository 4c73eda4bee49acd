#include "basebackup/scratch_server.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/errors.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::error_of;
using testing::TemporaryDirectory;
using testing::words;

namespace {

ScratchServerRequest usual() {
  ScratchServerRequest request;
  request.version = 17;
  request.folder = "/srv/o'clock";
  request.standby_settings.max_connections = 137;
  return request;
}

// A folder with a postgres that says it is of a version.
void make_programs(const std::string& folder, const std::string& version_line) {
  mkdir(folder.c_str(), 0700);
  testing::write_file(folder + "/postgres", fmt::format("#!/bin/sh\necho '{}'\n", version_line));
  chmod((folder + "/postgres").c_str(), 0700);
}

}  // namespace

TEST_CASE("a rehearsed server does nothing of its origin's work", "[basebackup]") {
  const std::string text = scratch_settings(usual());
  for (const char* line :
       {"listen_addresses = ''", "archive_mode = 'off'", "primary_conninfo = ''",
        "max_logical_replication_workers = '0'", "max_sync_workers_per_subscription = '0'",
        "timescaledb.max_background_workers = '0'", "cron.launch_active_jobs = 'off'",
        "shared_preload_libraries = ''", "session_preload_libraries = ''", "event_triggers = 'off'",
        "unix_socket_permissions = '0700'", "unix_socket_directories = '/srv/o''clock'",
        "max_connections = '137'"}) {
    CHECK_THAT(text, Catch::Contains(fmt::format("\n{}\n", line)));
  }
}

TEST_CASE("a setting that a version does not know is not written", "[basebackup]") {
  ScratchServerRequest request = usual();
  request.version = 16;
  CHECK_THAT(scratch_settings(request), !Catch::Contains("event_triggers"));
  CHECK_THAT(scratch_settings(request), !Catch::Contains("sync_replication_slots"));
}

TEST_CASE("a socket's path has room for 107 bytes", "[basebackup]") {
  CHECK(has_room_for_socket("/" + std::string(107 - 14 - 1, 'a')));
  CHECK_FALSE(has_room_for_socket("/" + std::string(107 - 14, 'a')));
}

TEST_CASE("only programs of the wanted version are taken", "[basebackup]") {
  const TemporaryDirectory directory;
  const std::string folder = directory / "bin";
  const auto look = [&](unsigned version) {
    return find_server_programs(folder, version, directory.path());
  };
  CHECK_THAT(words(error_of([&] { look(15); })), Catch::Contains("There is no postgres in"));
  make_programs(folder, "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)");
  CHECK(look(15) == folder);
  CHECK_THAT(words(error_of([&] { look(16); })), Catch::Contains("is 15"));
  make_programs(folder, "postgres (PostgreSQL) 18beta1");
  CHECK(look(18) == folder);
  make_programs(folder, "hello");
  CHECK_THAT(words(error_of([&] { look(18); })), Catch::Contains("none that says its version"));
}

}  // namespace pitr
