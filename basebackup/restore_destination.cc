#include "basebackup/restore_destination.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <set>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/restore_backup.h"
#include "common/error.h"
#include "common/log.h"
#include "common/time.h"
#include "io/checksum.h"
#include "io/file.h"
#include "wal/control_file.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(std::string message, std::string detail, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

// What cannot be asked for may be there, and be the only copy.
bool exists(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) throw_file_error("read", path, errno);
  return false;
}

// Entries beside an interrupted restore's own mark.
bool is_empty(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().filename() != kRestoringMark) return false;
  }
  if (error && error.value() != ENOENT) {
    throw_file_error("read directory", directory, error.value());
  }
  return true;
}

void refuse_running_server(const std::string& directory) {
  std::string contents;
  if (!try_read_whole_file(directory + "/postmaster.pid", contents)) return;
  if (contents.starts_with('-')) contents.erase(0, 1);  // a single-user server's
  const auto pid = parse_number(contents.substr(0, contents.find('\n')), 10);
  if (!pid || *pid == 0) return;
  if (kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH) return;
  refuse(fmt::format("a server runs on \"{}\"", directory),
         fmt::format("Its postmaster.pid names process {}.", *pid),
         "Stop it first, or restore into another directory.");
}

// What an interrupted restore left in its mark under a key; empty: nothing.
std::string value_in_mark(const std::string& directory, std::string_view key) {
  std::string mark;
  if (!try_read_whole_file(directory + "/" + kRestoringMark, mark)) return {};
  const std::string wanted = fmt::format("{} = ", key);
  const std::size_t begin = mark.find(wanted);
  if (begin == std::string::npos) return {};
  const std::string rest = mark.substr(begin + wanted.size());
  return rest.substr(0, rest.find('\n'));
}

std::uint64_t identifier_of(const std::string& directory) {
  const auto interrupted = parse_number(value_in_mark(directory, "system_identifier"), 10);
  if (interrupted) return *interrupted;
  std::string contents;
  if (!try_read_whole_file(directory + "/global/pg_control", contents)) return 0;
  return ControlFile::parse(as_byte_span(contents)).cluster.system_identifier;
}

void refuse_overlap(const std::string& directory, const std::string& repository) {
  if (repository.empty()) return;
  if (lies_in(directory, repository)) {
    refuse(fmt::format("\"{}\" lies inside the repository", directory),
           "What is stored there must stay as it is.", "Restore into another directory.");
  }
  if (lies_in(repository, directory)) {
    refuse(fmt::format("\"{}\" holds the repository", directory),
           "Restoring into it would mix its files with what is stored.",
           "Restore into another directory.");
  }
}

// The folder of the same server version in a tablespace; empty: none.
bool holds_files_of_a_server(const std::string& place) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(place, error)) {
    if (entry.path().filename().string() != "lost+found") return true;
  }
  if (error && error.value() != ENOENT) throw_file_error("read directory", place, error.value());
  return false;
}

// PG_15_202209061: a server version's folder in a tablespace.
bool is_tablespace_version(const std::string& name) {
  constexpr std::string_view kStart = "PG_";
  const std::size_t rest = name.find('_', kStart.size());
  return name.starts_with(kStart) && rest != std::string::npos && rest > kStart.size() &&
         name.find_first_not_of("0123456789_", kStart.size()) == std::string::npos;
}

bool is_tablespace(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_tablespace_version(entry.path().filename().string())) return true;
  }
  return false;
}

// A folder inside a server's own is part of it: it would be backed up, and removed with a database
// or a tablespace.
void refuse_inside_a_server(const std::string& path) {
  for (std::string above = parent_directory(path); above.size() > 1;
       above = parent_directory(above)) {
    const bool is_data = exists(above + "/PG_VERSION") || exists(above + "/global/pg_control");
    if (!is_data && !is_tablespace(above)) continue;
    refuse(fmt::format("\"{}\" lies inside a {}", path,
                       is_data ? "data directory" : "tablespace of a server"),
           fmt::format("That is \"{}\".", above), "Choose a place outside.");
  }
}

// Where the link of a data directory's tablespace leads; empty: there is none.
std::string place_of_tablespace(const std::string& data_directory, std::uint32_t oid) {
  std::error_code error;
  const fs::path link =
      fs::read_symlink(fmt::format("{}/pg_tblspc/{}", data_directory, oid), error);
  return error ? "" : resolve_path(link.string());
}

// Only the directory's own earlier tablespace may be written over. The links of a copy lead to its
// origin's.
bool is_own_tablespace(const DestinationRequest& destination, const std::string& origin,
                       std::uint32_t oid, const std::string& place) {
  if (!destination.delta) return false;
  const bool is_origins = !origin.empty() && resolve_path(origin) != destination.directory &&
                          place_of_tablespace(origin, oid) == place;
  return !is_origins && place_of_tablespace(destination.directory, oid) == place;
}

[[noreturn]] void refuse_without_map(const BackupSummary& backup,
                                     const std::map<std::uint32_t, std::string>& placed) {
  std::string lines;
  for (const BackupTablespace& tablespace : backup.tablespaces) {
    if (placed.contains(tablespace.oid)) continue;
    lines += fmt::format("\n  --tablespace {}=NEW", tablespace.path);
  }
  refuse("the backup has tablespaces outside the data directory, and nothing says where they go",
         "A restore never writes into a place that was not named.",
         "Add, with the new places:" + lines +
             "\nor --tablespace-original to use the old places, if they are empty.");
}

void check_place(const std::string& place, const BackupTablespace& tablespace,
                 const std::string& origin, const DestinationRequest& destination) {
  refuse_overlap(place, destination.repository);
  refuse_inside_a_server(place);
  if (lies_in(place, destination.directory) || lies_in(destination.directory, place)) {
    refuse(fmt::format("tablespace \"{}\" cannot go to \"{}\"", tablespace.path, place),
           "A tablespace's place and the data directory must lie outside each other.");
  }
  if (holds_files_of_a_server(place) &&
      !is_own_tablespace(destination, origin, tablespace.oid, place)) {
    refuse(fmt::format("tablespace \"{}\" cannot go to \"{}\"", tablespace.path, place),
           "The folder is not empty: it may be the one that a living server uses.",
           fmt::format("Choose another: --tablespace {}=NEW", tablespace.path));
  }
}

bool repository_holds(Storage& storage, const ClusterRecord& cluster, const fs::path& path) {
  const auto name = WalFileName::parse(path.filename().string());
  if (!name) return false;
  const std::string key = wal_key(cluster.key, *name);
  const auto stored = open_stored_file(storage, key, cluster.key, name->text);
  if (!stored || stored->reader->contents().raw_size != fs::file_size(path)) return false;
  Xxh3Stream hash;
  const File file = File::open_for_read(path.string());
  std::vector<std::byte> buffer(256ULL * 1024);
  for (std::uint64_t offset = 0;;) {
    const std::size_t count = file.read_at(offset, buffer);
    if (count == 0) break;
    hash.update(ByteSpan(buffer).first(count));
    offset += count;
  }
  if (hash.value() != stored->reader->contents().raw_hash) return false;
  stored->reader->read_all(1, [](ByteSpan, std::uint64_t) {});  // every block, before ours goes
  return true;
}

// Segments that PostgreSQL made ready for future use hold old WAL under a new name; they are not
// told apart here, so they too must be stored, or everything is moved aside.
bool repository_holds_all(Storage& storage, const ClusterRecord& cluster, const std::string& wal) {
  for (const auto& entry : fs::directory_iterator(wal)) {
    const std::string name = entry.path().filename().string();
    if (name == "archive_status" || name == "summaries") continue;  // PostgreSQL's own notes
    if (name == kPrefetchFolder) continue;
    if (entry.is_directory()) return false;
    try {
      if (!repository_holds(storage, cluster, entry.path())) return false;
    } catch (const Error& error) {
      log_warning(error.what());
      return false;
    }
  }
  return true;
}

}  // namespace

bool lies_in(const std::string& path, const std::string& folder) {
  return path == folder || path.starts_with(folder + "/");
}

std::string resolve_path(const std::string& path) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(fs::absolute(path), error);
  if (error) throw_file_error("resolve", path, error.value());
  std::string text = resolved.string();
  while (text.size() > 1 && text.ends_with('/'))
    text.pop_back();
  return text;
}

void check_destination(const DestinationRequest& request) {
  const std::string& directory = request.directory;
  refuse_overlap(directory, request.repository);
  refuse_inside_a_server(directory);
  refuse_running_server(directory);
  if (is_empty(directory)) return;
  const bool interrupted = exists(directory + "/" + kRestoringMark);
  if (!request.delta) {
    refuse(fmt::format("directory \"{}\" is not empty", directory), "",
           interrupted ? "An interrupted restore left it behind: go on with --delta."
                       : "Restore into an empty directory, or use --delta to restore over an "
                         "older state of the same cluster.");
  }
  const std::uint64_t found = identifier_of(directory);
  if (found == request.system_identifier) return;
  refuse(fmt::format("--delta cannot be used on \"{}\"", directory),
         found == 0 ? std::string("It holds neither a pg_control nor the mark of an interrupted "
                                  "restore.")
                    : fmt::format("It belongs to system identifier {}, the backup to {}.", found,
                                  request.system_identifier),
         "Restore into an empty directory.");
}

std::map<std::uint32_t, std::string> place_tablespaces(const BackupSummary& backup,
                                                       const TablespaceRequest& tablespaces,
                                                       const DestinationRequest& destination) {
  std::map<std::uint32_t, std::string> placed;
  for (const std::string& map : tablespaces.maps) {
    const std::size_t equals = map.find('=');
    const std::string from = map.substr(0, equals);
    const std::string to = equals == std::string::npos ? "" : map.substr(equals + 1);
    if (!to.starts_with('/')) {
      refuse(fmt::format("invalid tablespace map \"{}\"", map),
             "Expected OLD=NEW, with absolute "
             "paths.");
    }
    const auto found =
        std::find_if(backup.tablespaces.begin(), backup.tablespaces.end(),
                     [&](const BackupTablespace& tablespace) { return tablespace.path == from; });
    if (found == backup.tablespaces.end()) {
      refuse(fmt::format("the backup has no tablespace \"{}\"", from), "");
    }
    if (!placed.emplace(found->oid, resolve_path(to)).second) {
      refuse(fmt::format("two maps name the tablespace \"{}\"", from), "");
    }
  }
  std::set<std::string> places;
  for (const BackupTablespace& tablespace : backup.tablespaces) {
    if (!placed.contains(tablespace.oid)) {
      if (!tablespaces.original) refuse_without_map(backup, placed);
      placed[tablespace.oid] = resolve_path(tablespace.path);
    }
    const std::string& place = placed[tablespace.oid];
    check_place(place, tablespace, backup.data_directory, destination);
    for (const std::string& other : places) {
      if (!lies_in(place, other) && !lies_in(other, place)) continue;
      refuse(fmt::format("two tablespaces cannot go to \"{}\" and \"{}\"", other, place),
             "Each needs a folder of its own, outside the others.");
    }
    places.insert(place);
  }
  return placed;
}

void check_created_tablespaces(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    const bool is_there = fs::is_directory(path);
    if (is_there && !holds_files_of_a_server(path)) continue;
    refuse(fmt::format("the WAL on the way creates a tablespace at \"{}\"", path),
           is_there ? "The folder is not empty: it may be the one that a living server uses, and "
                      "replay would write into it. No map applies to what is created on the way."
                    : "The folder is not there, and replay would stop at this record.",
           is_there
               ? "Restore on another host, take a later base backup (--tablespace then applies), "
                 "or choose a moment before the tablespace was created."
               : fmt::format("Create it, empty and owned by the server's user: {}", path));
  }
}

void check_wal_directory(const std::string& directory, const DestinationRequest& destination,
                         const std::map<std::uint32_t, std::string>& tablespaces) {
  refuse_overlap(directory, destination.repository);
  refuse_inside_a_server(directory);
  if (lies_in(directory, destination.directory) || lies_in(destination.directory, directory)) {
    refuse(fmt::format("pg_wal cannot go to \"{}\"", directory),
           "It and the data directory must lie outside each other.");
  }
  for (const auto& [oid, place] : tablespaces) {
    if (!lies_in(directory, place) && !lies_in(place, directory)) continue;
    refuse(fmt::format("pg_wal cannot go to \"{}\"", directory),
           fmt::format("It and the tablespace at \"{}\" must lie outside each other.", place));
  }
  if (!is_empty(directory)) {
    refuse(fmt::format("pg_wal cannot go to \"{}\"", directory),
           "The folder is not empty: the WAL in it may be the only copy.");
  }
}

void check_old_wal_can_move(const std::string& directory) {
  struct stat wal {};
  struct stat parent {};
  const std::string above = parent_directory(directory);
  if (lstat((directory + "/pg_wal").c_str(), &wal) != 0 || S_ISLNK(wal.st_mode)) return;
  if (stat(above.c_str(), &parent) == 0 && parent.st_dev == wal.st_dev &&
      access(above.c_str(), W_OK) == 0) {
    return;
  }
  refuse(
      fmt::format("the WAL in \"{}/pg_wal\" cannot be moved aside", directory),
      fmt::format("It would become a folder in \"{}\", which is another file system or cannot be "
                  "written.",
                  above),
      "Move pg_wal to a safe place by hand, then restore again (with --wal-from that place).");
}

std::string wal_put_aside_before(const std::string& directory) {
  // With pg_control back that restore had come to its end, but for the mark.
  if (exists(directory + "/global/pg_control")) return {};
  const std::string aside = value_in_mark(directory, "pg_wal");
  return !aside.empty() && exists(aside) ? aside : std::string();
}

std::string name_for_old_wal(const std::string& directory) {
  // What a link leads to stays where it is.
  const std::string wal = directory + "/pg_wal";
  if (fs::is_symlink(wal) && fs::is_directory(wal)) return resolve_path(wal);
  std::string stamp = to_utc_text(now()).substr(0, 19);
  std::erase_if(stamp, [](char c) { return c == '-' || c == ':'; });
  return fmt::format("{}.pg_wal-{}Z", directory, stamp);
}

std::string put_old_wal_aside(Storage& storage, const ClusterRecord& cluster,
                              const std::string& directory, const std::string& aside) {
  const std::string wal = directory + "/pg_wal";
  if (fs::is_symlink(wal)) {
    log_info(fmt::format("pg_wal was a link to \"{}\": the link goes, what lies there stays",
                         fs::read_symlink(wal).string()));
    const bool is_aside = resolve_path(wal) == aside;
    if (unlink(wal.c_str()) != 0) throw_file_error("remove link", wal, errno);
    return exists(aside) && !is_aside ? aside : "";
  }
  const bool moved_before = exists(aside);
  if (!exists(wal)) return moved_before ? aside : "";
  if (moved_before || repository_holds_all(storage, cluster, wal)) {
    std::error_code error;
    fs::remove_all(wal, error);
    if (error) throw_file_error("remove", wal, error.value());
    return moved_before ? aside : "";
  }
  if (rename(wal.c_str(), aside.c_str()) != 0) {
    throw_file_error(fmt::format("move to \"{}\" the folder", aside), wal, errno);
  }
  sync_directory(parent_directory(directory));
  return aside;
}

}  // namespace pitr
