// pitr history: what the archived WAL says happened.
#pragma once

#include <string>
#include <vector>

#include "catalog/history.h"
#include "pitr/session.h"

namespace pitr {

struct HistoryOptions {
  std::string from;
  std::string to;
};

int run_history(Session& session, const HistoryOptions& options);

// The events of a time, with the names that the stored maps know, and those of all databases.
struct NamedHistory {
  std::vector<HistoryEvent> events;  // by time
  RelationNames names;
};
NamedHistory read_history(Storage& storage, const ClusterRows& rows, const HistoryRequest& request);

// "app.public.orders", "file 16402 of database 5": as much as is known.
std::string describe_relation(const MappedRelation& relation, const RelationNames& names);

}  // namespace pitr
