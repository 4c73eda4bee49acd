#include "pitr/session.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include "basebackup/server.h"
#include "catalog/catalog.h"
#include "common/error.h"
#include "common/log.h"
#include "io/file.h"
#include "storage/hold.h"
#include "wal/control_file.h"

namespace pitr {

void Session::load() {
  config = load_config(config_path);
  check_connection_string(config.cluster.connection);
  if (!cluster.empty()) config.cluster.name = cluster;
}

void Session::require_data_directory() const {
  if (!config.cluster.data_directory.empty()) return;
  throw Error(
      {.kind = ErrorKind::kUsage,
       .message = "cluster.data_directory is not configured",
       .hint = "Set data_directory in [cluster] to the directory that PostgreSQL runs on."});
}

void Session::become_owner_of_data_directory() const {
  struct stat status {};
  const std::string& directory = config.cluster.data_directory;
  if (geteuid() != 0 || directory.empty()) return;
  if (stat(directory.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return;
    throw_file_error("read data directory", directory, errno);
  }
  if (status.st_uid == 0) return;
  const passwd* user = getpwuid(status.st_uid);
  const bool groups_set =
      user != nullptr ? initgroups(user->pw_name, status.st_gid) == 0 : setgroups(0, nullptr) == 0;
  if (!groups_set || setgid(status.st_gid) != 0 || setuid(status.st_uid) != 0) {
    throw_file_error("become the owner of", directory, errno);
  }
  if (user != nullptr) {
    setenv("HOME", user->pw_dir, 1);
    setenv("USER", user->pw_name, 1);
  }
}

std::optional<std::uint64_t> local_system_identifier(const Config& config) {
  std::string contents;
  const std::string path = config.cluster.data_directory + "/global/pg_control";
  if (config.cluster.data_directory.empty()) return std::nullopt;
  try {
    if (!try_read_whole_file(path, contents)) return std::nullopt;
    return ControlFile::parse(as_byte_span(contents)).cluster.system_identifier;
  } catch (const Error&) {
    return std::nullopt;  // a reader without access to the data directory, or a damaged file
  }
}

ClusterRecord session_cluster(const Session& session, Storage& storage) {
  const std::string& name = session.config.cluster.name;
  if (const auto identifier = local_system_identifier(session.config)) {
    for (const ClusterRecord& record : list_clusters(storage)) {
      if (record.key.name == name && record.key.system_identifier == *identifier) return record;
    }
  }
  return find_cluster(storage, name, std::nullopt);
}

ClusterRows session_rows(const Session& session, Storage& storage, const ClusterRecord& cluster) {
  const auto catalog = Catalog::open_for_read(session.config.state.directory);
  return read_rows(storage, cluster, catalog ? catalog->row_cache(cluster.key) : RowCache{});
}

namespace {

void forget_expired(Catalog& catalog, Storage& storage, const ClusterRecord& cluster) {
  try {
    catalog.forget(cluster, read_expiry(storage, cluster.key));
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) throw;  // said with the rows
  }
}

}  // namespace

std::size_t refresh_catalog(const Session& session, const std::string& command, Storage& storage,
                            bool anew) {
  const auto catalog =
      Catalog::open_for_update(session.config.state.directory, session.lock_timeout, command, anew);
  const Instant begun_at = now();
  std::size_t rows_read = 0;
  for (const ClusterRecord& cluster : list_clusters(storage)) {
    // The journal, and an expiry that was killed, may have left rows of what is gone.
    if (!anew) forget_expired(*catalog, storage, cluster);
    const ClusterRows rows = read_rows(storage, cluster, catalog->row_cache(cluster.key));
    for (const LogSummary& log : rows.wal.logs())
      rows_read += log.segments + log.beginnings;
    rows_read += rows.backups.size();
    for (const UnreadableFile& unreadable : rows.unreadable) {
      log_warning(fmt::format("not in the catalog: {}", unreadable.text()));
    }
  }
  catalog->note_refresh(begun_at);
  catalog->sync();
  return rows_read;
}

namespace {

std::optional<Hold> running_expire(Storage& storage, const ClusterKey& cluster) {
  for (const Hold& hold : read_holds(storage, cluster)) {
    if (hold.command == "expire" && !is_over(hold, now())) return hold;
  }
  return std::nullopt;
}

}  // namespace

void wait_for_expire(const Session& session, Storage& storage, const ClusterKey& cluster) {
  const auto deadline = std::chrono::steady_clock::now() + session.lock_timeout;
  bool said = false;
  while (const auto expire = running_expire(storage, cluster)) {
    if (!said) log_info(fmt::format("waiting for {}", describe(*expire)));
    said = true;
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error({.kind = ErrorKind::kSystem,
                   .message = "backups and WAL of this cluster are being removed",
                   .detail = fmt::format("By {}: \"{}\".", describe(*expire),
                                         hold_key(cluster, expire->name)),
                   .hint = "Wait for it, or give more time with --lock-timeout.",
                   .code = "lock_timeout"});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void print_output(const std::string& output) {
  // Names of files, labels and what servers say may hold what a terminal would obey.
  std::string text;
  text.reserve(output.size());
  for (const char c : output) {
    constexpr char kDelete = 0x7F;
    const bool is_control = (c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == kDelete;
    text += is_control ? '?' : c;
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw_file_error("write", "standard output", errno);
  }
}

std::string path_of_program(const std::string& name) {
  std::array<char, 4096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length < 0) throw_file_error("read", "/proc/self/exe", errno);
  return parent_directory(std::string(path.data(), static_cast<std::size_t>(length))) + "/" + name;
}

}  // namespace pitr
