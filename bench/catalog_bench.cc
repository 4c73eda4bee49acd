// Questions to a catalog of 1,000,000 segments and 1,000 backups, generated: two timelines, a
// commit every few milliseconds. The storage only lists folders: what is asked of it beyond that is
// counted as an error, since a catalog that is up to date reads no trailer.
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>

#include <unistd.h>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "catalog/catalog.h"
#include "catalog/recovery_plan.h"
#include "catalog/wal_path.h"
#include "common/error.h"

namespace pitr {
namespace {

constexpr SegmentSize k16MiB = SegmentSize{16} << 20;
constexpr std::uint32_t kSegmentsPerLog = 256;
constexpr std::uint32_t kLogs = 3907;  // 1,000,192 segments
constexpr std::uint32_t kBackups = 1000;
constexpr std::uint32_t kCommitsPerSegment = 6000;
constexpr std::int64_t kSegmentTime = 20'000'000;  // microseconds

ClusterRecord cluster() {
  return {.key = {.name = "main", .system_identifier = 7301122034409873321},
          .identity = {.system_identifier = 7301122034409873321,
                       .segment_size = k16MiB,
                       .postgres_version = 15},
          .created_at = {}};
}

std::int64_t time_of(std::uint64_t segment) {
  return 848'000'000'000'000 + static_cast<std::int64_t>(segment) * kSegmentTime;
}

SegmentRow make_row(std::uint64_t number) {
  const SegmentName name = SegmentName::containing(1, static_cast<Lsn>(number) * k16MiB, k16MiB);
  SegmentRow row{.name = name,
                 .key = wal_key(cluster().key, *WalFileName::parse(name.to_string())),
                 .stored_bytes = 4'000'000,
                 .archived_at = from_postgres_time(time_of(number + 1))};
  SegmentIndex& index = row.index;
  const Lsn start = name.start(k16MiB);
  index.first_record = start + 40;
  index.last_record = start + k16MiB - 100;
  index.end_of_records = index.valid_end = start + k16MiB;
  index.commits = kCommitsPerSegment;
  index.min_time = time_of(number);
  index.max_time = time_of(number + 1) - 1;
  index.first_commit = index.min_time;
  index.last_commit = index.max_time;
  index.min_xid = static_cast<std::uint32_t>(number) * 1000 + 3;
  index.max_xid = index.min_xid + kCommitsPerSegment;
  if (number % 20 == 0) index.checkpoints = {{.start = start + 500, .next_xid = index.min_xid}};
  if (number % 50'000 == 7) {
    index.restore_points = {{.start = start + 1000,
                             .end = start + 1100,
                             .time = index.min_time,
                             .name = fmt::format("point{}", number / 50'000)}};
  }
  return row;
}

// What read_transactions() would say, thinned: the plan looks at times and places only.
std::vector<TransactionEnd> transactions_of(const SegmentRow& row) {
  std::vector<TransactionEnd> transactions;
  const Lsn start = row.name.start(k16MiB);
  constexpr std::uint32_t kShown = 100;
  for (std::uint32_t i = 0; i < kShown; ++i) {
    transactions.push_back({.start = start + 2000 + Lsn{i} * 1000,
                            .end = start + 2100 + Lsn{i} * 1000,
                            .time = row.index.min_time + i * (kSegmentTime / kShown),
                            .xid = row.index.min_xid + i,
                            .is_commit = true});
  }
  return transactions;
}

// Folders and backups of the generated repository, and no file.
class FoldersOnly : public Storage {
 public:
  const StorageProperties& properties() const override { return properties_; }
  std::vector<std::string> list_folders(const std::string& folder) override {
    if (folder == wal_folder(cluster().key)) return {"00000001"};
    std::vector<std::string> names;
    for (std::uint32_t log = 0; log < kLogs; ++log)
      names.push_back(fmt::format("{:08X}", log));
    return names;
  }
  std::optional<std::string> stamp(const std::string& folder) override { return folder; }
  void list(const std::string& folder, const std::string&, const Visitor& visitor) override {
    const std::string wal = wal_folder(cluster().key) + "/";
    if (folder == backup_folder(cluster().key)) {
      for (std::uint32_t i = 0; i < kBackups; ++i)
        visitor(backup_manifest_key(cluster().key, fmt::format("backup-{:04}", i)));
    } else if (folder.starts_with(wal)) {
      const auto log =
          static_cast<std::uint32_t>(std::stoul(folder.substr(folder.rfind('/') + 1), nullptr, 16));
      for (std::uint32_t i = 0; i < kSegmentsPerLog; ++i)
        visitor(make_row(std::uint64_t{log} * kSegmentsPerLog + i).key);
    }
  }
  std::unique_ptr<ByteSource> open(const std::string& key) override { refuse(key); }
  std::unique_ptr<Destination> create(const std::string& key) override { refuse(key); }
  void make_durable(const std::string& key) override { refuse(key); }
  void forget_cached(const std::string& key) override { refuse(key); }
  bool remove(const std::string& key) override { refuse(key); }
  std::size_t remove_abandoned(const std::string& folder) override { refuse(folder); }

 private:
  [[noreturn]] static void refuse(const std::string& key) {
    throw Error({.kind = ErrorKind::kSystem, .message = "the benchmark has no file " + key});
  }
  StorageProperties properties_{.url = "folders only"};
};

void generate(const std::string& state_directory) {
  const auto catalog =
      Catalog::open_for_update(state_directory, std::chrono::seconds(1), "catalog_bench", true);
  const RowCache cache = catalog->row_cache(cluster().key);
  for (std::uint32_t log = 0; log < kLogs; ++log) {
    LogRows rows;
    for (std::uint32_t i = 0; i < kSegmentsPerLog; ++i) {
      rows.segments.push_back(make_row(std::uint64_t{log} * kSegmentsPerLog + i));
      const SegmentRow& row = rows.segments.back();
      cache.put_wal({.cluster = cluster().key,
                     .key = row.key,
                     .raw_bytes = k16MiB,
                     .stored_bytes = row.stored_bytes,
                     .archived_at = row.archived_at,
                     .index = encode_index(row.index)});
    }
    const std::string folder = fmt::format("{}/{:08X}", timeline_folder(cluster().key, 1), log);
    cache.put_log(folder, folder, summarize(1, log, rows));
  }
  for (std::uint32_t i = 0; i < kBackups; ++i) {
    const std::uint64_t segment = std::uint64_t{i} * kLogs * kSegmentsPerLog / kBackups + 2;
    cache.put_backup({.id = fmt::format("backup-{:04}", i),
                      .timeline = 1,
                      .start_lsn = segment * k16MiB + 40,
                      .stop_lsn = segment * k16MiB + 10'000,
                      .started_at = from_postgres_time(time_of(segment)),
                      .finished_at = from_postgres_time(time_of(segment) + 1'000'000),
                      .last_commit_at = from_postgres_time(time_of(segment) + 500'000),
                      .stored_bytes = 5'000'000'000});
  }
  catalog->sync();
}

// The generated catalog, made once and removed at the end.
class GeneratedCatalog {
 public:
  GeneratedCatalog()
      : directory_(std::filesystem::temp_directory_path() /
                   fmt::format("pitr_catalog_bench.{}", getpid())) {
    generate(directory_);
  }
  GeneratedCatalog(const GeneratedCatalog&) = delete;
  GeneratedCatalog& operator=(const GeneratedCatalog&) = delete;
  GeneratedCatalog(GeneratedCatalog&&) = delete;
  GeneratedCatalog& operator=(GeneratedCatalog&&) = delete;
  ~GeneratedCatalog() { std::filesystem::remove_all(directory_); }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
};

const std::string& state_directory() {
  static const GeneratedCatalog catalog;
  return catalog.directory();
}

FoldersOnly& storage() {
  static FoldersOnly folders;
  return folders;
}

void open_catalog(benchmark::State& state) {
  state_directory();
  while (state.KeepRunning()) {
    benchmark::DoNotOptimize(Catalog::open_for_read(state_directory()));
  }
}
BENCHMARK(open_catalog)->Unit(benchmark::kMillisecond);

// Rows and plan: everything between the opened catalog and the answer, but for reading the one or
// two segments.
void plan(benchmark::State& state, const RecoveryTarget& (*target)(std::mt19937_64&)) {
  const auto catalog = Catalog::open_for_read(state_directory());
  const RowCache cache = catalog->row_cache(cluster().key);
  std::mt19937_64 random(1);
  std::size_t reads = 0;
  const WalReader reader{.transactions = [&](const SegmentRow& row) {
    ++reads;
    return transactions_of(row);
  }};
  while (state.KeepRunning()) {
    const ClusterRows rows = read_rows(storage(), cluster(), cache);
    const PlanRequest request{.target = target(random), .now = from_postgres_time(INT64_MAX / 2)};
    const RecoveryPlan answer = plan_recovery(rows, request, reader);
    if (!answer.reachable()) state.SkipWithError(answer.reason->message.c_str());
  }
  state.counters["segments_read"] =
      benchmark::Counter(static_cast<double>(reads), benchmark::Counter::kAvgIterations);
}

std::uint64_t any_segment(std::mt19937_64& random) {
  return 10 + random() % (std::uint64_t{kLogs} * kSegmentsPerLog - 20);
}

const RecoveryTarget& time_target(std::mt19937_64& random) {
  static RecoveryTarget target;
  target = {.kind = RecoveryTarget::Kind::kTime,
            .time = from_postgres_time(time_of(any_segment(random)) + 7'000'000)};
  return target;
}

const RecoveryTarget& xid_target(std::mt19937_64& random) {
  static RecoveryTarget target;
  target = {.kind = RecoveryTarget::Kind::kXid, .xid = any_segment(random) * 1000 + 3 + 50};
  return target;
}

const RecoveryTarget& name_target(std::mt19937_64& random) {
  static RecoveryTarget target;
  target = {.kind = RecoveryTarget::Kind::kName, .name = fmt::format("point{}", 1 + random() % 19)};
  return target;
}

const RecoveryTarget& lsn_target(std::mt19937_64& random) {
  static RecoveryTarget target;
  target = {.kind = RecoveryTarget::Kind::kLsn, .lsn = any_segment(random) * k16MiB + 5000};
  return target;
}

const RecoveryTarget& end_target(std::mt19937_64&) {
  static const RecoveryTarget target{.kind = RecoveryTarget::Kind::kEnd};
  return target;
}

BENCHMARK_CAPTURE(plan, time, time_target)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, xid, xid_target)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, name, name_target)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, lsn, lsn_target)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(plan, end, end_target)->Unit(benchmark::kMillisecond);

// What `pitr info` asks.
void windows(benchmark::State& state) {
  const auto catalog = Catalog::open_for_read(state_directory());
  while (state.KeepRunning()) {
    const ClusterRows rows = read_rows(storage(), cluster(), catalog->row_cache(cluster().key));
    benchmark::DoNotOptimize(reachable_windows(rows));
    benchmark::DoNotOptimize(find_gaps(rows, 1));
  }
}
BENCHMARK(windows)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pitr

BENCHMARK_MAIN();
