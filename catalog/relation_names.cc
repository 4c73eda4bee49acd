#include "catalog/relation_names.h"

#include "common/units.h"

namespace pitr {

std::optional<std::uint32_t> owner_of_transient_table(std::string_view name) {
  constexpr std::string_view kPrefix = "pg_temp_";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto oid = parse_number(name.substr(kPrefix.size()), 10);
  if (!oid || *oid > UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(*oid);
}

void RelationNames::add(const MappedRelation& relation, Instant at) {
  const bool by_file = wanted_.contains({relation.database, relation.file_number});
  if (by_file && relation.file_number != 0) {
    by_file_[{relation.database, relation.file_number}].maps.push_back({at, relation});
  }
  if (wanted_.contains({relation.database, relation.oid})) {
    by_oid_[{relation.database, relation.oid}].maps.push_back({at, relation});
  }
}

void RelationNames::add(const RelationName& name) {
  if (const auto owner = owner_of_transient_table(name.name)) want(name.database, *owner);
  if (name.file_number != 0) {
    by_file_[{name.database, name.file_number}].wal.push_back({name.start, name});
  }
  by_oid_[{name.database, name.oid}].wal.push_back({name.start, name});
}

std::optional<MappedRelation> RelationNames::find(const std::map<Key, Known>& known, const Key& key,
                                                  Lsn lsn, Instant at) const {
  const auto found = known.find(key);
  if (found == known.end()) return std::nullopt;
  const RelationName* last = nullptr;
  for (const FromWal& one : found->second.wal) {
    if (one.lsn <= lsn && (last == nullptr || one.lsn > last->start)) last = &one.name;
  }
  // A map that was taken before the event has the name that the relation had by then.
  const FromMap* best = nullptr;
  for (const FromMap& one : found->second.maps) {
    const bool is_before = one.at <= at;
    const bool best_is_before = best != nullptr && best->at <= at;
    const bool is_better = best == nullptr ||
                           (is_before && (!best_is_before || one.at > best->at)) ||
                           (!is_before && !best_is_before && one.at < best->at);
    if (is_better) best = &one;
  }
  if (best != nullptr && (best->at <= at || last == nullptr)) return best->relation;
  if (last == nullptr) return std::nullopt;
  MappedRelation relation{.database = last->database,
                          .oid = last->oid,
                          .file_number = last->file_number,
                          .kind = last->kind,
                          .name = last->name};
  const auto schema = schemas_.find({last->database, last->schema_oid});
  if (schema != schemas_.end()) relation.schema = schema->second;
  return relation;
}

std::optional<MappedRelation> RelationNames::by_file(std::uint32_t database, std::uint32_t number,
                                                     Lsn lsn, Instant at) const {
  auto found = find(by_file_, {database, number}, lsn, at);
  // The file of a transient table became that of the table it was made for.
  const auto owner = found ? owner_of_transient_table(found->name) : std::nullopt;
  return owner ? by_oid(database, *owner, lsn, at) : found;
}

std::optional<MappedRelation> RelationNames::by_oid(std::uint32_t database, std::uint32_t oid,
                                                    Lsn lsn, Instant at) const {
  return find(by_oid_, {database, oid}, lsn, at);
}

std::optional<RelationNames::Later> RelationNames::after(std::uint32_t database, std::uint32_t oid,
                                                         Instant at) const {
  const auto map = maps_.upper_bound(at);
  if (map == maps_.end()) return std::nullopt;
  const auto found = by_oid_.find({database, oid});
  if (found == by_oid_.end()) return Later{};
  for (const FromMap& one : found->second.maps) {
    if (one.at == *map) return Later{.is_there = true, .file_number = one.relation.file_number};
  }
  return Later{};
}

std::string RelationNames::database_name(std::uint32_t oid) const {
  const auto found = databases_.find(oid);
  return found == databases_.end() ? std::string() : found->second;
}

}  // namespace pitr
