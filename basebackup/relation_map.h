// A map of relations: names by OID and file number, as a server's catalogs have them at one moment.
// The WAL knows numbers only, so `pitr history` needs it. Format: "Maps" in storage/LAYOUT.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/relation_names.h"
#include "storage/repository.h"

namespace pitr {

struct RelationMapCounts {
  std::string name;  // of the stored map
  std::uint64_t databases = 0;
  std::uint64_t relations = 0;
};

// Reads the catalogs of every database that lets us in (a warning for the others) and stores the
// map. `connection` is a libpq string. Throws kSystem when the server cannot answer.
RelationMapCounts store_relation_map(Storage& storage, const ClusterRecord& cluster,
                                     const std::string& connection, const Compression& compression);

// Gives the names of one line of a map to `names`. Throws kCorrupt for what no map has.
void add_map_line(std::string_view line, Instant taken_at, RelationNames& names);

// Gives the names of every stored map to `names`, in the order in which they were taken; a damaged
// map is passed over with a warning.
void read_relation_maps(Storage& storage, const ClusterRecord& cluster, RelationNames& names);

// "subscription of database": the logical replication subscriptions that the newest map knows.
std::vector<std::string> read_subscriptions(Storage& storage, const ClusterRecord& cluster);

}  // namespace pitr
