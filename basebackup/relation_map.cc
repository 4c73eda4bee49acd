#include "basebackup/relation_map.h"

#include <functional>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "basebackup/backup_manifest.h"
#include "basebackup/connection.h"
#include "common/error.h"
#include "common/log.h"

namespace pitr {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMapBlockSize = std::size_t{64} * 1024;
constexpr int kRowsAtOnce = 10'000;

// Bytes that are no UTF-8 (a database in another encoding) become the replacement character.
std::string as_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ResultHandle run_query(PGconn* link, const std::string& sql) {
  ResultHandle result(PQexec(link, sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw_server_error(link, result.get());
  }
  return result;
}

std::string field(const PGresult* result, int row, int column) {
  return {PQgetvalue(result, row, column),
          static_cast<std::size_t>(PQgetlength(result, row, column))};
}

std::uint32_t number(const PGresult* result, int row, int column) {
  return static_cast<std::uint32_t>(to_integer(field(result, row, column)));
}

struct Database {
  std::uint32_t oid = 0;
  std::string name;
  bool lets_in = true;
};

// Not of this cluster's other sessions: read-only, no wait for locks.
void prepare_session(PGconn* link) {
  run_query(link, "SELECT pg_catalog.set_config('search_path', '', false)");
  run_query(link, "SELECT pg_catalog.set_config('client_encoding', 'UTF8', false)");
  run_query(link, "SELECT pg_catalog.set_config('lock_timeout', '5s', false)");
}

std::vector<Database> list_databases(PGconn* link) {
  const ResultHandle result =
      run_query(link, "SELECT oid, datname, datallowconn FROM pg_catalog.pg_database ORDER BY oid");
  std::vector<Database> databases;
  databases.reserve(static_cast<std::size_t>(PQntuples(result.get())));
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    databases.push_back({number(result.get(), row, 0), field(result.get(), row, 1),
                         field(result.get(), row, 2) == "t"});
  }
  return databases;
}

// Writes one database's lines; returns how many relations.
std::uint64_t write_database(ArchiveWriter& writer, PGconn* link, const Database& database) {
  const ResultHandle schemas =
      run_query(link, "SELECT oid, nspname FROM pg_catalog.pg_namespace ORDER BY oid");
  for (int row = 0; row < PQntuples(schemas.get()); ++row) {
    writer.append(as_byte_span(as_line({{"schema", number(schemas.get(), row, 0)},
                                        {"in", database.oid},
                                        {"name", field(schemas.get(), row, 1)}})));
  }
  const ResultHandle subscriptions =
      run_query(link, fmt::format("SELECT subname FROM pg_catalog.pg_subscription "
                                  "WHERE subdbid = {} ORDER BY subname",
                                  database.oid));
  for (int row = 0; row < PQntuples(subscriptions.get()); ++row) {
    writer.append(as_byte_span(
        as_line({{"subscription", field(subscriptions.get(), row, 0)}, {"in", database.oid}})));
  }
  // A cursor: a database may hold a million relations. A temporary relation has no name to tell.
  run_query(link, "BEGIN TRANSACTION READ ONLY");
  run_query(link,
            "DECLARE relations CURSOR FOR SELECT c.oid, "
            "coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), n.nspname, c.relname, c.relkind "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relpersistence <> 't' AND n.nspname <> 'pg_catalog'");
  std::uint64_t relations = 0;
  for (;;) {
    const ResultHandle rows =
        run_query(link, fmt::format("FETCH FORWARD {} FROM relations", kRowsAtOnce));
    const int count = PQntuples(rows.get());
    if (count == 0) break;
    for (int row = 0; row < count; ++row) {
      writer.append(as_byte_span(as_line({{"relation", number(rows.get(), row, 0)},
                                          {"in", database.oid},
                                          {"file", number(rows.get(), row, 1)},
                                          {"of", field(rows.get(), row, 2)},
                                          {"name", field(rows.get(), row, 3)},
                                          {"kind", field(rows.get(), row, 4)}})));
      ++relations;
    }
  }
  run_query(link, "COMMIT");
  return relations;
}

[[noreturn]] void throw_damaged(std::string detail) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = "a map of relations is damaged",
               .detail = std::move(detail)});
}

// The library converts any number, and a fraction that does not fit is undefined.
std::uint32_t get_oid(const Json& json, const char* key) {
  const Json& number = json.at(key);
  if (!number.is_number_unsigned() || number.get<std::uint64_t>() > UINT32_MAX) {
    throw_damaged(fmt::format("\"{}\" is no OID.", key));
  }
  return number.get<std::uint32_t>();
}

void add_line(const Json& json, Instant taken_at, RelationNames& names) {
  if (json.contains("subscription")) return;
  const std::string name = json.at("name");
  if (json.contains("database")) {
    names.add_database(get_oid(json, "database"), name);
  } else if (json.contains("schema")) {
    names.add_schema(get_oid(json, "in"), get_oid(json, "schema"), name);
  } else {
    const std::string kind = json.at("kind");
    names.add({.database = get_oid(json, "in"),
               .oid = get_oid(json, "relation"),
               .file_number = get_oid(json, "file"),
               .kind = kind.empty() ? '\0' : kind.front(),
               .schema = json.at("of"),
               .name = name},
              taken_at);
  }
}

void visit_map(const StoredFile& file, const std::function<void(const Json& line)>& visit) {
  LineSplitter lines;
  file.reader->read_all(1, [&](ByteSpan raw, std::uint64_t) {
    lines.feed(raw, [&](std::string_view line) { visit(Json::parse(line)); });
  });
}

// Runs `read`; a damaged map is passed over with a warning.
template <typename Read>
void pass_over_damage(const std::string& key, const Read& read) {
  try {
    read();
  } catch (const Json::exception& error) {
    log_warning(fmt::format("map \"{}\" is passed over: {}", key, error.what()));
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) throw;
    log_warning(fmt::format("map \"{}\" is passed over: {}", key, error.what()));
  }
}

}  // namespace

RelationMapCounts store_relation_map(Storage& storage, const ClusterRecord& cluster,
                                     const std::string& connection,
                                     const Compression& compression) {
  const Instant taken_at = now();
  RelationMapCounts counts{.name = make_unique_name(taken_at)};
  const auto destination = storage.create(map_key(cluster.key, counts.name));
  EncodeBuffers buffers({.compression = compression, .block_size = kMapBlockSize});
  ArchiveWriter writer(*destination, buffers);
  const ConnectionHandle first = connect_to_server(connection, "");
  prepare_session(first.get());
  for (const Database& database : list_databases(first.get())) {
    writer.append(as_byte_span(as_line({{"database", database.oid}, {"name", database.name}})));
    if (!database.lets_in) continue;
    try {
      const ConnectionHandle link = connect_to_server(connection, "", database.name);
      prepare_session(link.get());
      counts.relations += write_database(writer, link.get(), database);
      ++counts.databases;
    } catch (const Error& error) {
      log_warning(fmt::format("relations of database \"{}\" have no names in the map: {}",
                              database.name, error.report().detail));
    }
  }
  writer.finish(identity_sections({.kind = FileKind::kRelationMap,
                                   .name = counts.name,
                                   .cluster_name = cluster.key.name,
                                   .cluster = cluster.identity,
                                   .created_at = taken_at}));
  if (!destination->commit()) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = fmt::format("a map \"{}\" is stored already", counts.name)});
  }
  return counts;
}

void add_map_line(std::string_view line, Instant taken_at, RelationNames& names) {
  try {
    add_line(Json::parse(line), taken_at, names);
  } catch (const Json::exception&) {
    throw_damaged(fmt::format("It has the line \"{}\".", line.substr(0, 200)));
  }
}

void read_relation_maps(Storage& storage, const ClusterRecord& cluster, RelationNames& names) {
  storage.list(map_folder(cluster.key), "", [&](const std::string& key) {
    pass_over_damage(key, [&] {
      const auto file = open_stored_file(storage, key, cluster.key, last_part(key));
      if (!file) return;
      const Instant taken_at = file->identity.created_at;
      names.note_map(taken_at);
      visit_map(*file, [&](const Json& line) { add_line(line, taken_at, names); });
    });
    return true;
  });
}

std::vector<std::string> read_subscriptions(Storage& storage, const ClusterRecord& cluster) {
  // Names begin with the second in which they were taken; of one second's the trailer tells.
  std::vector<std::string> newest;
  const auto second_of = [](const std::string& key) {
    return std::string(last_part(key).substr(0, last_part(key).find('-')));
  };
  storage.list(map_folder(cluster.key), "", [&](const std::string& key) {
    if (!newest.empty() && second_of(newest.front()) != second_of(key)) newest.clear();
    newest.push_back(key);
    return true;
  });
  std::vector<std::string> subscriptions;
  Instant taken_at{};
  for (const std::string& key : newest) {
    pass_over_damage(key, [&] {
      const auto file = open_stored_file(storage, key, cluster.key, last_part(key));
      if (!file || file->identity.created_at < taken_at) return;
      taken_at = file->identity.created_at;
      subscriptions.clear();
      std::map<std::uint32_t, std::string> databases;
      visit_map(*file, [&](const Json& line) {
        if (line.contains("database")) databases[get_oid(line, "database")] = line.at("name");
        if (!line.contains("subscription")) return;
        const std::string name = line.at("subscription");
        subscriptions.push_back(fmt::format("{} of {}", name, databases[get_oid(line, "in")]));
      });
    });
  }
  return subscriptions;
}

}  // namespace pitr
