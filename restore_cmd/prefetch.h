// What a call of pitr-restore has to do with prefetch: take what waits, say what recovery asks for,
// and start the prefetcher where there is none (prefetcher.h). A call that gets nothing here
// fetches by itself, so whatever fails is worth a debug line and no more.
#pragma once

#include <optional>
#include <string>

#include "common/config.h"
#include "restore_cmd/prefetch_folder.h"
#include "wal/control_file.h"
#include "wal/file_name.h"

namespace pitr {

class Prefetch {
 public:
  // `control_file`: the contents of that of the data directory, which is the working directory.
  // Prefetch is off where that is none, where [restore] prefetch is 0, and for every destination
  // but the two names that PostgreSQL's startup process uses: pg_rewind asks backwards.
  Prefetch(const Config& config, const WalFileName& name, const std::string& destination,
           const std::string& control_file);

  // True: the wanted segment waited, verified, and is at the destination. Starts the prefetcher.
  bool take() const;

  // The call has restored a history file: recovery is about to follow that timeline.
  void follow_history() const;

 private:
  void start(PrefetchFolder& folder) const;

  const Config& config_;
  const WalFileName& name_;
  const std::string& destination_;
  std::optional<PrefetchOwner> owner_;  // nothing: off
};

}  // namespace pitr
