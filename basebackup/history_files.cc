#include "basebackup/history_files.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "common/error.h"
#include "io/file.h"
#include "wal/timeline_history.h"

namespace pitr {

void store_history(Storage& storage, const ClusterRecord& cluster, const WalFileName& name,
                   const std::string& contents) {
  parse_timeline_history(name.segment.timeline, contents);  // refuses a damaged one
  const std::string key = wal_key(cluster.key, name);
  const FileIdentity identity{.kind = FileKind::kHistory,
                              .name = name.text,
                              .cluster_name = cluster.key.name,
                              .cluster = cluster.identity,
                              .timeline = name.segment.timeline,
                              .created_at = now()};
  if (!storage.open(key) && store_text(storage, key, identity, contents)) return;
  if (fetch_text(storage, key, cluster.key, name.text) != contents) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = fmt::format("\"{}\" is stored already with other contents", name.text),
                 .hint = "Two servers may be using this repository under one name."});
  }
  storage.make_durable(key);
}

void store_missing_history_files(Storage& storage, const ClusterRecord& cluster,
                                 const std::string& data_directory) {
  std::error_code error;
  const std::string folder = data_directory + "/pg_wal";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const auto name = WalFileName::parse(entry.path().filename().string());
    if (!name || name->kind != WalFileKind::kHistory) continue;
    const std::string contents = read_whole_file(entry.path().string());
    store_history(storage, cluster, *name, contents);
  }
  if (error) throw_file_error("read directory", folder, error.value());
}

void require_history_file(Storage& storage, const ClusterRecord& cluster, TimelineId timeline) {
  if (timeline == 1) return;
  const auto name = WalFileName::parse(history_file_name(timeline));
  const std::string key = wal_key(cluster.key, *name);
  if (storage.open(key)) {
    storage.make_durable(key);  // pitr-archive may not have come that far
    return;
  }
  throw Error({.kind = ErrorKind::kSystem,
               .message = fmt::format("the repository lacks \"{}\"", name->text),
               .detail = "No recovery on this timeline is possible without it.",
               .hint = "Put the file into pg_wal again, or archive it with: pitr push --from DIR"});
}

}  // namespace pitr
