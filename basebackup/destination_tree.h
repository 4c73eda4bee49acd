// The directory that a base backup is restored into, and its tablespaces elsewhere.
//
// Paths come from a manifest, so every file is opened beneath its root, following no symbolic link:
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS where the kernel allows it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <sys/types.h>

#include "io/file.h"

namespace pitr {

struct FileOwner {
  uid_t user;
  gid_t group;
};

// open_file() may be called from several threads once all folders are there. As long as it lives no
// other restore can use the same root.
class DestinationTree {
 public:
  // `tablespaces`: where the files below pg_tblspc/<oid> go. `owner`: given to everything that is
  // made; nothing: it stays with the caller.
  DestinationTree(std::string root, std::map<std::uint32_t, std::string> tablespaces,
                  std::optional<FileOwner> owner);

  const std::string& root() const { return root_; }
  const std::map<std::uint32_t, std::string>& tablespaces() const { return tablespaces_; }

  // Makes a folder and those above it; one that is there is kept.
  void make_directory(const std::string& path, std::uint32_t mode);
  // Sets the mode of a folder for good, after its contents were written.
  void set_directory_mode(const std::string& path, std::uint32_t mode);
  // pg_tblspc/<oid> -> its mapped place, made when missing.
  void make_tablespace_link(std::uint32_t oid);
  // pg_wal -> a folder elsewhere, made when missing.
  void make_wal_link(const std::string& place);

  // For writing; created when missing, and its owner set.
  File open_file(const std::string& path);
  // Nothing when it is not there or no regular file.
  std::optional<File> try_open_for_read(const std::string& path);

  // Makes all that was written durable: one call for each file system.
  void sync_everything() const;

 private:
  // The folder that a path is relative to, and the path inside it.
  std::pair<const File*, std::string> resolve(const std::string& path);
  // A name in the folder that holds it. No link was followed to get there; the folder is not open
  // where it could not be opened (errno says why).
  struct Place {
    File folder;
    std::string name;
  };
  Place place_of(const std::string& path);
  // Removes what stands under a name and is of another kind (S_IFREG, …): a restore over an older
  // state may meet a link or a folder where the backup has a file.
  void clear_the_way(const Place& place, mode_t kind) const;
  void make_place(const std::string& place) const;
  void make_link(const std::string& target, const std::string& path);
  void own(const std::string& absolute, int descriptor) const;

  std::string root_;
  std::map<std::uint32_t, std::string> tablespaces_;
  std::optional<FileOwner> owner_;
  File root_directory_;
  std::map<std::uint32_t, File> tablespace_directories_;
};

}  // namespace pitr
