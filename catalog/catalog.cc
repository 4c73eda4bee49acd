#include "catalog/catalog.h"

#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/write_batch.h>

#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "io/file.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

// The only format there is; a catalog of another one is begun anew.
constexpr const char* kFormatKey = "format";
constexpr const char* kFormat = "2";
constexpr const char* kRefreshedKey = "refreshed";

[[noreturn]] void throw_catalog_error(const rocksdb::Status& status) {
  throw Error({.kind = status.IsCorruption() ? ErrorKind::kCorrupt : ErrorKind::kSystem,
               .message = fmt::format("the catalog failed: {}", status.ToString()),
               .hint = "Nothing is lost: run pitr catalog rebuild."});
}

// RocksDB would write a LOG file beside its data, also when it only reads.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Options catalog_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.info_log = std::make_shared<SilentLogger>();
  // A tool that lives for a moment: little memory, no statistics, one log at a time, and no threads
  // to open its few files: RocksDB aborts where one of these cannot be started.
  options.max_file_opening_threads = 1;
  options.write_buffer_size = 8U << 20;
  options.max_background_jobs = 1;
  options.keep_log_file_num = 1;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.compression = rocksdb::kNoCompression;
  return options;
}

std::string catalog_folder(const std::string& state_directory) {
  return state_directory + "/catalog";
}

std::string wal_row_key(const std::string& storage_key) {
  const auto name = parse_wal_key(storage_key);
  if (!name) return {};
  // wal/<cluster>/…
  const std::string_view inside = std::string_view(storage_key).substr(4);
  return fmt::format("segment/{}/{:08X}/{:08X}{:08X}/{}", inside.substr(0, inside.find('/')),
                     name->segment.timeline, name->segment.log, name->segment.segment,
                     last_part(storage_key));
}

// Of all rows of a folder wal/<cluster>/<timeline>/<log>.
std::string wal_row_prefix(const std::string& folder) { return "segment/" + folder.substr(4); }

// wal/<cluster>/<timeline>/<log>
std::string log_row_key(const std::string& folder) { return "log/" + folder.substr(4); }

std::string backup_row_key(const ClusterKey& cluster, const std::string& id) {
  return fmt::format("backup/{}/{}", cluster.to_string(), id);
}

std::string timeline_row_key(const ClusterKey& cluster, TimelineId timeline) {
  return fmt::format("timeline/{}/{:08X}", cluster.to_string(), timeline);
}

rocksdb::Slice as_slice(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One process at a time writes. flock(2) goes with its process, however that ends.
class CatalogLock {
 public:
  CatalogLock(const std::string& state_directory, std::chrono::milliseconds timeout,
              const std::string& command)
      : file_(File::open(state_directory + "/catalog.lock", O_RDWR | O_CREAT, 0600)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    bool said = false;
    while (flock(file_.descriptor(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) throw_file_error("lock", file_.path(), errno);
      if (!said) log_info(fmt::format("waiting for the catalog: it is in use by {}", holder()));
      said = true;
      if (std::chrono::steady_clock::now() > deadline) {
        throw Error({.kind = ErrorKind::kSystem,
                     .message = "the catalog is in use by another process",
                     .detail = fmt::format("It is held by {}.", holder()),
                     .hint = "Wait for it, or give more time with --lock-timeout.",
                     .code = "lock_timeout"});
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const ProcessIdentity self = ProcessIdentity::self();
    const std::string text = fmt::format("process {} on {} ({})", self.pid, self.host, command);
    file_.write_at(0, as_byte_span(text));
    if (ftruncate(file_.descriptor(), static_cast<off_t>(text.size())) != 0) {
      throw_file_error("write", file_.path(), errno);
    }
  }

 private:
  std::string holder() const {
    std::string text(256, '\0');
    text.resize(file_.read_at(0, std::as_writable_bytes(std::span(text))));
    return text.empty() ? "a process that has just begun" : text;
  }

  File file_;
};

bool has_our_format(rocksdb::DB& database) {
  std::string format;
  return database.Get({}, kFormatKey, &format).ok() && format == kFormat;
}

void remove_database(const std::string& folder) {
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) throw_file_error("remove", folder, error.value());
}

rocksdb::Status try_open(const std::string& folder, std::unique_ptr<rocksdb::DB>& database) {
  rocksdb::DB* opened = nullptr;
  try {
    rocksdb::Status status = rocksdb::DB::Open(catalog_options(), folder, &opened);
    database.reset(opened);
    return status;
  } catch (const std::system_error& error) {  // it cannot start its threads
    return rocksdb::Status::Aborted(error.what());
  }
}

std::unique_ptr<rocksdb::DB> open_database(const std::string& folder) {
  std::unique_ptr<rocksdb::DB> database;
  rocksdb::Status status = try_open(folder, database);
  // A full disk or a missing permission is no reason to throw the catalog away.
  if (!status.ok() && !status.IsCorruption() && !status.IsInvalidArgument() &&
      !status.IsNotFound() && !status.IsNotSupported()) {
    const std::string text = status.ToString();
    if (text.find("No such file") == std::string::npos) throw_catalog_error(status);
  }
  std::string format;
  const bool is_new = database && database->Get({}, kFormatKey, &format).IsNotFound();
  if (database && (is_new || format == kFormat)) return database;
  log_warning(fmt::format("the catalog in \"{}\" cannot be used and is begun anew{}{}", folder,
                          status.ok() ? "" : ": ", status.ok() ? "" : status.ToString()));
  database.reset();
  remove_database(folder);
  status = try_open(folder, database);
  if (!status.ok()) throw_catalog_error(status);
  return database;
}

}  // namespace

struct Catalog::State {
  std::unique_ptr<CatalogLock> lock;  // null: opened for reading
  std::unique_ptr<rocksdb::DB> database;
  std::map<std::string, WalFileEntry> from_journal;  // opened for reading: not taken in yet

  std::optional<std::string> get(const std::string& key) const {
    std::string value;
    if (!database || key.empty()) return std::nullopt;
    const rocksdb::Status status = database->Get({}, key, &value);
    // Whatever is wrong with a row, the repository has the answer.
    if (!status.ok()) return std::nullopt;
    return value;
  }

  void put(const std::string& key, ByteSpan value) const {
    if (!lock || key.empty()) return;
    const rocksdb::Status status = database->Put({}, key, as_slice(value));
    if (!status.ok()) throw_catalog_error(status);
  }

  bool find_wal(const std::string& key, WalFileEntry& entry) const {
    const auto waiting = from_journal.find(key);
    if (waiting != from_journal.end()) {
      entry = waiting->second;
      return true;
    }
    const auto value = get(wal_row_key(key));
    if (!value) return false;
    try {
      entry = decode_entry(as_byte_span(*value));
      return entry.key == key;
    } catch (const Error&) {
      return false;
    }
  }

  void visit_wal(const std::string& folder, const std::function<void(WalFileEntry)>& visit) const {
    const auto give = [&](ByteSpan value) {
      try {
        visit(decode_entry(value));
      } catch (const Error&) {
        // The repository has the answer.
      }
    };
    if (database) {
      const std::string prefix = wal_row_prefix(folder);
      const std::unique_ptr<rocksdb::Iterator> row(database->NewIterator({}));
      for (row->Seek(prefix); row->Valid() && row->key().starts_with(prefix); row->Next())
        give(as_byte_span(row->value().ToStringView()));
    }
    for (auto one = from_journal.lower_bound(folder + "/");
         one != from_journal.end() && one->first.starts_with(folder + "/"); ++one) {
      visit(one->second);
    }
  }

  // The value is the stamp, as a text, and the summary.
  bool find_log(const std::string& folder, const std::string& stamp, LogSummary& summary) const {
    const auto value = get(log_row_key(folder));
    if (!value) return false;
    try {
      ByteReader reader(as_byte_span(*value));
      if (reader.get_text() != stamp) return false;
      summary = decode_log_summary(reader.get_bytes(reader.remaining()));
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  void put_log(const std::string& folder, const std::string& stamp,
               const LogSummary& summary) const {
    ByteWriter writer;
    writer.put_text(stamp);
    writer.put_bytes(encode_log_summary(summary));
    put(log_row_key(folder), writer.bytes());
  }

  bool find_backup(const ClusterKey& cluster, const std::string& id, BackupSummary& summary) const {
    const auto value = get(backup_row_key(cluster, id));
    if (!value) return false;
    try {
      summary = decode_summary(as_byte_span(*value));
      return summary.id == id;
    } catch (const Error&) {
      return false;
    }
  }
};

Catalog::Catalog(std::shared_ptr<State> state) : state_(std::move(state)) {}
Catalog::~Catalog() = default;

std::unique_ptr<Catalog> Catalog::open_for_read(const std::string& state_directory) {
  auto state = std::make_shared<State>();
  const std::string folder = catalog_folder(state_directory);
  if (access((folder + "/CURRENT").c_str(), R_OK) == 0) {
    rocksdb::DB* opened = nullptr;
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(catalog_options(), folder, &opened);
    state->database.reset(opened);
    if (!status.ok() || !has_our_format(*state->database)) state->database.reset();
  }
  try {
    Journal(state_directory).visit([&](const WalFileEntry& entry) {
      state->from_journal.insert_or_assign(entry.key, entry);
    });
  } catch (const Error& error) {
    log_debug(error.what());  // a reader without access to the state directory
  }
  if (!state->database && state->from_journal.empty()) return nullptr;
  return std::unique_ptr<Catalog>(new Catalog(std::move(state)));
}

bool Catalog::is_being_written(const std::string& state_directory) {
  const int lock = open((state_directory + "/catalog.lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0) return false;
  const File file(lock, "catalog.lock");
  return flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::unique_ptr<Catalog> Catalog::open_for_update(const std::string& state_directory,
                                                  std::chrono::milliseconds timeout,
                                                  const std::string& command, bool anew) {
  create_directories(state_directory);
  auto state = std::make_shared<State>();
  state->lock = std::make_unique<CatalogLock>(state_directory, timeout, command);
  if (anew) remove_database(catalog_folder(state_directory));
  state->database = open_database(catalog_folder(state_directory));
  state->put(kFormatKey, as_byte_span(kFormat));
  std::unique_ptr<Catalog> catalog(new Catalog(std::move(state)));
  Journal(state_directory)
      .take(
          [&](const WalFileEntry& entry) {
            catalog->state_->put(wal_row_key(entry.key), encode_entry(entry));
          },
          [&] { catalog->sync(); });
  return catalog;
}

RowCache Catalog::row_cache(const ClusterKey& cluster) {
  const std::shared_ptr<const State> state = state_;
  return {
      .find_wal = [state](const std::string& key,
                          WalFileEntry& entry) { return state->find_wal(key, entry); },
      .visit_wal =
          [state](const std::string& folder, const std::function<void(WalFileEntry)>& visit) {
            state->visit_wal(folder, visit);
          },
      .put_wal =
          [state](const WalFileEntry& entry) {
            state->put(wal_row_key(entry.key), encode_entry(entry));
          },
      .find_log = [state](const std::string& folder, const std::string& stamp,
                          LogSummary& summary) { return state->find_log(folder, stamp, summary); },
      .put_log = [state](const std::string& folder, const std::string& stamp,
                         const LogSummary& summary) { state->put_log(folder, stamp, summary); },
      .find_backup =
          [state, cluster](const std::string& id, BackupSummary& summary) {
            return state->find_backup(cluster, id, summary);
          },
      .put_backup =
          [state, cluster](const BackupSummary& summary) {
            state->put(backup_row_key(cluster, summary.id), encode_summary(summary));
          },
      .find_history =
          [state, cluster](TimelineId timeline) {
            return state->get(timeline_row_key(cluster, timeline));
          },
      .put_history =
          [state, cluster](const HistoryFile& history) {
            state->put(timeline_row_key(cluster, history.timeline), as_byte_span(history.contents));
          }};
}

std::vector<std::string> Catalog::wal_folders(const ClusterKey& cluster) const {
  std::set<std::string> folders;
  if (state_->database) {
    const std::string prefix = fmt::format("segment/{}/", cluster.to_string());
    const std::size_t log_end = prefix.size() + 8 + 1 + 8;  // <timeline>/<log>
    const std::unique_ptr<rocksdb::Iterator> row(state_->database->NewIterator({}));
    row->Seek(prefix);
    while (row->Valid() && row->key().starts_with(prefix) && row->key().size() > log_end) {
      const std::string log = row->key().ToString().substr(0, log_end);
      folders.insert(fmt::format("wal/{}", log.substr(log.find('/') + 1)));
      row->Seek(log + "~");  // behind every row of this log
    }
  }
  for (const auto& [key, entry] : state_->from_journal) {
    if (entry.cluster == cluster && parse_wal_key(key)) folders.insert(parent_directory(key));
  }
  return {folders.begin(), folders.end()};
}

std::optional<Instant> Catalog::refreshed_at() const {
  const auto value = state_->get(kRefreshedKey);
  if (!value || value->size() != sizeof(std::int64_t)) return std::nullopt;
  return Instant(std::chrono::microseconds(load<std::int64_t>(as_byte_span(*value), 0)));
}

void Catalog::note_refresh(Instant at) {
  ByteWriter writer;
  writer.put(std::int64_t{at.time_since_epoch().count()});
  state_->put(kRefreshedKey, writer.bytes());
}

std::vector<std::string> Catalog::backup_ids(const ClusterKey& cluster) const {
  std::vector<std::string> ids;
  if (!state_->database) return ids;
  const std::string prefix = backup_row_key(cluster, "");
  const std::unique_ptr<rocksdb::Iterator> row(state_->database->NewIterator({}));
  for (row->Seek(prefix); row->Valid() && row->key().starts_with(prefix); row->Next())
    ids.push_back(row->key().ToString().substr(prefix.size()));
  return ids;
}

void Catalog::forget(const ClusterRecord& cluster, const Expiry& expiry) {
  const SegmentSize size = cluster.identity.segment_size;
  const std::string name = cluster.key.to_string();
  rocksdb::WriteBatch batch;
  // Keys of one timeline sort by position.
  const auto remove_range = [&](const std::string& begin, const std::string& end) {
    batch.DeleteRange(begin, end + "/~");
  };
  for (const SegmentRange& range : expiry.wal) {
    const auto first = SegmentName::containing(range.timeline, range.first * size, size);
    const auto last = SegmentName::containing(range.timeline, range.last * size, size);
    const std::string segments = fmt::format("segment/{}/{:08X}/", name, range.timeline);
    remove_range(fmt::format("{}{:08X}{:08X}", segments, first.log, first.segment),
                 fmt::format("{}{:08X}{:08X}", segments, last.log, last.segment));
    const std::string logs = fmt::format("log/{}/{:08X}/", name, range.timeline);
    remove_range(fmt::format("{}{:08X}", logs, first.log), fmt::format("{}{:08X}", logs, last.log));
  }
  for (const std::string& id : expiry.backups)
    batch.Delete(backup_row_key(cluster.key, id));
  const rocksdb::Status status = state_->database->Write({}, &batch);
  if (!status.ok()) throw_catalog_error(status);
}

void Catalog::sync() {
  const rocksdb::Status status = state_->database->FlushWAL(true);
  if (!status.ok()) throw_catalog_error(status);
}

}  // namespace pitr
