// PostgreSQL's backup_label.
#pragma once

#include <string_view>

#include "wal/lsn.h"

namespace pitr {

struct BackupLabel {
  Lsn start_lsn = 0;
  Lsn checkpoint_lsn = 0;
  TimelineId timeline = 0;
};

// Throws kCorrupt for what read_backup_label() in PostgreSQL's xlogrecovery.c would not accept.
BackupLabel parse_backup_label(std::string_view contents);

}  // namespace pitr
