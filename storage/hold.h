// A hold: a file in the repository that says which process needs what is stored, or removes from
// it. Who removes looks at the holds of the others after he has placed his own, and the others at
// his: one of two sees the other. Format: "Holds" in storage/LAYOUT.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/process.h"
#include "storage/repository.h"

namespace pitr {

struct Hold {
  std::string name;  // the key's last part; place_hold() makes it
  std::string
      command;  // "expire", "restore", "drill"; "recovery": what a restore began, until a time
  ProcessIdentity process;
  Instant since;
  std::string backup;            // that is needed, with the WAL after it; empty: none
  std::optional<Instant> until;  // nothing: while the process lives

  bool operator==(const Hold& other) const { return name == other.name; }
};

// A process of another host is taken for gone after so long: nobody here can ask for it.
constexpr std::chrono::days kForeignProcessGone{7};

// "pitr restore, process 4711 on db1 since 2026-11-22 11:00:00+01:00".
std::string describe(const Hold& hold);

// Its process is dead, or its time is over.
bool is_over(const Hold& hold, Instant now);

// Durable on return; gives its name.
std::string place_hold(Storage& storage, const ClusterRecord& cluster, Hold hold);
void remove_hold(Storage& storage, const ClusterKey& cluster, const std::string& name);

// All that are there. Throws kCorrupt for a damaged one: nobody knows what it protects.
std::vector<Hold> read_holds(Storage& storage, const ClusterKey& cluster);

}  // namespace pitr
