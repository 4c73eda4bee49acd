#include "basebackup/server.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "basebackup/connection.h"
#include "common/error.h"
#include "wal/segment_name.h"

namespace pitr {

namespace {

// "pitr" in ASCII: the advisory lock of a running base backup.
constexpr const char* kBackupLock = "1885959282";

Instant to_instant(const std::string& microseconds) {
  return Instant(std::chrono::microseconds(to_integer(microseconds)));
}

std::optional<Instant> optional_instant(const std::string& microseconds) {
  if (microseconds.empty()) return std::nullopt;
  return to_instant(microseconds);
}

// Microseconds since the Unix epoch, whatever DateStyle and TimeZone are.
constexpr const char* kClock =
    "(extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint";

}  // namespace

struct Server::Connection {
  ConnectionHandle link;
};

Server::Server(const std::string& connection)
    : connection_(std::make_unique<Connection>(Connection{connect_to_server(connection, "")})) {
  version_ = static_cast<unsigned>(PQserverVersion(connection_->link.get())) / 10000;
  if (version_ < 13) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = fmt::format("PostgreSQL {} is not supported", version_),
                 .detail = "Supported are the versions 13 to 18."});
  }
  query_row("SELECT pg_catalog.set_config('search_path', '', false)");
  query_row("SELECT pg_catalog.set_config('statement_timeout', '0', false)");
  backend_pid_ =
      static_cast<std::int32_t>(to_integer(query_row("SELECT pg_catalog.pg_backend_pid()")[0]));
}

Server::~Server() = default;

Server::Row Server::query_row(const std::string& sql, const std::vector<std::string>& parameters) {
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const std::string& parameter : parameters)
    values.push_back(parameter.c_str());
  PGconn* link = connection_->link.get();
  const ResultHandle result(PQexecParams(link, sql.c_str(), static_cast<int>(values.size()),
                                         nullptr, values.data(), nullptr, nullptr, 0));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) < 1) {
    throw_server_error(link, result.get());
  }
  Row row;
  for (int column = 0; column < PQnfields(result.get()); ++column) {
    row.emplace_back(PQgetvalue(result.get(), 0, column),
                     static_cast<std::size_t>(PQgetlength(result.get(), 0, column)));
  }
  return row;
}

std::string Server::setting(const std::string& name) {
  return query_row("SELECT coalesce(pg_catalog.current_setting($1, true), '')", {name})[0];
}

std::vector<std::string> Server::configuration_files() {
  const std::string joined = query_row(
      "SELECT coalesce(pg_catalog.string_agg(DISTINCT sourcefile, E'\\n'), '') FROM "
      "pg_catalog.pg_settings")[0];
  std::vector<std::string> paths;
  std::string_view rest = joined;
  while (!rest.empty()) {
    const std::string_view path = rest.substr(0, rest.find('\n'));
    if (!path.empty()) paths.emplace_back(path);
    rest.remove_prefix(std::min(path.size() + 1, rest.size()));
  }
  return paths;
}

void Server::limit_answers(std::chrono::seconds limit) {
  query_row(fmt::format("SELECT pg_catalog.set_config('statement_timeout', '{}s', false)",
                        limit.count()));
}

ServerFacts Server::facts() {
  const Row row = query_row(
      "SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
      " pg_catalog.pg_is_in_recovery(),"
      " extract(epoch from pg_catalog.pg_postmaster_start_time())::bigint");
  ServerFacts facts{.version = version_,
                    .system_identifier = static_cast<std::uint64_t>(to_integer(row[0])),
                    .data_directory = setting("data_directory"),
                    .in_recovery = row[1] == "t",
                    .archive_mode = setting("archive_mode"),
                    .archive_command = setting("archive_command"),
                    .archive_library = setting("archive_library"),
                    .wal_level = setting("wal_level"),
                    .config_file = setting("config_file"),
                    .hba_file = setting("hba_file"),
                    .ident_file = setting("ident_file"),
                    .postmaster_started_at = to_integer(row[2]),
                    .backend_pid = backend_pid_};
  return facts;
}

ArchiverState Server::archiver_state() {
  const Row row = query_row(
      "SELECT coalesce(last_archived_wal, ''), coalesce(last_failed_wal, ''), archived_count,"
      " failed_count, coalesce(last_failed_time > last_archived_time,"
      " last_failed_time IS NOT NULL),"
      " (extract(epoch from last_archived_time) * 1000000)::bigint,"
      " (extract(epoch from last_failed_time) * 1000000)::bigint"
      " FROM pg_catalog.pg_stat_archiver");
  return {.last_archived_wal = row[0],
          .last_failed_wal = row[1],
          .archived_count = to_integer(row[2]),
          .failed_count = to_integer(row[3]),
          .is_failing = row[4] == "t",
          .last_archived_at = optional_instant(row[5]),
          .last_failed_at = optional_instant(row[6])};
}

Lsn Server::current_lsn() {
  return to_lsn(query_row("SELECT pg_catalog.pg_current_wal_insert_lsn()")[0]);
}

WalPosition Server::wal_position() {
  // The control file tells the timeline of the last checkpoint: after a promotion not yet the new
  // one, which only a name of the WAL being written does.
  const Row row = query_row(
      "SELECT r, CASE WHEN r THEN coalesce(pg_catalog.pg_last_wal_receive_lsn(),"
      " pg_catalog.pg_last_wal_replay_lsn()) ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
      " CASE WHEN r THEN '' ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())"
      " END, (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())"
      " FROM pg_catalog.pg_is_in_recovery() r");
  WalPosition position{.lsn = row[1].empty() ? 0 : to_lsn(row[1]), .in_recovery = row[0] == "t"};
  const auto segment = SegmentName::parse(row[2]);
  position.timeline = segment ? segment->timeline : static_cast<TimelineId>(to_integer(row[3]));
  return position;
}

Server::Privileges Server::privileges() {
  Privileges privileges;
  const Row role = query_row(
      "SELECT rolsuper, rolreplication, pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')"
      " FROM pg_catalog.pg_roles WHERE rolname = current_user");
  privileges.is_superuser = role[0] == "t";
  if (role[2] != "t") privileges.missing.emplace_back("membership in pg_read_all_settings");
  const auto require = [&](const std::string& function) {
    const Row may = query_row(fmt::format(
        "SELECT pg_catalog.has_function_privilege('pg_catalog.{}', 'EXECUTE')", function));
    if (may[0] != "t") privileges.missing.push_back("EXECUTE on " + function);
  };
  require("pg_create_restore_point(text)");
  require("pg_switch_wal()");
  // A role with REPLICATION can take backups by stream without these.
  if (role[1] == "t") return privileges;
  require(version_ >= 15 ? "pg_backup_start(text, boolean)"
                         : "pg_start_backup(text, boolean, boolean)");
  require(version_ >= 15 ? "pg_backup_stop(boolean)" : "pg_stop_backup(boolean, boolean)");
  return privileges;
}

std::optional<std::string> Server::acquire_backup_right() {
  // A lock of the session: it goes with the session, whatever happens to this process. Locks of
  // this kind are of one database each, and other backups may have come through another one.
  query_row(fmt::format("SELECT pg_catalog.pg_try_advisory_lock({})", kBackupLock));
  const Row other = query_row(fmt::format(
      "SELECT count(*), coalesce(min(application_name || ', since ' || backend_start::text),"
      " 'another process') FROM pg_catalog.pg_locks l"
      " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
      " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = {}"
      " AND l.objsubid = 1 AND l.pid <> pg_catalog.pg_backend_pid()",
      kBackupLock));
  if (other[0] == "0") return std::nullopt;
  return other[1];
}

BackupStart Server::start_backup(const std::string& label, bool fast) {
  const char* call = version_ >= 15 ? "pg_catalog.pg_backup_start($1, $2)"
                                    : "pg_catalog.pg_start_backup($1, $2, false)";
  const Row row =
      query_row(fmt::format("SELECT {}, {}", kClock, call), {label, fast ? "true" : "false"});
  return {.lsn = to_lsn(row[1]), .at = to_instant(row[0])};
}

BackupStop Server::stop_backup() {
  const std::int64_t pid = to_integer(query_row("SELECT pg_catalog.pg_backend_pid()")[0]);
  if (pid != backend_pid_) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = "the session changed during the backup",
                 .detail = "The connection goes through a pooler; the backup was given up.",
                 .hint = "Let cluster.connection name the server itself."});
  }
  const char* call = version_ >= 15 ? "pg_catalog.pg_backup_stop(false)"
                                    : "pg_catalog.pg_stop_backup(false, false)";
  const Row row = query_row(
      fmt::format("SELECT lsn, labelfile, coalesce(spcmapfile, ''), {} FROM {}", kClock, call));
  return {
      .lsn = to_lsn(row[0]), .at = to_instant(row[3]), .label = row[1], .tablespace_map = row[2]};
}

std::string Server::write_and_switch_segment() {
  query_row("SELECT pg_catalog.pg_create_restore_point('pitr check')");
  // On a segment boundary the switch does nothing, and the point lies in the segment before.
  return query_row("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal())")[0];
}

}  // namespace pitr
