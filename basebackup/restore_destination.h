// Whether a directory may be restored into, and what happens to the WAL that lies in it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "catalog/backup_summary.h"
#include "storage/repository.h"

namespace pitr {

struct DestinationRequest {
  std::string directory;   // absolute, links resolved
  std::string repository;  // absolute, links resolved; empty: not a folder of this host
  std::uint64_t system_identifier = 0;
  bool delta = false;
};

// Absolute, with every link on the way resolved; the last parts may be missing.
std::string resolve_path(const std::string& path);

// Of resolved paths.
bool lies_in(const std::string& path, const std::string& folder);

// Throws kUsage, having changed nothing, for a directory that holds something else, that a running
// server uses, or that lies in the repository (or holds it).
void check_destination(const DestinationRequest& request);

struct TablespaceRequest {
  std::vector<std::string> maps;  // OLD=NEW
  bool original = false;          // those without a map go where they were
};

// Where each tablespace of the backup goes. Throws kUsage for one without a place, with the lines
// to paste, for a place that is not empty, and for a map that names no tablespace.
std::map<std::uint32_t, std::string> place_tablespaces(const BackupSummary& backup,
                                                       const TablespaceRequest& tablespaces,
                                                       const DestinationRequest& destination);

// Throws kUsage for a tablespace that was created after the backup, and whose very path replay will
// use: it must be there and empty, or a living server's files would be replayed over.
void check_created_tablespaces(const std::vector<std::string>& paths);

// Throws kUsage unless `directory` can become pg_wal: empty or missing, and outside the destination
// and its tablespaces.
void check_wal_directory(const std::string& directory, const DestinationRequest& destination,
                         const std::map<std::uint32_t, std::string>& tablespaces = {});

// Throws kUsage where put_old_wal_aside() could not move a pg_wal that is there.
void check_old_wal_can_move(const std::string& directory);

// Where an interrupted restore of this directory has put the WAL that lay there; empty: nowhere.
std::string wal_put_aside_before(const std::string& directory);

// DIR.pg_wal-<UTC>; where pg_wal is a link, what it leads to: that stays where it is.
std::string name_for_old_wal(const std::string& directory);

// The newest commits of a crashed server may exist only in its pg_wal: it is removed only when the
// repository holds every WAL file in it with the same contents. Otherwise it becomes `aside`;
// returns that (empty: nothing was moved). Where `aside` is there already, an interrupted restore
// has moved it, and the present pg_wal is that restore's own. A link is removed and what it leads
// to stays as it is.
std::string put_old_wal_aside(Storage& storage, const ClusterRecord& cluster,
                              const std::string& directory, const std::string& aside);

}  // namespace pitr
