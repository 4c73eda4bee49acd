// The catalog: an index over the repository, so that questions need no trailer read twice.
//
// It is never the truth. What it lacks is read from the repository, what is damaged is thrown away,
// and `pitr catalog rebuild` writes it anew. Keys and values: catalog/CATALOG.md.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/cluster_rows.h"

namespace pitr {

// Not thread-safe.
class Catalog {
 public:
  // For reading only: changes no file and waits for nobody. Knows the journal, too. Null when there
  // is no catalog that can be read.
  static std::unique_ptr<Catalog> open_for_read(const std::string& state_directory);

  // For writing: one process at a time. Waits up to `timeout` for the one before, then throws
  // kSystem and names it; `command` is how others will name this one. Takes the journal in. A
  // damaged catalog is begun anew; with `anew` any is, unread.
  static std::unique_ptr<Catalog> open_for_update(const std::string& state_directory,
                                                  std::chrono::milliseconds timeout,
                                                  const std::string& command, bool anew = false);

  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;
  Catalog(Catalog&&) = delete;
  Catalog& operator=(Catalog&&) = delete;
  ~Catalog();

  // Whether another process has it open for writing: it may know less for the moment.
  static bool is_being_written(const std::string& state_directory);

  // Remembers (opened for update) and finds what read_rows() asks for. It keeps the database open.
  RowCache row_cache(const ClusterKey& cluster);

  // What it knows of: the folders wal/<cluster>/<timeline>/<log> with files, and backups by id.
  std::vector<std::string> wal_folders(const ClusterKey& cluster) const;
  std::vector<std::string> backup_ids(const ClusterKey& cluster) const;

  // When it was last brought up to date with the repository; nothing: never, or by an older pitr.
  std::optional<Instant> refreshed_at() const;
  // Opened for update: that it has just been, from a listing that was begun at `at`.
  void note_refresh(Instant at);

  // Opened for update: forgets what retention has removed.
  void forget(const ClusterRecord& cluster, const Expiry& expiry);

  // Makes what was remembered durable; opened for update.
  void sync();

 private:
  struct State;
  explicit Catalog(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace pitr
