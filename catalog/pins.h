// Pins: base backups that retention leaves alone. What a pin says stands in its key, so that also a
// damaged one counts: storage/LAYOUT.md.
#pragma once

#include <string>
#include <vector>

#include "storage/repository.h"

namespace pitr {

struct BackupPin {
  std::string backup;
  bool with_wal = true;  // all WAL after the backup stays, too; else only what makes it consistent
};

std::vector<BackupPin> read_pins(Storage& storage, const ClusterKey& cluster);

// Durable on return. A pin of the other kind goes.
void place_pin(Storage& storage, const ClusterRecord& cluster, const BackupPin& pin);
// False when there was none.
bool remove_pins(Storage& storage, const ClusterKey& cluster, const std::string& backup);

}  // namespace pitr
