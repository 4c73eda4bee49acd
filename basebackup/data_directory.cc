#include "basebackup/data_directory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "wal/lsn.h"

namespace pitr {

namespace {

std::string_view last_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

// The names in a folder; nothing when it has vanished.
bool for_each_name(const std::string& path, const std::function<void(const char*)>& visitor) {
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path.c_str()));
  if (!directory) {
    if (errno == ENOENT) return false;
    throw_file_error("open directory", path, errno);
  }
  while (true) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) {
      if (errno != 0) throw_file_error("read directory", path, errno);
      return true;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") visitor(entry->d_name);
  }
}

std::string read_link(const std::string& path) {
  std::array<char, 4096> target{};
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  if (length < 0) throw_file_error("read link", path, errno);
  return {target.data(), static_cast<std::size_t>(length)};
}

class Scan {
 public:
  Scan(const std::string& root, const std::string& version_folder,
       const std::function<void(ScannedEntry)>& visitor)
      : root_(root), version_folder_(version_folder), visitor_(visitor) {}

  void folder(const std::string& path) {
    const std::string absolute = path.empty() ? root_ : root_ + "/" + path;
    const bool relations = holds_relations(path);
    const std::set<std::uint32_t> unlogged =
        relations ? unlogged_in(absolute) : std::set<std::uint32_t>();
    for_each_name(absolute, [&](const char* name) {
      if (relations && is_of_unlogged(name, unlogged)) return;
      if (relations && is_temporary_relation(name)) return;
      entry(path.empty() ? std::string(name) : path + "/" + name);
    });
  }

 private:
  // An unlogged relation is the one with an init fork; that fork alone is kept.
  static std::set<std::uint32_t> unlogged_in(const std::string& absolute) {
    std::set<std::uint32_t> numbers;
    for_each_name(absolute, [&](const char* name) {
      const auto relation = RelationFileName::parse(name);
      if (relation && relation->fork == "init") numbers.insert(relation->number);
    });
    return numbers;
  }

  static bool is_of_unlogged(const char* name, const std::set<std::uint32_t>& unlogged) {
    const auto relation = RelationFileName::parse(name);
    return relation && relation->fork != "init" && unlogged.contains(relation->number);
  }

  void entry(const std::string& path) {
    if (is_left_out(path) || path == "global/pg_control") return;
    const std::string absolute = root_ + "/" + path;
    struct stat status {};
    if (lstat(absolute.c_str(), &status) != 0) {
      if (errno == ENOENT) return;
      throw_file_error("read", absolute, errno);
    }
    ScannedEntry found{.path = path,
                       .size = static_cast<std::uint64_t>(status.st_size),
                       .mode = status.st_mode & 07777U,
                       .user = status.st_uid,
                       .group = status.st_gid};
    const bool is_tablespace = path.starts_with("pg_tblspc/") && S_ISLNK(status.st_mode);
    if (S_ISREG(status.st_mode)) {
      visitor_(std::move(found));
    } else if (S_ISDIR(status.st_mode) || path == "pg_wal") {
      found.type = ScannedEntry::Type::kDirectory;
      if (S_ISLNK(status.st_mode)) found.mode = 0700;  // pg_wal may be a link to another volume
      visitor_(found);
      if (!is_kept_empty(path)) folder(path);
    } else if (is_tablespace && is_number(last_name(path))) {
      found.type = ScannedEntry::Type::kTablespace;
      found.target = read_link(absolute);
      visitor_(found);
      tablespace(path);
    } else {
      log_warning(fmt::format("\"{}\" is neither a file nor a folder and is left out of the backup",
                              absolute));
    }
  }

  // A tablespace may be shared by clusters of several versions; one folder of it is ours.
  void tablespace(const std::string& path) {
    const std::string inside = path + "/" + version_folder_;
    struct stat status {};
    if (stat((root_ + "/" + inside).c_str(), &status) != 0) {
      if (errno == ENOENT) return;
      throw_file_error("read", root_ + "/" + inside, errno);
    }
    visitor_({.type = ScannedEntry::Type::kDirectory,
              .path = inside,
              .mode = status.st_mode & 07777U,
              .user = status.st_uid,
              .group = status.st_gid});
    folder(inside);
  }

  const std::string& root_;
  const std::string& version_folder_;
  const std::function<void(ScannedEntry)>& visitor_;
};

}  // namespace

std::optional<RelationFileName> RelationFileName::parse(std::string_view name) {
  RelationFileName relation;
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    const auto segment = parse_number(name.substr(dot + 1), 10);
    if (!segment || *segment == 0 || *segment > 0xFFFFFFFFU) return std::nullopt;
    relation.segment = static_cast<std::uint32_t>(*segment);
    name = name.substr(0, dot);
  }
  const std::size_t underscore = name.find('_');
  if (underscore != std::string_view::npos) {
    relation.fork = name.substr(underscore + 1);
    if (relation.fork != "fsm" && relation.fork != "vm" && relation.fork != "init") {
      return std::nullopt;
    }
    name = name.substr(0, underscore);
  }
  const auto number = parse_number(name, 10);
  if (!is_number(name) || !number || *number > 0xFFFFFFFFU) return std::nullopt;
  relation.number = static_cast<std::uint32_t>(*number);
  return relation;
}

bool is_temporary_relation(std::string_view name) {
  if (!name.starts_with('t')) return false;
  const std::size_t underscore = name.find('_');
  return underscore != std::string_view::npos && is_number(name.substr(1, underscore - 1)) &&
         RelationFileName::parse(name.substr(underscore + 1)).has_value();
}

bool is_kept_empty(std::string_view path) {
  constexpr std::array<std::string_view, 8> kFolders = {
      "pg_wal",    "pg_replslot",  "pg_dynshmem", "pg_notify",
      "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"};
  return std::find(kFolders.begin(), kFolders.end(), path) != kFolders.end();
}

bool is_left_out(std::string_view path) {
  constexpr std::array<std::string_view, 12> kAtTheTop = {
      "postmaster.pid", "postmaster.opts",          "backup_manifest",  "backup_label",
      "tablespace_map", "postgresql.auto.conf.tmp", "recovery.signal",  "current_logfiles.tmp",
      "standby.signal", "pitr.restoring",           "backup_label.old", "tablespace_map.old"};
  const std::string_view name = last_name(path);
  if (name.starts_with("pgsql_tmp") || name.starts_with("pg_internal.init")) return true;
  return std::find(kAtTheTop.begin(), kAtTheTop.end(), path) != kAtTheTop.end();
}

bool holds_relations(std::string_view folder) {
  if (folder == "global") return true;
  const std::string_view name = last_name(folder);
  if (!is_number(name)) return false;
  const std::string_view parent =
      folder.substr(0, folder.size() - std::min(folder.size(), name.size() + 1));
  if (parent == "base") return true;
  return parent.starts_with("pg_tblspc/") && last_name(parent).starts_with("PG_");
}

bool has_page_checksums(std::string_view path) {
  const std::string_view name = last_name(path);
  if (path.size() == name.size()) return false;
  return holds_relations(path.substr(0, path.size() - name.size() - 1)) &&
         RelationFileName::parse(name).has_value();
}

void scan_data_directory(const std::string& data_directory, const std::string& version_folder,
                         const std::function<void(ScannedEntry)>& visitor) {
  Scan(data_directory, version_folder, visitor).folder("");
}

}  // namespace pitr
