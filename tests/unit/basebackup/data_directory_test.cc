#include "basebackup/data_directory.h"

#include <filesystem>
#include <map>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "harness/temporary_directory.h"

namespace pitr {

using testing::TemporaryDirectory;
using testing::write_file;

namespace {

namespace fs = std::filesystem;
using Type = ScannedEntry::Type;

constexpr const char* kVersionFolder = "PG_15_202209061";

void put(const std::string& path, const std::string& contents = "x") {
  fs::create_directories(fs::path(path).parent_path());
  write_file(path, contents);
}

std::map<std::string, ScannedEntry> scan(const std::string& root) {
  std::map<std::string, ScannedEntry> entries;
  scan_data_directory(root, kVersionFolder, [&](ScannedEntry entry) {
    const std::string path = entry.path;
    // Folders come before their contents.
    const std::size_t slash = path.rfind('/');
    if (slash != std::string::npos) CHECK(entries.contains(path.substr(0, slash)));
    CHECK(entries.emplace(path, std::move(entry)).second);
  });
  return entries;
}

}  // namespace

TEST_CASE("the names of relation files are known", "[basebackup]") {
  const auto main = RelationFileName::parse("16384");
  REQUIRE(main);
  CHECK(main->number == 16384);
  CHECK(main->fork.empty());
  CHECK(main->segment == 0);
  const auto late = RelationFileName::parse("4294967295_fsm.12");
  REQUIRE(late);
  CHECK(late->number == 4294967295);
  CHECK(late->fork == "fsm");
  CHECK(late->segment == 12);
  CHECK(RelationFileName::parse("16384_vm"));
  CHECK(RelationFileName::parse("16384_init")->fork == "init");
}

TEST_CASE("other names are not relation files", "[basebackup]") {
  const std::string name = GENERATE(
      "", "PG_VERSION", "pg_filenode.map", "pg_internal.init", "16384_", "16384_foo", "16384.",
      "16384.0", "16384.x", "16384.1_fsm", "16384_fsm_vm", "_fsm", ".1", "t3_16384", "-1", "+1",
      " 1", "1 ", "4294967296", "16384.4294967296", "0x10", "99999999999999999999999");
  CAPTURE(name);
  CHECK_FALSE(RelationFileName::parse(name));
}

TEST_CASE("the files of temporary relations are known", "[basebackup]") {
  CHECK(is_temporary_relation("t3_16384"));
  CHECK(is_temporary_relation("t12_16384_fsm"));
  CHECK(is_temporary_relation("t3_16384.1"));
  for (const char* name :
       {"", "t", "t3", "t_16384", "t3_", "t3_x", "tx_16384", "3_16384", "16384"}) {
    CAPTURE(name);
    CHECK_FALSE(is_temporary_relation(name));
  }
}

TEST_CASE("folders that are left empty are known at the top only", "[basebackup]") {
  for (const char* path : {"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial",
                           "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}) {
    CAPTURE(path);
    CHECK(is_kept_empty(path));
    CHECK_FALSE(is_kept_empty(std::string("base/") + path));
  }
  for (const char* path : {"", "pg_xact", "pg_twophase", "pg_logical", "pg_multixact", "base"})
    CHECK_FALSE(is_kept_empty(path));
}

TEST_CASE("what is left out is known, some of it wherever it lies", "[basebackup]") {
  for (const char* path :
       {"postmaster.pid", "postmaster.opts", "backup_manifest", "backup_label", "tablespace_map",
        "postgresql.auto.conf.tmp", "current_logfiles.tmp", "recovery.signal", "standby.signal",
        "base/pgsql_tmp", "base/pgsql_tmp/pgsql_tmp123.0", "pg_tblspc/1/PG_15_1/pgsql_tmp",
        "global/pg_internal.init", "base/1/pg_internal.init.4711"}) {
    CAPTURE(path);
    CHECK(is_left_out(path));
  }
  for (const char* path : {"PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "base/1/1259",
                           "my/postmaster.pid", "my/backup_label", "current_logfiles"}) {
    CAPTURE(path);
    CHECK_FALSE(is_left_out(path));
  }
}

TEST_CASE("pages with checksums are those of relations", "[basebackup]") {
  for (const char* path : {"global/1262", "base/1/1259", "base/16400/16384.1", "base/1/1259_vm",
                           "pg_tblspc/16385/PG_15_202209061/1/16384_init"}) {
    CAPTURE(path);
    CHECK(has_page_checksums(path));
  }
  for (const char* path : {"PG_VERSION", "1259", "global/pg_control", "global/pg_filenode.map",
                           "base/1/PG_VERSION", "base/1259", "pg_xact/0000", "base/x/1259",
                           "base/1/2/1259", "pg_tblspc/1/2/1259", "other/1/1259", ""}) {
    CAPTURE(path);
    CHECK_FALSE(has_page_checksums(path));
  }
  CHECK(holds_relations("global"));
  CHECK(holds_relations("base/1"));
  CHECK_FALSE(holds_relations("base"));
  CHECK_FALSE(holds_relations(""));
}

TEST_CASE("a scan finds files with their size and mode, and no pg_control", "[basebackup]") {
  const TemporaryDirectory root;
  put(root / "PG_VERSION", "15\n");
  put(root / "global/pg_control");
  put(root / "global/1262", std::string(8192, 'a'));
  put(root / "base/1/1259");
  put(root / "name with \xFF and \n", "");
  fs::create_directories(root / "pg_twophase");
  REQUIRE(chmod((root / "PG_VERSION").c_str(), 0640) == 0);
  REQUIRE(chmod((root / "pg_twophase").c_str(), 0750) == 0);
  const auto entries = scan(root.path());
  CHECK(entries.size() == 8);
  CHECK(entries.at("PG_VERSION").size == 3);
  CHECK(entries.at("PG_VERSION").mode == 0640);
  CHECK(entries.at("PG_VERSION").user == getuid());
  CHECK(entries.at("global/1262").size == 8192);
  CHECK(entries.at("pg_twophase").type == Type::kDirectory);
  CHECK(entries.at("pg_twophase").mode == 0750);
  CHECK(entries.contains("name with \xFF and \n"));
  CHECK_FALSE(entries.contains("global/pg_control"));
}

TEST_CASE("a scan leaves out what is of this moment only", "[basebackup]") {
  const TemporaryDirectory root;
  put(root / "postmaster.pid");
  put(root / "pg_wal/000000010000000000000001");
  put(root / "pg_wal/archive_status/x.ready");
  put(root / "pg_replslot/slot/state");
  put(root / "base/pgsql_tmp/pgsql_tmp1.0");
  put(root / "base/5/16384");  // unlogged: only its init fork is kept
  put(root / "base/5/16384.1");
  put(root / "base/5/16384_fsm");
  put(root / "base/5/16384_init");
  put(root / "base/5/16385");
  put(root / "base/5/t3_16390");
  put(root / "base/5/pg_internal.init");
  const auto entries = scan(root.path());
  std::vector<std::string> paths;
  for (const auto& [path, entry] : entries)
    paths.push_back(path);
  CHECK(paths == std::vector<std::string>{"base", "base/5", "base/5/16384_init", "base/5/16385",
                                          "pg_replslot", "pg_wal"});
}

TEST_CASE("of a tablespace only this version's folder is scanned", "[basebackup]") {
  const TemporaryDirectory root;
  const TemporaryDirectory elsewhere;
  put(elsewhere / (std::string(kVersionFolder) + "/5/16400"));
  put(elsewhere / "PG_14_202107181/5/16400");
  put(elsewhere / "letter.txt");
  fs::create_directories(root / "pg_tblspc");
  fs::create_directory_symlink(elsewhere.path(), root / "pg_tblspc/16384");
  const auto entries = scan(root.path());
  CHECK(entries.size() == 5);
  CHECK(entries.at("pg_tblspc/16384").type == Type::kTablespace);
  CHECK(entries.at("pg_tblspc/16384").target == elsewhere.path());
  CHECK(entries.contains("pg_tblspc/16384/PG_15_202209061/5/16400"));
}

TEST_CASE("a tablespace without our folder, or that leads nowhere, is passed over",
          "[basebackup]") {
  const TemporaryDirectory root;
  const TemporaryDirectory elsewhere;
  fs::create_directories(root / "pg_tblspc");
  fs::create_directory_symlink(elsewhere.path(), root / "pg_tblspc/16384");
  fs::create_directory_symlink(elsewhere / "missing", root / "pg_tblspc/16385");
  const auto entries = scan(root.path());
  CHECK(entries.size() == 3);
}

TEST_CASE("links and other strange things are left out", "[basebackup]") {
  const TemporaryDirectory root;
  const TemporaryDirectory elsewhere;
  put(elsewhere / "secret");
  fs::create_directories(root / "base/5");
  fs::create_directories(root / "pg_tblspc");
  fs::create_symlink(elsewhere / "secret", root / "base/5/16384");
  fs::create_directory_symlink(elsewhere.path(), root / "stray");
  fs::create_directory_symlink(elsewhere.path(), root / "pg_tblspc/not_a_number");
  REQUIRE(mkfifo((root / "pipe").c_str(), 0600) == 0);
  const auto entries = scan(root.path());
  CHECK(entries.size() == 3);
  CHECK_FALSE(entries.contains("stray"));
}

TEST_CASE("pg_wal on another volume is a folder of the backup", "[basebackup]") {
  const TemporaryDirectory root;
  const TemporaryDirectory elsewhere;
  put(elsewhere / "000000010000000000000001");
  fs::create_directory_symlink(elsewhere.path(), root / "pg_wal");
  const auto entries = scan(root.path());
  REQUIRE(entries.size() == 1);
  CHECK(entries.at("pg_wal").type == Type::kDirectory);
  CHECK(entries.at("pg_wal").mode == 0700);
}

TEST_CASE("what vanishes during the scan is passed over", "[basebackup]") {
  const TemporaryDirectory root;
  for (int i = 0; i < 50; ++i) {
    put(root / ("base/5/" + std::to_string(16384 + i)));
    fs::create_directories(root / ("base/" + std::to_string(100 + i)));
  }
  int seen = 0;
  scan_data_directory(root.path(), kVersionFolder, [&](const ScannedEntry& entry) {
    ++seen;
    if (entry.path == "base") return;
    fs::remove_all(root / "base");  // everything else of it
  });
  CHECK(seen <= 3);
}

}  // namespace pitr
