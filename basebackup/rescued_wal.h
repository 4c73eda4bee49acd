// WAL that was never archived, rescued from a crashed server's pg_wal: it may hold the only copy of
// the newest commits.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "basebackup/destination_tree.h"
#include "catalog/cluster_rows.h"

namespace pitr {

// The WAL files of a folder that hold WAL of their own name: history files first, then by name.
// Segments that PostgreSQL has only made ready for later use hold none and are left out.
std::vector<WalFileName> list_rescued_files(const std::string& folder,
                                            const ClusterIdentity& cluster);

// What has a segment's name in a folder and is no file: a pipe, a link that leads nowhere.
std::vector<std::string> segments_that_are_no_files(const std::string& folder);

// The history files of a folder in which nothing says that it is this cluster's.
std::vector<std::string> history_files_of_nobody(const std::string& folder,
                                                 const ClusterIdentity& cluster);

// Adds to the rows what the folder holds and the repository lacks: the plan then counts with it.
// Files of another cluster, and what is no file, are passed over with a warning.
void add_rescued_wal(ClusterRows& rows, const std::string& folder);

// Throws kUsage where pitr-restore would answer with something else than "not there" for a segment
// that the plan takes from the folder: PostgreSQL would not look into pg_wal then.
void refuse_shadowed_wal(const ClusterRows& rows);

// Copies the added files from `folder` into a pg_wal, durably. Returns how many.
std::size_t place_rescued_wal(const ClusterRows& rows, const std::string& folder,
                              const std::string& wal_directory,
                              const std::optional<FileOwner>& owner);

}  // namespace pitr
