// Names of relations by the numbers that the WAL knows: OIDs and file numbers. They come from maps
// that backups and `pitr map` took of the server's catalogs, and from rows of pg_class in the WAL.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/time.h"
#include "wal/record_events.h"

namespace pitr {

struct MappedRelation {
  std::uint32_t database = 0;
  std::uint32_t oid = 0;
  std::uint32_t file_number = 0;  // 0: none
  char kind = 0;                  // pg_class.relkind
  std::string schema;             // empty: not known
  std::string name;

  bool operator==(const MappedRelation&) const = default;
};

// The relation that a transient table takes the place of, by its name: make_new_heap() in cluster.c
// calls it pg_temp_<OID>. Nothing for any other name.
std::optional<std::uint32_t> owner_of_transient_table(std::string_view name);

// Keeps what was asked for, so that maps of any size can be read through. Not thread-safe.
class RelationNames {
 public:
  // Relations by OID or by file number; before the maps are added.
  void want(std::uint32_t database, std::uint32_t number) { wanted_.emplace(database, number); }

  // From a map that was taken at `at`.
  void add(const MappedRelation& relation, Instant at);
  void add_database(std::uint32_t oid, std::string name) { databases_[oid] = std::move(name); }
  void add_schema(std::uint32_t database, std::uint32_t oid, std::string name) {
    schemas_[{database, oid}] = std::move(name);
  }
  // From the WAL.
  void add(const RelationName& name);

  // The relation that a file belonged to at a moment: by the last map before it, else by what the
  // WAL said before, else by the first map after.
  std::optional<MappedRelation> by_file(std::uint32_t database, std::uint32_t number, Lsn lsn,
                                        Instant at) const;
  std::optional<MappedRelation> by_oid(std::uint32_t database, std::uint32_t oid, Lsn lsn,
                                       Instant at) const;
  std::string database_name(std::uint32_t oid) const;  // empty: not known

  // What the first map after a moment says of a relation. Nothing: there is no later map.
  struct Later {
    bool is_there = false;
    std::uint32_t file_number = 0;
  };
  std::optional<Later> after(std::uint32_t database, std::uint32_t oid, Instant at) const;
  void note_map(Instant at) { maps_.insert(at); }

 private:
  using Key = std::pair<std::uint32_t, std::uint32_t>;  // database, number
  struct FromMap {
    Instant at;
    MappedRelation relation;
  };
  struct FromWal {
    Lsn lsn = 0;
    RelationName name;
  };
  struct Known {
    std::vector<FromMap> maps;
    std::vector<FromWal> wal;
  };

  std::optional<MappedRelation> find(const std::map<Key, Known>& known, const Key& key, Lsn lsn,
                                     Instant at) const;

  std::set<Instant> maps_;  // when they were taken
  std::set<Key> wanted_;
  std::map<Key, Known> by_file_;
  std::map<Key, Known> by_oid_;
  std::map<std::uint32_t, std::string> databases_;
  std::map<Key, std::string> schemas_;
};

}  // namespace pitr
