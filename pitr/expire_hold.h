// The right to remove backups and WAL of a cluster: one process at a time, and not while a backup
// is taken.
#pragma once

#include <string>

#include "pitr/session.h"

namespace pitr {

class ExpireHold {
 public:
  // Waits up to the lock timeout, then throws kSystem (lock_timeout) and says for whom.
  ExpireHold(const Session& session, Storage& storage, const ClusterRecord& cluster);
  ExpireHold(const ExpireHold&) = delete;
  ExpireHold& operator=(const ExpireHold&) = delete;
  ExpireHold(ExpireHold&&) = delete;
  ExpireHold& operator=(ExpireHold&&) = delete;
  ~ExpireHold();

 private:
  std::string who_is_in_the_way() const;

  Storage& storage_;
  const ClusterRecord& cluster_;
  std::string name_;
};

}  // namespace pitr
