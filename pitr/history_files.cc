#include "pitr/history_files.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "common/error.h"
#include "io/file.h"
#include "wal/timeline_history.h"

namespace pitr {

void store_missing_history_files(Storage& storage, const ClusterRecord& cluster,
                                 const std::string& data_directory) {
  std::error_code error;
  const std::string folder = data_directory + "/pg_wal";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const auto name = WalFileName::parse(entry.path().filename().string());
    if (!name || name->kind != WalFileKind::kHistory) continue;
    const std::string contents = read_whole_file(entry.path().string());
    parse_timeline_history(name->segment.timeline, contents);  // refuses a damaged one
    const std::string key = wal_key(cluster.key, *name);
    const FileIdentity identity{.kind = FileKind::kHistory,
                                .name = name->text,
                                .cluster_name = cluster.key.name,
                                .cluster = cluster.identity,
                                .timeline = name->segment.timeline,
                                .created_at = now()};
    if (!storage.open(key) && store_text(storage, key, identity, contents)) continue;
    if (fetch_text(storage, key, cluster.key, name->text) != contents) {
      throw Error(
          {.kind = ErrorKind::kMismatch,
           .message = fmt::format("\"{}\" is stored already with other contents", name->text),
           .hint = "Two servers may be using this repository under one name."});
    }
    storage.make_durable(key);
  }
  if (error) throw_file_error("read directory", folder, error.value());
}

}  // namespace pitr
