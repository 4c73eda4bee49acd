// Summaries of logs are remembered with the stamps of their folders.
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "catalog/catalog.h"
#include "catalog/cluster_rows.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "harness/wal_builder.h"
#include "io/archive_format.h"
#include "io/archive_writer.h"
#include "storage/memory_storage.h"

namespace pitr {

using testing::Bytes;
using testing::k1MiB;
using testing::WalBuilder;

namespace {

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

// In memory, with the stamps that a test gives, and a count of what is listed.
class CountingStorage : public Storage {
 public:
  const StorageProperties& properties() const override { return inner_->properties(); }
  std::unique_ptr<ByteSource> open(const std::string& key) override {
    ++opened;
    return inner_->open(key);
  }
  std::unique_ptr<Destination> create(const std::string& key) override {
    return inner_->create(key);
  }
  void list(const std::string& folder, const std::string& after, const Visitor& visitor) override {
    ++listed[folder];
    if (before_list) before_list(folder);
    inner_->list(folder, after, visitor);
  }
  std::vector<std::string> list_folders(const std::string& folder) override {
    return inner_->list_folders(folder);
  }
  std::optional<std::string> stamp(const std::string& folder) override {
    const auto found = stamps.find(folder);
    return found == stamps.end() ? std::nullopt : std::optional(found->second);
  }
  void make_durable(const std::string& key) override { inner_->make_durable(key); }
  void forget_cached(const std::string& key) override { inner_->forget_cached(key); }
  bool remove(const std::string& key) override { return inner_->remove(key); }
  std::size_t remove_abandoned(const std::string& folder) override {
    return inner_->remove_abandoned(folder);
  }

  std::map<std::string, std::string> stamps;
  std::map<std::string, int> listed;
  std::function<void(const std::string& folder)> before_list;
  int opened = 0;

 private:
  std::unique_ptr<Storage> inner_ = make_memory_storage();
};

// The summaries that were put, as the catalog keeps them.
struct Summaries {
  std::map<std::string, std::pair<std::string, LogSummary>> by_folder;
  int puts = 0;

  RowCache cache() {
    return {
        .find_log =
            [this](const std::string& folder, const std::string& stamp, LogSummary& summary) {
              const auto found = by_folder.find(folder);
              if (found == by_folder.end() || found->second.first != stamp) return false;
              summary = found->second.second;
              return true;
            },
        .put_log =
            [this](const std::string& folder, const std::string& stamp, const LogSummary& summary) {
              by_folder[folder] = {stamp, summary};
              ++puts;
            }};
  }
};

SegmentName name_of(std::uint64_t number) {
  return SegmentName::containing(1, number * k1MiB, k1MiB);
}

void put(Storage& storage, std::uint64_t number, ByteSpan pages) {
  SegmentIndexer indexer(number * k1MiB, k1MiB);
  indexer.feed(pages);
  const std::string name = name_of(number).to_string();
  testing::MemorySink sink;
  EncodeBuffers buffers({});
  ArchiveWriter writer(sink, buffers);
  writer.append(pages);
  std::vector<Section> sections = identity_sections({.kind = FileKind::kSegment,
                                                     .name = name,
                                                     .cluster_name = kMain.key.name,
                                                     .cluster = kMain.identity});
  sections.push_back({.id = kWalIndexSection, .bytes = encode_index(indexer.finish())});
  writer.finish(std::move(sections));
  BufferPool pool(1, sink.bytes.size());
  Buffer buffer = pool.acquire();
  std::copy(sink.bytes.begin(), sink.bytes.end(), buffer.space().begin());
  buffer.set_size(sink.bytes.size());
  const auto destination = storage.create(wal_key(kMain.key, *WalFileName::parse(name)));
  destination->append(std::move(buffer));
  REQUIRE(destination->commit());
}

void put_whole(Storage& storage, std::uint64_t number) {
  put(storage, number, testing::complete_segment(number * k1MiB));
}

std::string folder_of(std::uint64_t number) {
  const std::string key = wal_key(kMain.key, *WalFileName::parse(name_of(number).to_string()));
  return key.substr(0, key.rfind('/'));
}

constexpr std::uint64_t kPerLog = 4096;

// Two logs of two segments each, settled.
struct TwoLogs {
  CountingStorage storage;
  Summaries summaries;
  std::string first = folder_of(5);
  std::string second = folder_of(kPerLog + 5);

  TwoLogs() {
    for (const std::uint64_t number : {5U, 6U, 4101U, 4102U})
      put_whole(storage, number);
    storage.stamps = {{first, "a"}, {second, "b"}};
  }
  ClusterRows read() { return read_rows(storage, kMain, summaries.cache()); }
};

}  // namespace

TEST_CASE("an unchanged log is not listed again", "[catalog]") {
  TwoLogs logs;
  REQUIRE(logs.first != logs.second);
  const ClusterRows first = logs.read();
  CHECK(logs.summaries.puts == 2);
  CHECK(logs.storage.listed[logs.first] == 1);
  CHECK(logs.storage.listed[logs.second] == 1);
  const int opened = logs.storage.opened;
  const ClusterRows again = logs.read();
  CHECK(logs.storage.listed[logs.first] == 1);
  CHECK(logs.storage.listed[logs.second] == 1);
  CHECK(logs.storage.opened == opened);
  CHECK(again.wal.logs() == first.wal.logs());
  CHECK(again.wal.logs().size() == 2);
  CHECK(logs.summaries.puts == 2);
}

TEST_CASE("rows behind a remembered summary are read when they are asked for", "[catalog]") {
  TwoLogs logs;
  logs.read();
  const ClusterRows rows = logs.read();
  const RowPointer row = rows.wal.find_whole(name_of(6));
  REQUIRE(row);
  CHECK(row->index.commits == 2);
  CHECK(logs.storage.listed[logs.first] == 2);
  CHECK(logs.storage.listed[logs.second] == 1);
}

TEST_CASE("a log with another stamp is listed again, the others are not", "[catalog]") {
  TwoLogs logs;
  logs.read();
  put_whole(logs.storage, 7);
  logs.storage.stamps[logs.first] = "c";
  const ClusterRows rows = logs.read();
  CHECK(logs.storage.listed[logs.first] == 2);
  CHECK(logs.storage.listed[logs.second] == 1);
  REQUIRE(rows.wal.find_log(1, 0) != nullptr);
  CHECK(rows.wal.find_log(1, 0)->segments == 3);
  logs.read();
  CHECK(logs.storage.listed[logs.first] == 2);  // remembered with the new one
}

TEST_CASE("a log without a stamp is listed every time and not remembered", "[catalog]") {
  TwoLogs logs;
  logs.read();
  logs.storage.stamps.erase(logs.first);  // changed a moment ago
  put_whole(logs.storage, 7);
  CHECK(logs.read().wal.find_log(1, 0)->segments == 3);
  CHECK(logs.read().wal.find_log(1, 0)->segments == 3);
  CHECK(logs.storage.listed[logs.first] == 3);
  CHECK(logs.summaries.puts == 2);
}

TEST_CASE("what comes while a log is listed is found the next time", "[catalog]") {
  TwoLogs logs;
  logs.storage.before_list = [&](const std::string& folder) {
    if (folder == logs.first) logs.storage.stamps[folder] = "changed meanwhile";
  };
  logs.read();
  logs.storage.before_list = {};
  put_whole(logs.storage, 7);
  CHECK(logs.read().wal.find_log(1, 0)->segments == 3);
}

TEST_CASE("a log whose folder went away has no summary, whatever is remembered", "[catalog]") {
  TwoLogs logs;
  logs.read();
  for (const std::uint64_t number : {5U, 6U})
    REQUIRE(
        logs.storage.remove(wal_key(kMain.key, *WalFileName::parse(name_of(number).to_string()))));
  logs.storage.stamps.erase(logs.first);
  const ClusterRows rows = logs.read();
  CHECK(rows.wal.find_log(1, 0) == nullptr);
  CHECK(rows.wal.logs().size() == 1);
}

TEST_CASE("a summary of another log under this one's folder is not believed", "[catalog]") {
  TwoLogs logs;
  logs.read();
  std::swap(logs.summaries.by_folder[logs.first].second,
            logs.summaries.by_folder[logs.second].second);
  const ClusterRows rows = logs.read();
  REQUIRE(rows.wal.logs().size() == 2);
  CHECK(rows.wal.logs()[0].log == 0);
  CHECK(rows.wal.logs()[1].log == 1);
}

TEST_CASE("a log with an unreadable file is not remembered, so that it is told every time",
          "[catalog]") {
  TwoLogs logs;
  const auto destination =
      logs.storage.create(wal_key(kMain.key, *WalFileName::parse(name_of(7).to_string())));
  REQUIRE(destination->commit());
  for (int i = 0; i < 2; ++i)
    CHECK(logs.read().unreadable.size() == 1);
  CHECK_FALSE(logs.summaries.by_folder.contains(logs.first));
  CHECK(logs.summaries.by_folder.contains(logs.second));
}

TEST_CASE("a log that ends in an open record is remembered once the next log completes it",
          "[catalog]") {
  CountingStorage storage;
  Summaries summaries;
  WalBuilder wal((kPerLog - 1) * k1MiB);
  wal.fill_segment(24);
  wal.add_commit(700, 123);
  wal.fill_segment();
  const std::string first = folder_of(kPerLog - 1);
  const std::string second = folder_of(kPerLog);
  put(storage, kPerLog - 1, wal.segment(0));
  storage.stamps = {{first, "a"}, {second, "b"}};
  const ClusterRows before = read_rows(storage, kMain, summaries.cache());
  CHECK_FALSE(summaries.by_folder.contains(first));
  CHECK(before.wal.find_log(1, 0)->totals.commits == 0);
  put(storage, kPerLog, wal.segment(1));  // the first folder does not change by it
  const ClusterRows after = read_rows(storage, kMain, summaries.cache());
  CHECK(after.wal.find_log(1, 0)->totals.commits == 1);
  CHECK(after.wal.find_log(1, 1)->totals.commits == 0);
  CHECK(summaries.by_folder.contains(first));
  const ClusterRows again = read_rows(storage, kMain, summaries.cache());
  CHECK(again.wal.find_log(1, 0)->totals.commits == 1);
  CHECK(storage.listed[first] == 2);
}

TEST_CASE("the catalog believes a summary only with the stamp it was put with", "[catalog]") {
  const testing::TemporaryDirectory directory;
  const auto catalog =
      Catalog::open_for_update(directory.path(), std::chrono::milliseconds(0), "test");
  RowCache cache = catalog->row_cache(kMain.key);
  REQUIRE(cache.find_log);
  REQUIRE(cache.put_log);
  LogSummary summary{.timeline = 1, .log = 7, .segments = 2, .first = 5, .last = 6};
  summary.totals.commits = 9;
  LogSummary found;
  CHECK_FALSE(cache.find_log("wal/folder", "a", found));
  cache.put_log("wal/folder", "a", summary);
  CHECK(cache.find_log("wal/folder", "a", found));
  CHECK(found == summary);
  CHECK_FALSE(cache.find_log("wal/folder", "b", found));
  CHECK_FALSE(cache.find_log("wal/folder", "", found));
  CHECK_FALSE(cache.find_log("wal/folder", "aa", found));
  CHECK_FALSE(cache.find_log("wal/folde", "a", found));
  CHECK_FALSE(cache.find_log("wal/folder2", "a", found));
  summary.segments = 3;
  cache.put_log("wal/folder", "b", summary);
  CHECK_FALSE(cache.find_log("wal/folder", "a", found));
  CHECK(cache.find_log("wal/folder", "b", found));
  CHECK(found.segments == 3);
}

}  // namespace pitr
