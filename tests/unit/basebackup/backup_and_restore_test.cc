// The way of a data directory into a repository and back: file_copier, backup_objects and
// restore_backup together.
#include <filesystem>
#include <map>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "basebackup/file_copier.h"
#include "basebackup/page_checksum.h"
#include "basebackup/restore_backup.h"
#include "common/process.h"
#include "harness/child_process.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "harness/wal_builder.h"
#include "storage/posix_storage.h"

namespace pitr {

using testing::Bytes;
using testing::error_kind_of;
using testing::exists;
using testing::TemporaryDirectory;
using testing::write_file;

namespace {

namespace fs = std::filesystem;

constexpr const char* kVersionFolder = "PG_15_202209061";
constexpr const char* kId = "20261123T153936Z-F";

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

void put(const std::string& path, ByteSpan contents) {
  fs::create_directories(fs::path(path).parent_path());
  write_file(path, contents);
}
void put(const std::string& path, std::string_view contents) { put(path, as_byte_span(contents)); }

// Random, and made faster than byte by byte; no two pages are the same.
Bytes large_bytes(std::size_t size) {
  constexpr std::size_t kPage = 8192;
  const Bytes page = testing::random_bytes(kPage);
  Bytes bytes(size);
  for (std::size_t at = 0; at < size; at += kPage) {
    std::memcpy(bytes.data() + at, page.data(), std::min(kPage, size - at));
    if (size - at >= sizeof at) std::memcpy(bytes.data() + at, &at, sizeof at);
  }
  return bytes;
}

// A repository, a data directory and a place to restore to.
struct Places {
  TemporaryDirectory all;
  std::string data = all / "data";
  std::string destination = all / "destination";
  std::unique_ptr<Storage> storage;
  BackupSummary summary;

  Places() {
    create_posix_repository(all / "repository");
    storage = open_posix_storage(all / "repository", RingMode::kOff);
    fs::create_directories(data);
    fs::create_directories(destination);
    put(data + "/global/pg_control", testing::random_bytes(8192));
    put(data + "/PG_VERSION", "15\n");
  }

  CopyPlan plan(bool verify_pages = false) const {
    CopyPlan plan{.data_directory = data, .verify_pages = verify_pages, .start_lsn = 1000};
    plan.current_lsn = [] { return Lsn{2000}; };
    return plan;
  }

  // As take_base_backup() does it, without a server. Between the scan and the copy files may be
  // changed by `meanwhile`.
  std::vector<PageError> back_up(const CopyPlan& copy_plan,
                                 const std::function<void()>& meanwhile = {}) {
    BackupObjects objects(*storage, kMain, kId, {});
    RateLimit no_limit(0);
    FileCopier copier(copy_plan, objects, no_limit, {}, RingMode::kAuto);
    std::vector<ScannedEntry> small;
    std::vector<ScannedEntry> large;
    scan_data_directory(data, kVersionFolder, [&](const ScannedEntry& entry) {
      if (entry.type == ScannedEntry::Type::kFile) {
        (entry.size > kLargestBundledFile ? large : small).push_back(entry);
        return;
      }
      const bool is_link = entry.type == ScannedEntry::Type::kTablespace;
      objects.add_entry(
          {.type = is_link ? ManifestEntry::Type::kTablespace : ManifestEntry::Type::kDirectory,
           .path = entry.path,
           .target = entry.target,
           .mode = entry.mode});
    });
    small.push_back({.path = "global/pg_control", .mode = 0600});
    if (meanwhile) meanwhile();
    std::vector<PageError> errors;
    const auto copy_and_add = [&](const std::vector<ScannedEntry>& files) {
      const CopiedFiles copied = copier.copy_files(files);
      for (const ManifestEntry& entry : copied.entries)
        objects.add_entry(entry);
      errors.insert(errors.end(), copied.page_errors.begin(), copied.page_errors.end());
    };
    copy_and_add(small);
    for (const ScannedEntry& file : large)
      copy_and_add({file});
    summary = {.timeline = 1, .start_lsn = 1000, .stop_lsn = 1500};
    objects.publish(summary);
    return errors;
  }

  RestoreBackupRequest request(bool delta = false) const {
    return {
        .cluster = kMain, .backup = summary, .destination = destination, .jobs = 2, .delta = delta};
  }

  RestoreCounts restore(const RestoreBackupRequest& asked) const {
    BackupRestore restore(asked, *storage);
    restore.begin();
    const RestoreCounts counts = restore.write_files();
    restore.finish();
    return counts;
  }

  // The path of a stored object in the repository's folder.
  std::string object(const std::string& name) const {
    return all / ("repository/" + backup_object_key(kMain.key, kId, name));
  }
};

// Relative path -> contents, for folders "/"; what a restore adds is left out.
std::map<std::string, Bytes> tree(const std::string& root) {
  std::map<std::string, Bytes> files;
  for (const auto& file : fs::recursive_directory_iterator(root)) {
    const std::string path = file.path().string().substr(root.size() + 1);
    if (path == "backup_manifest") continue;
    files[path] =
        file.is_regular_file() ? testing::read_file(file.path().string()) : testing::bytes_of("/");
  }
  return files;
}

bool same(const std::map<std::string, Bytes>& a, const std::map<std::string, Bytes>& b) {
  return a == b;  // a failed comparison shall not print megabytes
}

std::string first_object(const Places& places, const std::string& purpose) {
  for (const std::string& name : testing::names_in(fs::path(places.object("x")).parent_path())) {
    if (name.starts_with(purpose)) return places.object(name);
  }
  FAIL("no object of a " << purpose);
  return {};
}

}  // namespace

TEST_CASE("a tree comes back as it was", "[basebackup]") {
  Places places;
  put(places.data + "/empty", "");
  put(places.data + "/one", "x");
  put(places.data + "/base/1/1259", large_bytes(kLargestBundledFile));
  put(places.data + "/base/1/1260", large_bytes(kLargestBundledFile + 1));
  put(places.data + "/base/1/1261", large_bytes((16U << 20) + 4711));
  put(places.data + "/name with \xFF and \n", "strange");
  fs::create_directories(places.data + "/pg_twophase");
  chmod((places.data + "/pg_twophase").c_str(), 0750);
  chmod((places.data + "/one").c_str(), 0440);
  const auto errors = places.back_up(places.plan());
  CHECK(errors.empty());
  CHECK(places.summary.file_count == 8);
  CHECK(places.summary.id == kId);
  const RestoreCounts counts = places.restore(places.request());
  CHECK(counts.files == 8);
  CHECK(counts.bytes == places.summary.size_bytes);
  CHECK(same(tree(places.data), tree(places.destination)));
  CHECK((fs::status(places.destination + "/pg_twophase").permissions()) == fs::perms(0750));
  CHECK((fs::status(places.destination + "/one").permissions()) == fs::perms(0440));
  const auto time = [](const std::string& path) {
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    return std::pair(status.st_mtim.tv_sec, status.st_mtim.tv_nsec / 1000);
  };
  CHECK(time(places.data + "/one") == time(places.destination + "/one"));
  CHECK_FALSE(exists(places.destination + "/" + kRestoringMark));
}

TEST_CASE("more small files than one task takes come back", "[.][slow]") {
  Places places;
  fs::create_directories(places.data + "/base/1");
  const std::string contents(40, 'x');
  for (std::size_t i = 0; i < 5000; ++i) {
    write_file(places.data + fmt::format("/base/1/{}", i),
               std::string_view(contents).substr(0, i % 40));
  }
  places.back_up(places.plan());
  const RestoreCounts counts = places.restore(places.request());
  CHECK(counts.files == 5002);
  CHECK(same(tree(places.data), tree(places.destination)));
}

TEST_CASE("small files come back although empty ones stand between them", "[basebackup]") {
  Places places;
  for (std::size_t i = 0; i < 200; ++i)
    put(places.data + fmt::format("/base/{}/{}", i % 7, i), std::string(i % 5 * 100, 'x'));
  places.back_up(places.plan());
  CHECK(places.restore(places.request()).files == 202);
  CHECK(same(tree(places.data), tree(places.destination)));
}

TEST_CASE("a tablespace comes back in its new place", "[basebackup]") {
  Places places;
  put(places.all / "old/PG_15_202209061/5/16400", "table");
  fs::create_directories(places.data + "/pg_tblspc");
  fs::create_directory_symlink(places.all / "old", places.data + "/pg_tblspc/16384");
  places.back_up(places.plan());
  RestoreBackupRequest asked = places.request();
  asked.tablespaces = {{16384, places.all / "new"}};
  places.restore(asked);
  CHECK(same(tree(places.all / "old"), tree(places.all / "new")));
  CHECK(fs::read_symlink(places.destination + "/pg_tblspc/16384") == places.all / "new");
}

TEST_CASE("pg_wal comes back as a link where that is wanted", "[basebackup]") {
  Places places;
  fs::create_directories(places.data + "/pg_wal");
  places.back_up(places.plan());
  RestoreBackupRequest asked = places.request();
  asked.wal_directory = places.all / "wal";
  places.restore(asked);
  CHECK(fs::read_symlink(places.destination + "/pg_wal") == places.all / "wal");
}

TEST_CASE("a backup of a server that goes on writing", "[basebackup]") {
  Places places;
  put(places.data + "/base/1/vanishes", "x");
  put(places.data + "/base/1/grows", "x");
  put(places.data + "/base/1/grows_much", "x");
  put(places.data + "/base/1/shrinks", large_bytes(3U << 20));
  put(places.data + "/base/1/big_vanishes", large_bytes(2U << 20));
  places.back_up(places.plan(), [&] {
    fs::remove(places.data + "/base/1/vanishes");
    fs::remove(places.data + "/base/1/big_vanishes");
    put(places.data + "/base/1/grows", "longer than before");
    put(places.data + "/base/1/grows_much", large_bytes(5U << 20));
    fs::resize_file(places.data + "/base/1/shrinks", 100);
  });
  places.restore(places.request());
  CHECK(same(tree(places.data), tree(places.destination)));
}

TEST_CASE("pages that fail their checksum are noted unless the WAL will write them anew",
          "[basebackup]") {
  Places places;
  Bytes pages = testing::random_bytes(4 * 8192);
  const auto set_lsn = [&](std::size_t block, std::uint32_t lsn) {
    std::memset(pages.data() + block * 8192, 0, 8);
    std::memcpy(pages.data() + block * 8192 + 4, &lsn, sizeof lsn);
  };
  set_lsn(0, 500);   // before the backup
  set_lsn(1, 1500);  // during the backup
  set_lsn(2, 5000);  // beyond what the server has written
  set_lsn(3, 500);
  const std::uint16_t checksum = page_checksum(ByteSpan(pages).subspan(3 * 8192), 131072 + 3);
  std::memcpy(pages.data() + 3 * 8192 + 8, &checksum, sizeof checksum);
  put(places.data + "/base/1/16384.1", pages);
  put(places.data + "/base/1/PG_VERSION", pages);
  const auto errors = places.back_up(places.plan(true));
  CHECK(errors == std::vector<PageError>{{.path = "base/1/16384.1", .block = 131072},
                                         {.path = "base/1/16384.1", .block = 131074}});
}

TEST_CASE("a damaged object is found out", "[basebackup]") {
  Places places;
  put(places.data + "/base/1/1259", testing::random_bytes(100'000));
  put(places.data + "/base/1/1260", large_bytes(3U << 20));
  places.back_up(places.plan());
  const std::string purpose = GENERATE("bundle", "chunk");
  CAPTURE(purpose);
  const std::string path = first_object(places, purpose);
  chmod(path.c_str(), 0600);
  const Bytes whole = testing::read_file(path);
  SECTION("a byte changed") { testing::damage_file(path, whole.size() / 2); }
  SECTION("cut short") { write_file(path, ByteSpan(whole).first(whole.size() / 2)); }
  SECTION("empty") { write_file(path, ""); }
  SECTION("foreign") { write_file(path, testing::random_bytes(4000)); }
  SECTION("missing") { fs::remove(path); }
  SECTION("another object") {
    write_file(path, testing::read_file(first_object(places, "backup_manifest")));
  }
  CHECK(error_kind_of([&] { places.restore(places.request()); }) == ErrorKind::kCorrupt);
  // What is half restored cannot start.
  CHECK(exists(places.destination + "/" + kRestoringMark));
  CHECK_FALSE(exists(places.destination + "/global/pg_control"));
}

TEST_CASE("a damaged manifest is found out", "[basebackup]") {
  Places places;
  places.back_up(places.plan());
  const std::string path = places.all / ("repository/" + backup_manifest_key(kMain.key, kId));
  chmod(path.c_str(), 0600);
  testing::damage_file(path, 40);
  CHECK(error_kind_of([&] { places.restore(places.request()); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a restore over an older state keeps what is equal and removes the rest",
          "[basebackup]") {
  Places places;
  put(places.data + "/base/1/equal", testing::random_bytes(50'000));
  put(places.data + "/base/1/large_equal", large_bytes(3U << 20));
  put(places.data + "/base/1/changed", testing::random_bytes(50'000, 3));
  put(places.data + "/base/1/shorter", testing::random_bytes(50'000, 4));
  put(places.data + "/empty", "");
  fs::create_directories(places.data + "/pg_wal");
  places.back_up(places.plan());
  places.restore(places.request());
  testing::damage_file(places.destination + "/base/1/changed", 77);
  put(places.destination + "/base/1/shorter", testing::random_bytes(70'000, 5));
  fs::last_write_time(places.destination + "/base/1/large_equal",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  put(places.destination + "/base/1/extra", "x");
  put(places.destination + "/extra_folder/file", "x");
  put(places.destination + "/pg_wal/000000010000000000000001", "the only copy");
  fs::create_directory_symlink(places.data, places.destination + "/stray");
  const RestoreCounts counts = places.restore(places.request(true));
  CHECK(counts.files_kept == 4);  // PG_VERSION, equal, large_equal, empty
  CHECK(counts.files_removed >= 3);
  CHECK(exists(places.destination + "/pg_wal/000000010000000000000001"));
  fs::remove(places.destination + "/pg_wal/000000010000000000000001");
  CHECK(same(tree(places.data), tree(places.destination)));
  CHECK(exists(places.data + "/PG_VERSION"));
}

TEST_CASE("of a large file that differs, is shorter or longer, only what differs is written",
          "[basebackup]") {
  static constexpr std::size_t kSize = (5U << 20) + 8192;
  static constexpr std::size_t kPage = 8192;
  const std::string path = "/base/1/16384";
  const std::size_t had = GENERATE(0U, 1000U, 786532U, kSize - kPage, kSize + 0, kSize + 5);
  Places places;
  put(places.data + path, large_bytes(kSize));
  places.back_up(places.plan());
  places.restore(places.request());
  fs::resize_file(places.destination + path, had);
  std::uint64_t pages = (kSize - std::min(kSize, had / kPage * kPage) + kPage - 1) / kPage;
  for (const std::size_t at : {std::size_t{5}, std::size_t{256 * 1024}, kSize - kPage - 1}) {
    if (at >= had / kPage * kPage) continue;
    testing::damage_file(places.destination + path, at);
    ++pages;
  }
  RestoreBackupRequest asked = places.request(true);
  asked.ring = GENERATE(RingMode::kAuto, RingMode::kOff);
  CHECK(places.restore(asked).bytes_written == pages * kPage);
  CHECK(same(tree(places.data), tree(places.destination)));
}

TEST_CASE("a restore over an older state never writes through a link", "[basebackup]") {
  Places places;
  put(places.data + "/base/1/1259", "of the backup");
  places.back_up(places.plan());
  put(places.all / "living/pg_control", "of a living server");
  put(places.all / "living/1259", "of a living server");
  SECTION("to a folder of files") {
    fs::create_directories(places.destination + "/base");
    fs::create_directory_symlink(places.all / "living", places.destination + "/base/1");
  }
  SECTION("to the folder of pg_control") {
    fs::create_directory_symlink(places.all / "living", places.destination + "/global");
  }
  SECTION("to a file") {
    fs::create_directories(places.destination + "/base/1");
    fs::create_symlink(places.all / "living/1259", places.destination + "/base/1/1259");
  }
  try {
    places.restore(places.request(true));
  } catch (const Error&) {
    SUCCEED("refused");
  }
  CHECK(testing::names_in(places.all / "living") == std::vector<std::string>{"1259", "pg_control"});
  CHECK(as_text(testing::read_file(places.all / "living/1259")) == "of a living server");
}

TEST_CASE("texts are written on top and read back", "[basebackup]") {
  Places places;
  put(places.data + "/postgresql.auto.conf", "a = 1\nb = 2\n");
  places.back_up(places.plan());
  const RestoreBackupRequest asked = places.request();
  BackupRestore restore(asked, *places.storage);
  restore.begin();
  restore.write_files();
  CHECK(restore.read_text("postgresql.auto.conf") == "a = 1\nb = 2\n");
  CHECK(restore.read_text("missing").empty());
  restore.write_text("postgresql.auto.conf", "c\n");
  restore.write_text("recovery.signal", "");
  CHECK(restore.read_text("postgresql.auto.conf") == "c\n");
  CHECK_FALSE(exists(places.destination + "/global/pg_control"));
  restore.finish();
  CHECK(exists(places.destination + "/global/pg_control"));
  CHECK(exists(places.destination + "/recovery.signal"));
}

TEST_CASE("a directory is marked while it is restored into, and cannot start", "[basebackup]") {
  Places places;
  places.back_up(places.plan());
  put(places.destination + "/global/pg_control", "old");
  const RestoreBackupRequest asked = places.request(true);
  BackupRestore restore(asked, *places.storage);
  restore.begin();
  CHECK(exists(places.destination + "/" + kRestoringMark));
  CHECK_FALSE(exists(places.destination + "/global/pg_control"));
  CHECK_THAT(restore.read_text(kRestoringMark),
             Catch::Contains(std::to_string(testing::kSystemIdentifier)));
}

TEST_CASE("pg_verifybackup accepts what was restored", "[basebackup]") {
  const std::string program = "/usr/lib/postgresql/15/bin/pg_verifybackup";
  if (!exists(program)) {
    WARN("skipped: there is no pg_verifybackup of version 15");
    return;
  }
  Places places;
  put(places.data + "/base/1/1259", large_bytes(3U << 20));
  put(places.data + "/empty", "");
  put(places.data + "/caf\xE9", "x");
  places.back_up(places.plan());
  places.restore(places.request());
  const auto verify = [&] {
    const std::string command =
        fmt::format("{} -n -q '{}' > '{}' 2>&1", program, places.destination, places.all / "out");
    const int status = std::system(command.c_str());
    UNSCOPED_INFO(as_text(testing::read_file(places.all / "out")));
    return status;
  };
  CHECK(verify() == 0);
  testing::damage_file(places.destination + "/base/1/1259", 4711);
  CHECK(verify() != 0);
}

TEST_CASE("a backup that was not published leaves nothing", "[basebackup]") {
  Places places;
  {
    BackupObjects objects(*places.storage, kMain, kId, {});
    EncodeBuffers buffers({});
    const auto object = objects.create_object("bundle", buffers);
    object->writer().append(testing::random_bytes(1000));
    object->commit();
    objects.store_side_file("backup_label", "", "label");
  }
  std::size_t keys = 0;
  places.storage->list("data", "", [&](const std::string&) { return ++keys > 0; });
  places.storage->list("backup", "", [&](const std::string&) { return ++keys > 0; });
  CHECK(keys == 0);
}

TEST_CASE("what a dead process left unfinished is removed, a living one's is kept",
          "[basebackup]") {
  Places places;
  places.back_up(places.plan());  // published: stays whoever took it
  ProcessIdentity dead = ProcessIdentity::self();
  dead.pid = testing::dead_process();
  const auto leave = [&](const std::string& id, const ProcessIdentity& owner) {
    REQUIRE(store_text(*places.storage, backup_object_key(kMain.key, id, "owner"),
                       {.kind = FileKind::kBackupSideFile,
                        .name = id + "/owner",
                        .cluster_name = kMain.key.name,
                        .cluster = kMain.identity},
                       owner.to_string()));
  };
  leave("20260101T000000Z-F", dead);
  leave("20260202T000000Z-F", ProcessIdentity::self());
  leave("20270101T000000Z-F", dead);
  const std::vector<std::string> leftovers = {
      backup_folder(kMain.key), backup_data_folder(kMain.key, kId), timeline_folder(kMain.key, 1),
      history_folder(kMain.key), map_folder(kMain.key)};
  for (const std::string& folder : leftovers) {
    put(places.all / fmt::format("repository/{}/.tmp.{}.0", folder, dead.to_string()), "half");
  }
  remove_unfinished_backups(*places.storage, kMain.key);
  for (const std::string& folder : leftovers) {
    CAPTURE(folder);
    CHECK_FALSE(
        exists(places.all / fmt::format("repository/{}/.tmp.{}.0", folder, dead.to_string())));
  }
  CHECK_FALSE(places.storage->open(backup_object_key(kMain.key, "20260101T000000Z-F", "owner")));
  CHECK(places.storage->open(backup_object_key(kMain.key, "20260202T000000Z-F", "owner")));
  CHECK_FALSE(places.storage->open(backup_object_key(kMain.key, "20270101T000000Z-F", "owner")));
  CHECK_NOTHROW(places.restore(places.request()));
}

TEST_CASE("a backup of another host lives while it stores something, however long it takes",
          "[basebackup]") {
  Places places;
  const std::string id = "20260101T000000Z-F";
  ProcessIdentity foreign = ProcessIdentity::self();
  foreign.host += "x";
  const Instant begun = now();
  const auto store = [&](const std::string& name, Instant at) {
    REQUIRE(store_text(*places.storage, backup_object_key(kMain.key, id, name),
                       {.kind = FileKind::kBackupSideFile,
                        .name = id + "/" + name,
                        .cluster_name = kMain.key.name,
                        .cluster = kMain.identity,
                        .created_at = at},
                       foreign.to_string()));
  };
  const auto day = [&](int number) { return begun + std::chrono::days(number); };
  store("owner", begun);
  store("bundle-00000001", day(5));
  CHECK(find_running_backup(*places.storage, kMain.key, day(6)));
  CHECK(find_running_backup(*places.storage, kMain.key, day(11)));
  CHECK(remove_unfinished_backups(*places.storage, kMain.key, day(11)).empty());
  CHECK_FALSE(find_running_backup(*places.storage, kMain.key, day(13)));
  CHECK(remove_unfinished_backups(*places.storage, kMain.key).empty());
  CHECK(remove_unfinished_backups(*places.storage, kMain.key, day(13)) ==
        std::vector<std::string>{id});
  CHECK_FALSE(places.storage->open(backup_object_key(kMain.key, id, "bundle-00000001")));
}

TEST_CASE("damage in what another host left unfinished keeps nobody waiting for ever",
          "[basebackup]") {
  const bool owner_is_damaged = GENERATE(false, true);
  Places places;
  const Instant begun = now() - std::chrono::days(3);
  const std::string id = make_unique_name(begun);
  ProcessIdentity foreign = ProcessIdentity::self();
  foreign.host += "x";
  for (const std::string name : {"owner", "bundle-00000001"}) {
    const std::string key = backup_object_key(kMain.key, id, name);
    REQUIRE(store_text(*places.storage, key,
                       {.kind = FileKind::kBackupSideFile,
                        .name = id + "/" + name,
                        .cluster_name = kMain.key.name,
                        .cluster = kMain.identity,
                        .created_at = begun},
                       foreign.to_string()));
    if (owner_is_damaged == (name == "owner"))
      testing::write_file(places.all / ("repository/" + key), testing::bytes_of("half"));
  }
  const auto running =
      find_running_backup(*places.storage, kMain.key, begun + std::chrono::days(6));
  REQUIRE(running);
  CHECK_THAT(*running, Catch::Contains(backup_data_folder(kMain.key, id)));
  CHECK_FALSE(find_running_backup(*places.storage, kMain.key, begun + std::chrono::days(8)));
  CHECK(remove_unfinished_backups(*places.storage, kMain.key, begun + std::chrono::days(8)) ==
        std::vector<std::string>{id});
}

TEST_CASE("what a published backup lies in is looked at without reading it", "[basebackup]") {
  Places places;
  put(places.data + "/base/1/1260", large_bytes(kLargestBundledFile + 1));
  places.back_up(places.plan());
  CHECK(holdings_of(*places.storage, kMain.key, places.summary).problem.empty());
  const std::string purpose = GENERATE("bundle", "chunk");
  const std::string object = first_object(places, purpose);
  if (GENERATE(false, true)) {
    fs::remove(object);
  } else {
    fs::resize_file(object, fs::file_size(object) / 2);
  }
  CHECK_THAT(holdings_of(*places.storage, kMain.key, places.summary).problem,
             Catch::Contains(purpose));
}

}  // namespace pitr
