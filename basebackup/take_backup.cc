#include "basebackup/take_backup.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/backup_label.h"
#include "basebackup/backup_objects.h"
#include "basebackup/data_directory.h"
#include "basebackup/file_copier.h"
#include "basebackup/history_files.h"
#include "basebackup/stream_copy.h"
#include "catalog/cluster_rows.h"
#include "catalog/wal_contents.h"
#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "io/file.h"
#include "io/ordered_workers.h"
#include "wal/control_file.h"
#include "wal/crc32c.h"

namespace pitr {

namespace {

[[noreturn]] void refuse(std::string message, std::string detail, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kSystem,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

bool is_same_directory(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

bool exists(const std::string& path) {
  struct stat status {};
  return !path.empty() && stat(path.c_str(), &status) == 0;
}

// The third line of postmaster.pid is the postmaster's start, in seconds since the Unix epoch.
std::int64_t postmaster_start_in(const std::string& data_directory) {
  std::string contents;
  if (!try_read_whole_file(data_directory + "/postmaster.pid", contents)) return 0;
  std::size_t begin = 0;
  for (int line = 0; line < 2; ++line)
    begin = contents.find('\n', begin) + 1;
  const std::string_view rest = std::string_view(contents).substr(begin);
  return static_cast<std::int64_t>(parse_number(rest.substr(0, rest.find('\n')), 10).value_or(0));
}

ControlFile read_control_file(const std::string& data_directory, std::string& contents) {
  constexpr int kTries = 10;
  // The server may be writing it: read again until its checksum holds.
  for (int i = 1;; ++i) {
    contents = read_whole_file(data_directory + "/global/pg_control", 1 << 20);
    try {
      return ControlFile::parse(as_byte_span(contents));
    } catch (const Error& error) {
      if (i == kTries || error.report().kind != ErrorKind::kCorrupt) throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

// Lists the data directory and hands files to the copiers; the manifests are written by one thread.
class DirectoryCopy {
 public:
  DirectoryCopy(const BackupRequest& request, const CopyPlan& plan, BackupObjects& objects)
      : request_(request),
        objects_(objects),
        rate_limit_(request.rate_limit_bytes_per_second),
        workers_(request.jobs, 2 * std::size_t{request.jobs}, [this](Task& task, unsigned worker) {
          task.copied = copiers_[worker]->copy_files(task.files);
        }) {
    for (unsigned job = 0; job < request.jobs; ++job) {
      copiers_.push_back(std::make_unique<FileCopier>(
          plan, objects, rate_limit_,
          // Two for each file, so that the last large one does not keep the others waiting.
          EncodeOptions{.compression = request.compression, .jobs = std::min(request.jobs, 2U)},
          request.ring));
    }
  }

  void run(const std::string& version_folder, BackupSummary& summary) {
    scan_data_directory(request_.data_directory, version_folder, [&](ScannedEntry entry) {
      if (entry.type == ScannedEntry::Type::kFile) {
        add_file(std::move(entry), summary);
      } else {
        add_folder(entry, summary);
      }
    });
    submit_bundle(summary);
    while (!workers_.empty())
      accept_oldest(summary);
  }

 private:
  struct Task {
    std::vector<ScannedEntry> files;
    CopiedFiles copied;
  };

  void add_folder(const ScannedEntry& entry, BackupSummary& summary) {
    const bool is_tablespace = entry.type == ScannedEntry::Type::kTablespace;
    if (is_tablespace) {
      const auto oid =
          parse_number(std::string_view(entry.path).substr(entry.path.rfind('/') + 1), 10);
      summary.tablespaces.push_back(
          {.oid = static_cast<std::uint32_t>(oid.value_or(0)), .path = entry.target});
    }
    objects_.add_entry(
        {.type = is_tablespace ? ManifestEntry::Type::kTablespace : ManifestEntry::Type::kDirectory,
         .path = entry.path,
         .target = entry.target,
         .mode = entry.mode,
         .user = entry.user,
         .group = entry.group});
  }

  void add_file(ScannedEntry entry, BackupSummary& summary) {
    if (entry.size > kLargestBundledFile) {
      submit({std::move(entry)}, summary);
      return;
    }
    bundle_bytes_ += entry.size;
    bundle_.push_back(std::move(entry));
    if (bundle_bytes_ >= kBundleSize || bundle_.size() >= kMostFilesInBundle) {
      submit_bundle(summary);
    }
  }

  void submit_bundle(BackupSummary& summary) {
    if (bundle_.empty()) return;
    submit(std::exchange(bundle_, {}), summary);
    bundle_bytes_ = 0;
  }

  void submit(std::vector<ScannedEntry> files, BackupSummary& summary) {
    if (workers_.full()) accept_oldest(summary);
    workers_.submit({.files = std::move(files), .copied = {}});
  }

  void accept_oldest(BackupSummary& summary) {
    const Task task = workers_.take();
    for (const ManifestEntry& entry : task.copied.entries) {
      objects_.add_entry(entry);
      bytes_done_ += entry.size;
    }
    note_page_errors(task.copied.page_errors, summary);
    if (request_.on_progress) request_.on_progress(bytes_done_);
  }

  // Ten thousand say as much as all of a lost disk's.
  static void note_page_errors(const std::vector<PageError>& errors, BackupSummary& summary) {
    constexpr std::size_t kMostListed = 10'000;
    const std::size_t room = kMostListed - summary.page_errors.size();
    if (room > 0 && errors.size() > room) {
      log_warning(fmt::format("more than {} pages fail their checksums; the others are not listed",
                              kMostListed));
    }
    summary.page_errors.insert(
        summary.page_errors.end(), errors.begin(),
        errors.begin() + static_cast<std::ptrdiff_t>(std::min(room, errors.size())));
  }

  const BackupRequest& request_;
  BackupObjects& objects_;
  RateLimit rate_limit_;
  std::vector<std::unique_ptr<FileCopier>> copiers_;
  std::vector<ScannedEntry> bundle_;
  std::uint64_t bundle_bytes_ = 0;
  std::uint64_t bytes_done_ = 0;
  OrderedWorkers<Task> workers_;  // last: its threads use everything above
};

// A file whose whole contents are at hand, stored in an object of its own.
void add_whole_file(BackupObjects& objects, ManifestEntry entry, std::string_view contents,
                    Compression compression) {
  EncodeBuffers buffers({.compression = compression, .block_size = 64 * 1024});
  const auto object = objects.create_object("bundle", buffers);
  object->writer().append(as_byte_span(contents));
  objects.add_stored_bytes(object->commit());
  entry.size = contents.size();
  entry.crc32c = crc32c(as_byte_span(contents));
  entry.hash = hash_of(as_byte_span(contents));
  entry.extents.push_back({.object = object->name(), .length = entry.size});
  objects.add_entry(entry);
}

void store_configuration(BackupObjects& objects, Server& server, const ServerFacts& facts,
                         const std::string& data_directory, BackupSummary& summary) {
  std::vector<BackupSideFile> wanted = {{.purpose = "config_file", .path = facts.config_file},
                                        {.purpose = "hba_file", .path = facts.hba_file},
                                        {.purpose = "ident_file", .path = facts.ident_file}};
  for (const std::string& path : server.configuration_files()) {
    if (path != facts.config_file) wanted.push_back({.purpose = "included_file", .path = path});
  }
  for (const BackupSideFile& file : wanted) {
    if (file.path.empty() || file.path.starts_with(data_directory + "/")) continue;
    try {
      const std::string contents = read_whole_file(file.path, 16ULL << 20);
      summary.side_files.push_back(objects.store_side_file(file.purpose, file.path, contents));
    } catch (const Error& error) {
      log_warning(fmt::format("configuration outside the data directory is not in the backup: {}",
                              error.what()));
    }
  }
}

// The last segment that is needed holds the byte before the stop LSN: with the stop on a boundary
// the next one may never be archived on an idle server.
void wait_for_wal(const BackupRequest& request, const BackupSummary& summary, Server& server,
                  Storage& storage) {
  const SegmentSize size = request.cluster.identity.segment_size;
  const auto deadline = std::chrono::steady_clock::now() + request.wal_timeout;
  SegmentName segment = SegmentName::containing(summary.timeline, summary.start_lsn, size);
  const SegmentName last = SegmentName::containing(summary.timeline, summary.stop_lsn - 1, size);
  while (segment <= last) {
    const auto name = WalFileName::parse(segment.to_string());
    const std::string key = wal_key(request.cluster.key, *name);
    if (storage.open(key)) {
      storage.make_durable(key);  // pitr-archive may not have come that far
      segment = segment.next(size);
      continue;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      const ArchiverState archiver = server.archiver_state();
      refuse(fmt::format("WAL segment \"{}\" of the backup was not archived in time",
                         segment.to_string()),
             archiver.is_failing
                 ? fmt::format("Archiving of \"{}\" fails; the server's log says why.",
                               archiver.last_failed_wal)
                 : fmt::format("The server last archived \"{}\".", archiver.last_archived_wal),
             "Check that archive_command is 'pitr-archive %p' with this configuration; the backup "
             "was not published.");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// A backup whose own WAL cannot be replayed would never become consistent.
void check_wal(const BackupRequest& request, const BackupSummary& summary, Storage& storage) {
  const SegmentSize size = request.cluster.identity.segment_size;
  SegmentName segment = SegmentName::containing(summary.timeline, summary.start_lsn, size);
  const SegmentName last = SegmentName::containing(summary.timeline, summary.stop_lsn - 1, size);
  const auto refuse_record = [](Lsn lsn) {
    throw Error({.kind = ErrorKind::kCorrupt,
                 .message = fmt::format("the WAL of the backup holds an invalid record at {}",
                                        format_lsn(lsn)),
                 .detail = "It was archived like this; the backup could not be restored and was "
                           "not published.",
                 .hint = "Take another base backup. If it happens again, look for a bad disk or "
                         "memory on the server."});
  };
  std::optional<JoinedRecord> open;
  for (; segment <= last; segment = segment.next(size)) {
    const std::string key = wal_key(request.cluster.key, *WalFileName::parse(segment.to_string()));
    const SegmentIndex index =
        decode_index(read_wal_entry(storage, request.cluster.key, key).index);
    if (index.damaged || !index.complete) refuse_record(index.valid_end);
    if (open && !open->join(index)) open.reset();
    if (open && open->is_whole() && !open->is_valid()) refuse_record(open->start());
    if (open && open->is_whole()) open.reset();
    if (index.open_record != 0) open.emplace(index);
  }
}

// Known exactly, because the backup's WAL has just arrived: what a later question would have to
// read a segment for.
std::optional<Instant> last_commit_of(const BackupRequest& request, const BackupSummary& summary,
                                      Storage& storage) {
  const SegmentSize size = request.cluster.identity.segment_size;
  SegmentName segment = SegmentName::containing(summary.timeline, summary.start_lsn, size);
  const SegmentName last = SegmentName::containing(summary.timeline, summary.stop_lsn - 1, size);
  std::optional<Instant> greatest;
  for (; segment <= last; segment = segment.next(size)) {
    const std::string key = wal_key(request.cluster.key, *WalFileName::parse(segment.to_string()));
    const SegmentRow row{.name = segment, .key = key};
    for (const TransactionEnd& transaction : read_transactions(storage, request.cluster, row)) {
      if (!transaction.is_commit || transaction.start >= summary.stop_lsn) continue;
      const Instant time = from_postgres_time(transaction.time);
      greatest = std::max(greatest.value_or(time), time);
    }
  }
  return greatest;
}

void check_data_directory(const BackupRequest& request, const ServerFacts& facts) {
  if (!facts.data_directory.empty() &&
      !is_same_directory(facts.data_directory, request.data_directory)) {
    refuse("the server runs on another data directory",
           fmt::format("It runs on \"{}\", the configuration names \"{}\".", facts.data_directory,
                       request.data_directory));
  }
  constexpr std::int64_t kTolerance = 5;  // seconds between writing the file and taking the time
  const std::int64_t started = postmaster_start_in(request.data_directory);
  if (std::abs(started - facts.postmaster_started_at) > kTolerance) {
    refuse("the server is not the one that runs on the data directory",
           "Its start time is not that in postmaster.pid.",
           "Check cluster.connection and cluster.data_directory in the configuration.");
  }
}

void note_control_file(const ControlFile& control, BackupSummary& summary) {
  summary.block_size = control.block_size;
  summary.data_checksums = control.data_checksums;
  summary.settings = {.max_connections = control.max_connections,
                      .max_worker_processes = control.max_worker_processes,
                      .max_wal_senders = control.max_wal_senders,
                      .max_prepared_transactions = control.max_prepared_transactions,
                      .max_locks_per_transaction = control.max_locks_per_transaction};
}

void store_label(BackupObjects& objects, const std::string& label, const std::string& map,
                 BackupSummary& summary) {
  summary.timeline = parse_backup_label(label).timeline;
  summary.side_files.push_back(objects.store_side_file("backup_label", "", label));
  if (map.empty()) return;
  summary.side_files.push_back(objects.store_side_file("tablespace_map", "", map));
}

// start -> the files -> pg_control -> stop.
std::unique_ptr<BackupObjects> copy_files(const BackupRequest& request, const ServerFacts& facts,
                                          Server& server, Storage& storage,
                                          BackupSummary& summary) {
  store_missing_history_files(storage, request.cluster, request.data_directory);
  std::string control_contents;
  const ControlFile control = read_control_file(request.data_directory, control_contents);
  const BackupStart start = server.start_backup(request.label, request.fast_checkpoint);
  summary.method = "files";
  summary.start_lsn = start.lsn;
  summary.started_at = start.at;
  note_control_file(control, summary);
  auto objects = std::make_unique<BackupObjects>(storage, request.cluster,
                                                 make_unique_name(start.at), request.compression);
  std::mutex server_mutex;
  const CopyPlan plan{.data_directory = request.data_directory,
                      .verify_pages = control.data_checksums,
                      .block_size = control.block_size,
                      .blocks_per_file = control.blocks_per_file,
                      .start_lsn = start.lsn,
                      .current_lsn = [&] {
                        const std::lock_guard lock(server_mutex);
                        return server.current_lsn();
                      }};
  const std::string version_folder =
      fmt::format("PG_{}_{}", facts.version, control.catalog_version);
  DirectoryCopy(request, plan, *objects).run(version_folder, summary);

  // Last of all files: it must not be older than any other.
  read_control_file(request.data_directory, control_contents);
  const ManifestEntry control_entry{
      .path = "global/pg_control", .mode = 0600, .modified_at = now()};
  add_whole_file(*objects, control_entry, control_contents, request.compression);

  const BackupStop stop = server.stop_backup();
  summary.stop_lsn = stop.lsn;
  summary.finished_at = stop.at;
  store_label(*objects, stop.label, stop.tablespace_map, summary);
  const ManifestEntry label_entry{.path = "backup_label", .mode = 0600, .modified_at = stop.at};
  add_whole_file(*objects, label_entry, stop.label, request.compression);
  return objects;
}

// The history file of the present timeline, which the server may have archived long ago.
void store_history_file(Storage& storage, const ClusterRecord& cluster, TimelineId timeline,
                        BackupStream& stream) {
  const auto name = WalFileName::parse(history_file_name(timeline));
  if (timeline == 1 || storage.open(wal_key(cluster.key, *name))) return;
  store_history(storage, cluster, *name, stream.timeline_history(timeline));
}

// The server sends everything itself, verifies its pages, and leaves backup mode at the end.
std::unique_ptr<BackupObjects> copy_stream(const BackupRequest& request, Storage& storage,
                                           BackupSummary& summary) {
  BackupStream stream(request.connection);
  summary.method = "stream";
  summary.started_at = now();
  const StreamStart start = stream.begin(request.label, request.fast_checkpoint);
  summary.start_lsn = start.lsn;
  summary.tablespaces = start.tablespaces;
  auto objects = std::make_unique<BackupObjects>(
      storage, request.cluster, make_unique_name(summary.started_at), request.compression);
  RateLimit rate_limit(request.rate_limit_bytes_per_second);
  StreamCopy copy(*objects, rate_limit, {.compression = request.compression, .jobs = request.jobs},
                  request.on_progress);
  stream.read(
      [&](std::uint32_t oid) {
        const auto found =
            std::find_if(start.tablespaces.begin(), start.tablespaces.end(),
                         [&](const BackupTablespace& tablespace) { return tablespace.oid == oid; });
        copy.begin_archive(oid, found == start.tablespaces.end() ? "" : found->path);
      },
      [&](ByteSpan bytes) { copy.feed(bytes); });
  copy.finish();
  summary.stop_lsn = stream.finish();
  summary.finished_at = now();
  note_control_file(ControlFile::parse(as_byte_span(copy.control_file())), summary);
  store_label(*objects, copy.label(), copy.tablespace_map(), summary);
  BackupStream history(request.connection);
  store_history_file(storage, request.cluster, summary.timeline, history);
  return objects;
}

}  // namespace

void check_server_for_backup(const BackupRequest& request, const ServerFacts& facts,
                             const ArchiverState& archiver) {
  if (facts.system_identifier != request.cluster.key.system_identifier) {
    refuse("the server is not that of the data directory",
           fmt::format("It has system identifier {}, the repository expects {}.",
                       facts.system_identifier, request.cluster.key.system_identifier),
           "Check cluster.connection in the configuration.");
  }
  if (facts.in_recovery) {
    refuse("the server is in recovery", "Base backups are taken from a primary in this version.");
  }
  if (facts.archive_mode == "off") {
    refuse(
        "archive_mode is off", "A base backup is of no use without the WAL after it.",
        "Set archive_mode = on and archive_command = 'pitr-archive %p', then restart the server.");
  }
  if (facts.archive_command.empty() && facts.archive_library.empty()) {
    refuse("archive_command is not set", "A base backup is of no use without the WAL after it.",
           "Set archive_command = 'pitr-archive %p' and reload the server.");
  }
  if (archiver.is_failing) {
    refuse("archiving is failing",
           fmt::format("The last attempt, of \"{}\", failed.", archiver.last_failed_wal),
           "The server's log says why; mend it first, or run: pitr check");
  }
  if (request.method == BackupMethod::kFiles) {
    check_data_directory(request, facts);
  } else if (!exists(request.data_directory) && exists(facts.data_directory)) {
    // A server of this host: then the configuration is wrong, rather than the directory far away.
    refuse("the configured data directory does not exist",
           fmt::format("The server runs on \"{}\", the configuration names \"{}\".",
                       facts.data_directory, request.data_directory),
           "Set data_directory in [cluster] to the directory that PostgreSQL runs on.");
  }
}

BackupMethod choose_backup_method(const std::string& data_directory) {
  const bool readable = access((data_directory + "/global/pg_control").c_str(), R_OK) == 0;
  return readable ? BackupMethod::kFiles : BackupMethod::kStream;
}

BackupSummary take_base_backup(const BackupRequest& request, Server& server, Storage& storage) {
  const ServerFacts facts = server.facts();
  check_server_for_backup(request, facts, server.archiver_state());
  if (const auto other = server.acquire_backup_right()) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = "another backup of this cluster is running",
                 .detail = fmt::format("It is taken by {}.", *other)});
  }
  remove_unfinished_backups(storage, request.cluster.key);

  BackupSummary summary{.label = request.label,
                        .postgres_version = facts.version,
                        .host = ProcessIdentity::self().host,
                        .data_directory = facts.data_directory.empty() ? request.data_directory
                                                                       : facts.data_directory};
  const std::unique_ptr<BackupObjects> objects =
      request.method == BackupMethod::kFiles ? copy_files(request, facts, server, storage, summary)
                                             : copy_stream(request, storage, summary);
  // What the server names lies on its host, which is this one where its data directory is.
  if (request.method == BackupMethod::kFiles) {
    store_configuration(*objects, server, facts, request.data_directory, summary);
  }
  require_history_file(storage, request.cluster, summary.timeline);
  wait_for_wal(request, summary, server, storage);
  check_wal(request, summary, storage);
  summary.last_commit_at = last_commit_of(request, summary, storage);
  objects->publish(summary);
  return summary;
}

}  // namespace pitr
