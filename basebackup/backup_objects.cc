#include "basebackup/backup_objects.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "basebackup/backup_contents.h"
#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "storage/hold.h"

namespace pitr {

namespace {

// The object that says whose an unfinished backup is.
constexpr const char* kOwnerObject = "owner";

EncodeOptions manifest_options(Compression compression) {
  return {.compression = compression, .jobs = 1, .block_size = 64 * 1024};
}

// The owner last: without it, what is left of an interrupted removal would pass for a published
// backup's data, and stay.
void remove_objects(Storage& storage, const std::string& folder) {
  std::vector<std::string> keys;
  storage.list(folder, "", [&](const std::string& key) {
    keys.push_back(key);
    return true;
  });
  std::stable_partition(keys.begin(), keys.end(),
                        [](const std::string& key) { return last_part(key) != kOwnerObject; });
  for (const std::string& key : keys)
    storage.remove(key);
}

bool has_vanished(Storage& storage, const std::string& key) {
  try {
    return !storage.open(key);
  } catch (const Error&) {
    return false;
  }
}

// A published backup has no owner: should its manifest get lost one day, its objects are not taken
// for leftovers. Where nothing may be removed they are safe as well.
void remove_owner(Storage& storage, const ClusterKey& cluster, const std::string& id) {
  const std::string owner = backup_object_key(cluster, id, kOwnerObject);
  try {
    storage.remove(owner);
  } catch (const Error& error) {
    if (!has_vanished(storage, owner)) {
      log_debug(error.what());
    } else {
      log_warning(fmt::format("\"{}\" may come back after a crash: {}", owner, error.what()));
    }
  }
}

}  // namespace

BackupObject::BackupObject(Storage& storage, const FileIdentity& identity, const std::string& key,
                           EncodeBuffers& buffers)
    : identity_(identity),
      name_(last_part(key)),
      storage_(storage),
      key_(key),
      destination_(storage.create(key)),
      writer_(*destination_, buffers) {}

std::uint64_t BackupObject::commit() {
  writer_.finish(identity_sections(identity_));
  if (!destination_->commit()) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = fmt::format("\"{}\" exists already", identity_.name)});
  }
  storage_.forget_cached(key_);  // it must not take the server's memory
  return writer_.stored_size();
}

BackupObjects::BackupObjects(Storage& storage, const ClusterRecord& cluster, std::string backup_id,
                             Compression compression)
    : storage_(storage),
      cluster_(cluster),
      id_(std::move(backup_id)),
      manifest_buffers_(manifest_options(compression)),
      postgres_buffers_(manifest_options(compression)),
      postgres_manifest_(cluster.identity.postgres_version, cluster.key.system_identifier) {
  store_side_file(kOwnerObject, "", ProcessIdentity::self().to_string());
  manifest_destination_ = storage.create(backup_manifest_key(cluster.key, id_));
  manifest_ = std::make_unique<ArchiveWriter>(*manifest_destination_, manifest_buffers_);
  const std::string name = "backup_manifest";
  postgres_object_ =
      std::make_unique<BackupObject>(storage, identity(FileKind::kBackupSideFile, name),
                                     backup_object_key(cluster.key, id_, name), postgres_buffers_);
  postgres_object_->writer().append(as_byte_span(postgres_manifest_.begin()));
}

BackupObjects::~BackupObjects() {
  // Once its publication was begun the manifest may be there, whatever the call said: then every
  // object is needed. At worst they are left for somebody to remove.
  if (publishing_) return;
  try {
    remove_objects(storage_, backup_data_folder(cluster_.key, id_));
  } catch (const Error& error) {
    log_warning(
        fmt::format("could not remove the unfinished backup \"{}\": {}", id_, error.what()));
  }
}

FileIdentity BackupObjects::identity(FileKind kind, const std::string& name) const {
  return {.kind = kind,
          .name = fmt::format("{}/{}", id_, name),
          .cluster_name = cluster_.key.name,
          .cluster = cluster_.identity,
          .created_at = now()};
}

std::unique_ptr<BackupObject> BackupObjects::create_object(std::string_view purpose,
                                                           EncodeBuffers& buffers) {
  const std::string name = fmt::format("{}-{:08}", purpose, ++count_);
  return std::make_unique<BackupObject>(storage_, identity(FileKind::kBackupData, name),
                                        backup_object_key(cluster_.key, id_, name), buffers);
}

void BackupObjects::add_entry(const ManifestEntry& entry) {
  manifest_->append(as_byte_span(to_json_line(entry)));
  if (entry.type != ManifestEntry::Type::kFile) return;
  ++file_count_;
  size_bytes_ += entry.size;
  postgres_object_->writer().append(as_byte_span(
      postgres_manifest_.add(entry.path, entry.size, entry.modified_at, entry.crc32c)));
}

BackupSideFile BackupObjects::store_side_file(const std::string& purpose, const std::string& path,
                                              std::string_view contents) {
  std::string name = purpose;
  if (!path.empty()) name = fmt::format("side-{:08}", ++count_);
  const std::string key = backup_object_key(cluster_.key, id_, name);
  if (!store_text(storage_, key, identity(FileKind::kBackupSideFile, name), contents)) {
    throw Error(
        {.kind = ErrorKind::kMismatch, .message = fmt::format("\"{}\" exists already", key)});
  }
  return {.purpose = purpose, .path = path, .object = name};
}

void BackupObjects::publish(BackupSummary& summary) {
  const std::string end =
      postgres_manifest_.finish(summary.timeline, summary.start_lsn, summary.stop_lsn);
  postgres_object_->writer().append(as_byte_span(end));
  stored_bytes_ += postgres_object_->commit();
  summary.side_files.push_back({.purpose = "backup_manifest", .object = postgres_object_->name()});
  summary.id = id_;
  summary.size_bytes = size_bytes_;
  summary.stored_bytes = stored_bytes_;
  summary.file_count = file_count_;

  FileIdentity manifest_identity = identity(FileKind::kBackupManifest, id_);
  manifest_identity.name = id_;
  manifest_identity.timeline = summary.timeline;
  manifest_identity.start_lsn = summary.start_lsn;
  manifest_identity.end_lsn = summary.stop_lsn;
  std::vector<Section> sections = identity_sections(manifest_identity);
  sections.push_back({.id = kBackupSummarySection, .bytes = encode_summary(summary)});
  manifest_->finish(std::move(sections));
  publishing_ = true;
  if (!manifest_destination_->commit()) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = fmt::format("a backup \"{}\" exists already", id_)});
  }
  // Beyond this point the backup exists, for everyone and across a crash.
  remove_owner(storage_, cluster_.key, id_);
}

bool has_lost_its_manifest(Storage& storage, const ClusterKey& cluster, const std::string& id) {
  if (storage.open(backup_object_key(cluster, id, kOwnerObject))) return false;
  bool has_objects = false;
  storage.list(backup_data_folder(cluster, id), "", [&](const std::string&) {
    has_objects = true;
    return false;
  });
  // Published, or removed, meanwhile?
  return has_objects && !storage.open(backup_manifest_key(cluster, id));
}

namespace {

// The backups with objects, published or not.
std::vector<std::string> ids_with_objects(Storage& storage, const ClusterKey& cluster) {
  const std::string folder = backup_data_folder(cluster, "x");
  return storage.list_folders(folder.substr(0, folder.rfind('/')));
}

struct Owner {
  ProcessIdentity process;
  Instant since;
};

// When it last began to store something: a large backup may take longer than any time set for it.
Instant last_sign_of(Storage& storage, const ClusterKey& cluster, const std::string& id,
                     Instant since) {
  Instant last = since;
  storage.list(backup_data_folder(cluster, id), "", [&](const std::string& key) {
    try {
      const std::string name = fmt::format("{}/{}", id, last_part(key));
      const auto file = open_stored_file(storage, key, cluster, name);
      if (file) last = std::max(last, file->identity.created_at);
    } catch (const Error& error) {
      if (error.report().kind != ErrorKind::kCorrupt) throw;
      log_debug(error.what());  // damaged: the others tell
    }
    return true;
  });
  return last;
}

// With `now`, of another host too: that nobody here can ask.
bool is_gone(Storage& storage, const ClusterKey& cluster, const std::string& id, const Owner& owner,
             std::optional<Instant> now) {
  if (owner.process.is_dead()) return true;
  if (!now || owner.process.is_of_this_host() || *now - owner.since <= kForeignProcessGone) {
    return false;
  }
  return *now - last_sign_of(storage, cluster, id, owner.since) > kForeignProcessGone;
}

// An id begins with its time, as make_unique_name() writes it: 20261128T114232Z.
std::optional<Instant> begin_of(std::string_view id) {
  constexpr std::size_t kLength = 16;
  if (id.size() < kLength || id[8] != 'T' || id[15] != 'Z') return std::nullopt;
  const auto part = [&](std::size_t at, std::size_t length) { return id.substr(at, length); };
  try {
    return parse_instant(fmt::format("{}-{}-{} {}:{}:{}+00", part(0, 4), part(4, 2), part(6, 2),
                                     part(9, 2), part(11, 2), part(13, 2)),
                         Instant());
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Nothing: there is none. One that nobody can read is of another host, since its backup's begin.
std::optional<Owner> owner_of(Storage& storage, const ClusterKey& cluster, const std::string& id) {
  const std::string key = backup_object_key(cluster, id, kOwnerObject);
  const std::string name = fmt::format("{}/{}", id, kOwnerObject);
  try {
    const auto file = open_stored_file(storage, key, cluster, name);
    if (!file) return std::nullopt;
    std::string text;
    file->reader->read_all(1, [&](ByteSpan raw, std::uint64_t) { text += as_text(raw); });
    const auto process = ProcessIdentity::parse(text);
    if (!process) return std::nullopt;
    return Owner{.process = *process, .since = file->identity.created_at};
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    const auto since = begin_of(id);
    if (!since) return std::nullopt;
    log_warning(error.what());
    return Owner{.process = {.host = "an unknown host"}, .since = *since};
  }
}

// True when it is no more.
bool remove_if_abandoned(Storage& storage, const ClusterKey& cluster, const std::string& id,
                         std::optional<Instant> now) {
  try {
    const auto owner = owner_of(storage, cluster, id);
    if (!owner || !is_gone(storage, cluster, id, *owner, now)) return false;
    if (storage.open(backup_manifest_key(cluster, id))) {
      remove_owner(storage, cluster, id);  // killed right after it had published
      return false;
    }
    log_info(fmt::format("removing the unfinished backup \"{}\"", id));
    remove_objects(storage, backup_data_folder(cluster, id));
    return true;
  } catch (const Error& error) {
    log_warning(fmt::format("could not remove the unfinished backup \"{}\": {}", id, error.what()));
    return false;
  }
}

}  // namespace

std::optional<std::string> find_running_backup(Storage& storage, const ClusterKey& cluster,
                                               Instant now) {
  for (const std::string& id : ids_with_objects(storage, cluster)) {
    if (storage.open(backup_manifest_key(cluster, id))) continue;
    const auto owner = owner_of(storage, cluster, id);
    if (!owner || is_gone(storage, cluster, id, *owner, now)) continue;
    return fmt::format("backup {}, by process {} on {} since {} (\"{}\")", id, owner->process.pid,
                       owner->process.host, to_local_text(owner->since),
                       backup_data_folder(cluster, id));
  }
  return std::nullopt;
}

std::vector<std::string> remove_unfinished_backups(Storage& storage, const ClusterKey& cluster,
                                                   std::optional<Instant> now) {
  std::vector<std::string> removed;
  for (const std::string& id : ids_with_objects(storage, cluster)) {
    if (remove_if_abandoned(storage, cluster, id, now)) removed.push_back(id);
  }
  try {
    for (const std::string& place :
         {"data/" + cluster.to_string(), backup_folder(cluster), wal_folder(cluster),
          history_folder(cluster), map_folder(cluster), pin_folder(cluster), hold_folder(cluster),
          expiry_folder(cluster)}) {
      storage.remove_abandoned(place);
    }
  } catch (const Error& error) {
    log_warning(fmt::format("could not remove leftovers: {}", error.what()));
  }
  return removed;
}

void remove_backup(Storage& storage, const ClusterRecord& cluster, const std::string& id) {
  const FileIdentity identity{.kind = FileKind::kBackupSideFile,
                              .name = fmt::format("{}/{}", id, kOwnerObject),
                              .cluster_name = cluster.key.name,
                              .cluster = cluster.identity,
                              .created_at = now()};
  const std::string owner = backup_object_key(cluster.key, id, kOwnerObject);
  if (!store_text(storage, owner, identity, ProcessIdentity::self().to_string())) {
    storage.make_durable(owner);  // of the process that published it, and was killed then
  }
  storage.remove(backup_manifest_key(cluster.key, id));
  // Beyond this point nobody sees the backup, also after a crash.
  remove_objects(storage, backup_data_folder(cluster.key, id));
}

BackupHoldings holdings_of(Storage& storage, const ClusterKey& cluster,
                           const BackupSummary& backup) {
  const BackupContents contents(storage, cluster, backup.id);
  std::map<std::string, std::uint64_t> ends;  // of what is wanted of each object
  for (const BackupSideFile& side : backup.side_files)
    ends.emplace(side.object, 0);
  contents.visit_manifest([&](const ManifestEntry& entry) {
    for (const Extent& extent : entry.extents) {
      std::uint64_t& end = ends[extent.object];
      end = std::max(end, extent.position + extent.length);
    }
  });
  BackupHoldings holdings;
  for (const auto& [object, end] : ends) {
    const std::size_t slash = object.find('/');
    if (slash != std::string::npos) holdings.backups.insert(object.substr(0, slash));
    if (!holdings.problem.empty()) continue;
    try {
      if (contents.open_object(object).reader->contents().raw_size >= end) continue;
      holdings.problem = fmt::format("object \"{}\" is too short", object);
    } catch (const Error& error) {
      if (error.report().kind != ErrorKind::kCorrupt) throw;
      holdings.problem = error.report().message;
    }
  }
  holdings.backups.erase(backup.id);
  return holdings;
}

}  // namespace pitr
