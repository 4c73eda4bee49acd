#include "catalog/catalog.h"

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <rocksdb/db.h>

#include "harness/environment.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::error_of;
using testing::exists;
using testing::TemporaryDirectory;

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr const char* kStateVariable = "PITR_TEST_CATALOG";
constexpr milliseconds kSoon{20'000};

const ClusterKey kMain{.name = "main", .system_identifier = 9};

WalFileEntry entry(unsigned number, std::uint64_t stored_bytes = 1000) {
  const std::string name = fmt::format("0000000100000000{:08X}", number);
  return {.cluster = kMain,
          .key = wal_key(kMain, *WalFileName::parse(name)),
          .raw_bytes = 1U << 20,
          .stored_bytes = stored_bytes,
          .archived_at = Instant(std::chrono::seconds(1'795'000'000)),
          .index = testing::random_bytes(200, number)};
}

BackupSummary backup(const std::string& id) { return {.id = id, .timeline = 1, .stop_lsn = 77}; }

std::unique_ptr<Catalog> update(const TemporaryDirectory& state) {
  return Catalog::open_for_update(state.path(), kSoon, "unit test");
}

bool knows(Catalog& catalog, const WalFileEntry& wanted) {
  WalFileEntry found;
  return catalog.row_cache(kMain).find_wal(wanted.key, found) && found == wanted;
}

bool knows_backup(Catalog& catalog, const std::string& id) {
  BackupSummary found;
  return catalog.row_cache(kMain).find_backup(id, found) && found == backup(id);
}

// An entry, a backup and a history file, durable and closed.
void fill(const TemporaryDirectory& state) {
  const auto catalog = update(state);
  const RowCache rows = catalog->row_cache(kMain);
  rows.put_wal(entry(1));
  rows.put_backup(backup("b"));
  rows.put_history({.timeline = 2, .contents = "1\t0/380000\tx\n"});
  catalog->sync();
}

// Every file below a folder: contents and time of the last change.
std::map<std::string, std::pair<testing::Bytes, fs::file_time_type>> files_below(
    const std::string& folder) {
  std::map<std::string, std::pair<testing::Bytes, fs::file_time_type>> files;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    const auto time = fs::last_write_time(file.path());
    files[file.path().string()] = {
        file.is_regular_file() ? testing::read_file(file.path().string()) : testing::Bytes(), time};
  }
  return files;
}

std::vector<std::string> database_files(const TemporaryDirectory& state, const char* prefix) {
  std::vector<std::string> paths;
  for (const std::string& name : testing::names_in(state / "catalog")) {
    if (name.starts_with(prefix)) paths.push_back(state / ("catalog/" + name));
  }
  REQUIRE_FALSE(paths.empty());
  return paths;
}

void wait_for_file(const std::string& path) {
  for (int i = 0; i < 2000 && !exists(path); ++i)
    std::this_thread::sleep_for(milliseconds(10));
  REQUIRE(exists(path));
}

// Another process that holds the catalog. Not a mere fork(2): RocksDB has threads of its own.
class Holder {
 public:
  explicit Holder(const TemporaryDirectory& state) : state_(state) {
    const testing::EnvironmentVariable variable(kStateVariable, state.path());
    process_ = fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) {
      execl("/proc/self/exe", "holder", "[holder]", nullptr);
      _exit(127);
    }
    wait_for_file(state / "held");
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  Holder(Holder&&) = delete;
  Holder& operator=(Holder&&) = delete;
  ~Holder() {
    release();
    int status = 0;
    waitpid(process_, &status, 0);
  }

  pid_t process() const { return process_; }
  void release() const { testing::write_file(state_ / "release", ""); }

 private:
  const TemporaryDirectory& state_;
  pid_t process_ = 0;
};

}  // namespace

TEST_CASE("holds a catalog for another process", "[.holder]") {
  const char* directory = std::getenv(kStateVariable);
  REQUIRE(directory != nullptr);
  const std::string state = directory;
  const auto catalog = Catalog::open_for_update(state, kSoon, "pitr backup");
  testing::write_file(state + "/held", "");
  wait_for_file(state + "/release");
}

TEST_CASE("a catalog remembers from one opening to the next", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  {
    const auto catalog = update(state);
    CHECK(knows(*catalog, entry(1)));
    CHECK(knows_backup(*catalog, "b"));
    CHECK(catalog->row_cache(kMain).find_history(2) == "1\t0/380000\tx\n");
    CHECK_FALSE(knows(*catalog, entry(2)));
    CHECK_FALSE(knows_backup(*catalog, "c"));
    CHECK_FALSE(catalog->row_cache(kMain).find_history(3));
  }
  const auto reader = Catalog::open_for_read(state.path());
  REQUIRE(reader);
  CHECK(knows(*reader, entry(1)));
  CHECK(knows_backup(*reader, "b"));
}

TEST_CASE("a catalog keeps clusters apart", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  const auto catalog = update(state);
  const RowCache other = catalog->row_cache({.name = "main", .system_identifier = 10});
  BackupSummary found;
  CHECK_FALSE(other.find_backup("b", found));
  CHECK_FALSE(other.find_history(2));
}

TEST_CASE("what is put again replaces what was there", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  {
    const auto catalog = update(state);
    catalog->row_cache(kMain).put_wal(entry(1, 5000));
    CHECK(knows(*catalog, entry(1, 5000)));
    catalog->sync();
  }
  CHECK(knows(*update(state), entry(1, 5000)));
}

TEST_CASE("a catalog that was cleared knows nothing", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  Catalog::open_for_update(state.path(), std::chrono::seconds(1), "a test", true);
  const auto catalog = update(state);
  CHECK_FALSE(knows(*catalog, entry(1)));
  CHECK_FALSE(knows_backup(*catalog, "b"));
  CHECK_FALSE(catalog->row_cache(kMain).find_history(2));
}

TEST_CASE("the journal is taken in once", "[catalog]") {
  const TemporaryDirectory state;
  const Journal journal(state.path());
  journal.append(entry(1));
  journal.append(entry(2));
  {
    const auto catalog = update(state);
    CHECK(knows(*catalog, entry(1)));
    CHECK(knows(*catalog, entry(2)));
  }
  std::filesystem::remove_all(state / "catalog");
  // Were it taken in again, what was forgotten would be back.
  CHECK_FALSE(knows(*update(state), entry(1)));
}

TEST_CASE("what the journal says later counts", "[catalog]") {
  const TemporaryDirectory state;
  const Journal journal(state.path());
  journal.append(entry(1, 1000));
  journal.append(entry(1, 2000));
  CHECK(knows(*Catalog::open_for_read(state.path()), entry(1, 2000)));
  CHECK(knows(*update(state), entry(1, 2000)));
}

TEST_CASE("a torn record of the journal is passed over", "[catalog]") {
  const TemporaryDirectory state;
  const Journal journal(state.path());
  journal.append(entry(1));
  journal.append(entry(2));
  auto bytes = testing::read_file(state / "journal");
  bytes.resize(bytes.size() - 20);
  testing::write_file(state / "journal", bytes);
  journal.append(entry(3));
  for (const bool for_reading : {true, false}) {
    const auto catalog = for_reading ? Catalog::open_for_read(state.path()) : update(state);
    REQUIRE(catalog);
    CHECK(knows(*catalog, entry(1)));
    CHECK_FALSE(knows(*catalog, entry(2)));
    CHECK(knows(*catalog, entry(3)));
  }
}

TEST_CASE("an entry of the journal that is no segment's is passed over", "[catalog]") {
  const TemporaryDirectory state;
  WalFileEntry strange = entry(1);
  strange.key =
      GENERATE("wal/x", "x", "wal", "history/main-9/00000002.history", "000000010000000000000001");
  Journal(state.path()).append(strange);
  Journal(state.path()).append(entry(2));
  CHECK(knows(*update(state), entry(2)));
}

TEST_CASE("a reader sees the journal and writes nothing", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  Journal(state.path()).append(entry(5));
  const auto before = files_below(state.path());
  {
    const auto reader = Catalog::open_for_read(state.path());
    REQUIRE(reader);
    CHECK(knows(*reader, entry(1)));
    CHECK(knows(*reader, entry(5)));
    const RowCache rows = reader->row_cache(kMain);
    rows.put_wal(entry(6));  // a reader remembers nothing, and does not complain
    rows.put_backup(backup("c"));
    rows.put_history({.timeline = 3, .contents = "x"});
    CHECK_FALSE(knows(*reader, entry(6)));
  }
  CHECK(files_below(state.path()) == before);
}

TEST_CASE("a reader finds no catalog where there is none", "[catalog]") {
  const TemporaryDirectory state;
  CHECK_FALSE(Catalog::open_for_read(state.path()));
  CHECK_FALSE(Catalog::open_for_read(state / "missing"));
  CHECK(testing::names_in(state.path()).empty());
}

TEST_CASE("a damaged database is begun anew", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  { const auto again = update(state); }  // so that there is a table file, too
  SECTION("CURRENT is foreign") { testing::write_file(state / "catalog/CURRENT", "nonsense\n"); }
  SECTION("CURRENT is empty") { testing::write_file(state / "catalog/CURRENT", ""); }
  SECTION("CURRENT leads nowhere") {
    testing::write_file(state / "catalog/CURRENT", "MANIFEST-999999\n");
  }
  SECTION("the manifest is cut short") {
    for (const std::string& path : database_files(state, "MANIFEST"))
      testing::write_file(path, ByteSpan(testing::read_file(path)).first(20));
  }
  SECTION("the manifest is empty") {
    for (const std::string& path : database_files(state, "MANIFEST"))
      testing::write_file(path, "");
  }
  SECTION("the manifest is foreign") {
    for (const std::string& path : database_files(state, "MANIFEST"))
      testing::write_file(path, testing::random_bytes(3000));
  }
  CHECK_NOTHROW(Catalog::open_for_read(state.path()));
  {
    const auto catalog = update(state);
    CHECK_FALSE(knows(*catalog, entry(1)));
    catalog->row_cache(kMain).put_wal(entry(7));
    catalog->sync();
  }
  CHECK(knows(*update(state), entry(7)));
  CHECK(knows(*Catalog::open_for_read(state.path()), entry(7)));
}

TEST_CASE("damaged tables cost rows, not the command", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  { const auto again = update(state); }
  for (const auto& file : fs::directory_iterator(state / "catalog")) {
    if (file.path().extension() == ".sst") {
      testing::write_file(file.path().string(), testing::random_bytes(500));
    }
  }
  if (const auto reader = Catalog::open_for_read(state.path()))
    CHECK_FALSE(knows(*reader, entry(2)));
  const auto catalog = update(state);
  catalog->row_cache(kMain).put_wal(entry(7));
  CHECK(knows(*catalog, entry(7)));
}

TEST_CASE("a database of an unknown format is begun anew", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  {
    rocksdb::DB* opened = nullptr;
    REQUIRE(rocksdb::DB::Open({}, state / "catalog", &opened).ok());
    const std::unique_ptr<rocksdb::DB> database(opened);
    REQUIRE(database->Put({}, "format", "999").ok());
  }
  CHECK_FALSE(Catalog::open_for_read(state.path()));
  CHECK_FALSE(knows(*update(state), entry(1)));
  CHECK(Catalog::open_for_read(state.path()));
}

TEST_CASE("a state directory that cannot be made is an error of the system", "[catalog]") {
  const TemporaryDirectory state;
  testing::write_file(state / "file", "not a directory");
  CHECK(error_of([&] {
          Catalog::open_for_update(state / "file/state", milliseconds(0), "unit test");
        }).kind == ErrorKind::kSystem);
}

TEST_CASE("the second process waits and then names the one that holds the catalog", "[catalog]") {
  const TemporaryDirectory state;
  const Holder holder(state);
  const auto began = std::chrono::steady_clock::now();
  const ErrorReport report =
      error_of([&] { Catalog::open_for_update(state.path(), milliseconds(200), "unit test"); });
  CHECK(std::chrono::steady_clock::now() - began >= milliseconds(200));
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK(error_code(report) == "lock_timeout");
  CHECK_THAT(report.detail, Catch::Contains(fmt::format("process {} ", holder.process())));
  CHECK_THAT(report.detail, Catch::Contains("pitr backup"));
}

TEST_CASE("the second process goes on when the first has ended", "[catalog]") {
  const TemporaryDirectory state;
  const Holder holder(state);
  std::thread release([&] {
    std::this_thread::sleep_for(milliseconds(150));
    holder.release();
  });
  std::unique_ptr<Catalog> catalog;
  CHECK_NOTHROW(catalog = update(state));
  release.join();
  CHECK(catalog);
}

TEST_CASE("a reader waits for nobody", "[catalog]") {
  const TemporaryDirectory state;
  fill(state);
  const Holder holder(state);
  Journal(state.path()).append(entry(5));  // nor does archiving
  const auto reader = Catalog::open_for_read(state.path());
  REQUIRE(reader);
  CHECK(knows(*reader, entry(1)));
  CHECK(knows(*reader, entry(5)));
}

}  // namespace pitr
