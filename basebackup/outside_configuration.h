// Configuration that lies outside the data directory, as on Debian: kept beside a backup, and
// brought back into a folder of its own so that it never leads to the original server's files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "basebackup/destination_tree.h"
#include "catalog/backup_summary.h"
#include "storage/repository.h"

namespace pitr {

// True when the backup's server was configured by files outside its data directory.
bool has_outside_configuration(const BackupSummary& backup);

// What a server must be told with -c so that a configuration that came back inside its data
// directory does not lead it to the original's files; empty: it names none. `configuration` is the
// text of its postgresql.conf; of files that it includes the worst is assumed.
std::vector<std::string> overrides_for(const std::string& configuration,
                                       const std::string& data_directory);

struct OutsideConfiguration {
  std::string folder;          // must not exist
  std::string data_directory;  // of the restored cluster
  std::optional<FileOwner> owner;
};

// Writes the backup's files into the folder. Returns the path of the postgresql.conf there: it
// names the data directory and the files beside it, whatever the original said.
std::string write_outside_configuration(Storage& storage, const ClusterRecord& cluster,
                                        const BackupSummary& backup,
                                        const OutsideConfiguration& request);

}  // namespace pitr
