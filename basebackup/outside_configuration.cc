#include "basebackup/outside_configuration.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <sstream>

#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/file.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

const BackupSideFile* find_side_file(const BackupSummary& backup, std::string_view purpose) {
  const auto found =
      std::find_if(backup.side_files.begin(), backup.side_files.end(),
                   [&](const BackupSideFile& file) { return file.purpose == purpose; });
  return found == backup.side_files.end() ? nullptr : &*found;
}

std::string fetch(Storage& storage, const ClusterRecord& cluster, const BackupSummary& backup,
                  const BackupSideFile& file) {
  const std::string key = backup_object_key(cluster.key, backup.id, file.object);
  const auto contents =
      fetch_text(storage, key, cluster.key, fmt::format("{}/{}", backup.id, file.object));
  if (contents) return *contents;
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("\"{}\" of backup \"{}\" is missing", file.path, backup.id)});
}

// PostgreSQL refuses to start when a folder that include_dir names is not there, even an empty one.
void make_included_folders(const std::string& configuration, const std::string& folder) {
  constexpr std::string_view kName = "include_dir";
  std::istringstream lines(configuration);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t name = line.find_first_not_of(" \t");
    if (name == std::string::npos || line.compare(name, kName.size(), kName) != 0) continue;
    const std::size_t begin = line.find('\'', name);
    const std::size_t end = begin == std::string::npos ? begin : line.find('\'', begin + 1);
    if (end == std::string::npos) continue;
    const std::string included = line.substr(begin + 1, end - begin - 1);
    const bool is_inside =
        !included.empty() && included.front() != '/' && included.find("..") == std::string::npos;
    if (is_inside) create_directories(fmt::format("{}/{}", folder, included));
  }
}

void give_to(const std::string& folder, const std::optional<FileOwner>& owner) {
  if (!owner) return;
  const auto give = [&](const std::string& path) {
    if (lchown(path.c_str(), owner->user, owner->group) != 0) {
      throw_file_error("give to its owner", path, errno);
    }
  };
  give(folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    give(entry.path().string());
}

std::string quoted(const std::string& path) {
  std::string text = "'";
  for (const char c : path)
    text += c == '\'' || c == '\\' ? std::string(2, c) : std::string(1, c);
  return text + "'";
}

}  // namespace

std::vector<std::string> overrides_for(const std::string& configuration,
                                       const std::string& data_directory) {
  constexpr std::string_view kInclude = "include";
  const std::pair<std::string_view, std::string> places[] = {
      {"data_directory", data_directory},
      {"hba_file", data_directory + "/pg_hba.conf"},
      {"ident_file", data_directory + "/pg_ident.conf"},
      {"external_pid_file", ""}};
  std::string lower;
  for (const char c : configuration)
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::vector<std::string> overrides;
  for (const auto& [name, value] : places) {
    std::istringstream lines(lower);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t begin = line.find_first_not_of(" \t");
      if (begin == std::string::npos) continue;
      const std::string_view word = std::string_view(line).substr(begin);
      if (!word.starts_with(name) && !word.starts_with(kInclude)) continue;
      overrides.push_back(fmt::format("{}={}", name, value));
      break;
    }
  }
  return overrides;
}

bool has_outside_configuration(const BackupSummary& backup) {
  return find_side_file(backup, "config_file") != nullptr;
}

std::string write_outside_configuration(Storage& storage, const ClusterRecord& cluster,
                                        const BackupSummary& backup,
                                        const OutsideConfiguration& request) {
  const std::string& folder = request.folder;
  if (fs::exists(folder)) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = fmt::format("\"{}\" exists already", folder),
                 .detail = "The configuration from outside the data directory would go there.",
                 .hint = "Move it away, or leave --with-config out."});
  }
  const BackupSideFile& main_file = *find_side_file(backup, "config_file");
  const std::string origin = parent_directory(main_file.path);
  create_directories(folder);
  std::string configuration = fetch(storage, cluster, backup, main_file);
  make_included_folders(configuration, folder);
  for (const BackupSideFile& file : backup.side_files) {
    if (file.purpose != "included_file") continue;
    if (!file.path.starts_with(origin + "/")) {
      log_warning(fmt::format("\"{}\" is included by its absolute path; what is there now counts",
                              file.path));
      continue;
    }
    const std::string path = folder + file.path.substr(origin.size());
    create_directories(parent_directory(path));
    replace_file(path, fetch(storage, cluster, backup, file));
  }
  configuration += "\n# Written by pitr restore: this copy is of the restored directory.\n";
  configuration += fmt::format("data_directory = {}\n", quoted(request.data_directory));
  configuration += "external_pid_file = ''\n";
  for (const char* purpose : {"hba_file", "ident_file"}) {
    const BackupSideFile* file = find_side_file(backup, purpose);
    if (file == nullptr) continue;
    const std::string path = folder + "/" + fs::path(file->path).filename().string();
    replace_file(path, fetch(storage, cluster, backup, *file));
    configuration += fmt::format("{} = {}\n", purpose, quoted(path));
  }
  std::string path = folder + "/postgresql.conf";
  replace_file(path, configuration);
  give_to(folder, request.owner);
  return path;
}

}  // namespace pitr
