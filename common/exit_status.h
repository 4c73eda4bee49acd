// Exit statuses are part of our contract with PostgreSQL and with operators; see docs/interface.md.
#pragma once

namespace pitr {

constexpr int kSuccess = 0;

// archive_command: PostgreSQL keeps the segment and tries again.
// restore_command: "not in the archive". PostgreSQL takes this for the end of WAL and opens the
// database, so pitr-restore returns it for a missing file and for nothing else.
constexpr int kFailure = 1;

// pitr: wrong command line or configuration.
constexpr int kWrongUsage = 2;

// pitr: done, and the finding is bad (an unreachable target, a page that fails its checksum).
constexpr int kBadFinding = 3;

// restore_command: anything above 125 aborts recovery instead of ending it early. Never 143, which
// PostgreSQL takes for a fast shutdown.
constexpr int kAbortRecovery = 200;

}  // namespace pitr
