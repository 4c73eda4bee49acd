#include "basebackup/scratch_server.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <sstream>

#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/connection.h"
#include "basebackup/recovery_settings.h"
#include "common/error.h"
#include "io/file.h"

namespace pitr {

namespace {

using std::chrono::milliseconds;

constexpr const char* kSocketName = ".s.PGSQL.5432";
constexpr milliseconds kOwnTimeout{30'000};  // of our own questions to the catalogs

bool is_program(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

// The last `limit` bytes of a text file; empty when it cannot be read.
std::string end_of_file(const std::string& path, std::size_t limit = 64UL << 10) {
  try {
    const File file = File::open_for_read(path);
    const std::uint64_t size = file.size();
    std::string text(std::min<std::uint64_t>(size, limit), '\0');
    text.resize(file.read_at(size - text.size(), std::as_writable_bytes(std::span(text))));
    return text;
  } catch (const Error&) {
    return {};
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    line.erase(0, line.find_first_not_of(" \t"));
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

// Of what a program of PostgreSQL found, the first: what, and on the next line what is wrong.
std::string first_finding(const std::string& output_path, const std::string& otherwise) {
  constexpr std::size_t kLongest = 500;
  std::string text;
  try {
    text = read_whole_file(output_path);
  } catch (const Error&) {
    return otherwise;
  }
  const std::vector<std::string> lines = lines_of(text);
  if (lines.empty()) return otherwise;
  std::string found = lines[0];
  if (found.ends_with(':') && lines.size() > 1) found += " " + lines[1];
  return found.substr(0, kLongest);
}

// "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)"; 0: it says something else.
unsigned version_of(const std::string& program, const std::string& folder) {
  const std::string output = folder + "/version.log";
  constexpr std::int64_t kTimeoutMs = 10'000;
  unlink(output.c_str());
  const auto status = run_program({program, "--version"}, output, kTimeoutMs, [] {});
  const std::string text = end_of_file(output);
  constexpr std::string_view kProduct = "(PostgreSQL) ";
  const std::size_t place = text.find(kProduct);
  if (status != 0 || place == std::string::npos) return 0;
  return static_cast<unsigned>(std::strtoul(text.c_str() + place + kProduct.size(), nullptr, 10));
}

std::vector<std::string> folders_of_path(const std::string& folder) {
  std::vector<std::string> found;
  const char* path = std::getenv("PATH");
  std::istringstream stream(path == nullptr ? "" : path);
  for (std::string place; std::getline(stream, place, ':');) {
    if (!place.starts_with('/')) continue;
    if (is_program(place + "/postgres")) found.push_back(place);
    if (!is_program(place + "/pg_config")) continue;
    const std::string output = folder + "/pg_config.log";
    constexpr std::int64_t kTimeoutMs = 10'000;
    unlink(output.c_str());
    run_program({place + "/pg_config", "--bindir"}, output, kTimeoutMs, [] {});
    for (const std::string& line : lines_of(end_of_file(output)))
      found.push_back(line);
  }
  return found;
}

// libpq and PostgreSQL's programs take from these what we do not say.
void forget_environment_of_libpq() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (text.starts_with("PG")) names.emplace_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names)
    unsetenv(name.c_str());
}

// The user of a connection string; empty: it names none.
std::string user_of(const std::string& connection) {
  std::string user;
  PQconninfoOption* options = PQconninfoParse(connection.c_str(), nullptr);
  for (const PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr;
       ++option) {
    if (std::string_view(option->keyword) == "user" && option->val != nullptr) user = option->val;
  }
  PQconninfoFree(options);
  return user;
}

std::string quote_for_connection(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

}  // namespace

std::string find_server_programs(const std::string& wanted, unsigned version,
                                 const std::string& folder) {
  std::vector<std::string> places;
  if (wanted.empty()) {
    places = folders_of_path(folder);
    places.insert(places.begin(), fmt::format("/usr/lib/postgresql/{}/bin", version));
  } else {
    places.push_back(wanted);
  }
  std::string others;
  for (const std::string& place : places) {
    if (!is_program(place + "/postgres")) continue;
    const unsigned found = version_of(place + "/postgres", folder);
    if (found == version) return place;
    others += fmt::format("{}\"{}\" is {}", others.empty() ? "" : ", ", place,
                          found == 0 ? "none that says its version" : fmt::to_string(found));
  }
  throw Error({.kind = ErrorKind::kSystem,
               .message = fmt::format("the programs of PostgreSQL {} are not there", version),
               .detail = others.empty() ? fmt::format("There is no postgres in {}.",
                                                      wanted.empty() ? "PATH" : wanted)
                                        : fmt::format("Of version: {}.", others),
               .hint = "Name their folder: --bin-dir DIR, or drill.bin_directory."});
}

bool has_room_for_socket(const std::string& folder) {
  return folder.size() + 1 + std::string_view(kSocketName).size() < sizeof(sockaddr_un::sun_path);
}

// "Clones" of what PostgreSQL and its extensions start by themselves: nothing of it here.
std::string scratch_settings(const ScratchServerRequest& request) {
  const StandbySettings& standby = request.standby_settings;
  std::vector<std::pair<std::string, std::string>> settings = {
      {"cluster_name", "pitr drill"},
      {"listen_addresses", ""},
      {"port", "5432"},
      {"unix_socket_directories", request.folder},
      {"unix_socket_permissions", "0700"},
      {"hba_file", request.folder + "/pg_hba.conf"},
      {"ident_file", request.folder + "/pg_ident.conf"},
      {"ssl", "off"},
      {"hot_standby", "on"},
      {"archive_mode", "off"},
      {"primary_conninfo", ""},
      {"primary_slot_name", ""},
      {"max_logical_replication_workers", "0"},
      {"max_sync_workers_per_subscription", "0"},
      {"autovacuum", "off"},
      {"shared_preload_libraries", request.preload_libraries},
      {"session_preload_libraries", ""},
      {"local_preload_libraries", ""},
      {"timescaledb.max_background_workers", "0"},
      {"cron.launch_active_jobs", "off"},
      {"logging_collector", "off"},
      {"log_destination", "stderr"},
      {"log_line_prefix", "%m [%p] "},
      {"lc_messages", "C"},
      // A server in recovery stops where these are lower than its origin's.
      {"max_connections", std::to_string(standby.max_connections)},
      {"max_worker_processes", std::to_string(standby.max_worker_processes)},
      {"max_wal_senders", std::to_string(standby.max_wal_senders)},
      {"max_prepared_transactions", std::to_string(standby.max_prepared_transactions)},
      {"max_locks_per_transaction", std::to_string(standby.max_locks_per_transaction)}};
  constexpr unsigned kFirstWithLoginTriggers = 17;
  if (request.version >= kFirstWithLoginTriggers) {
    settings.emplace_back("sync_replication_slots", "off");
    settings.emplace_back("event_triggers", "off");
  }
  std::string text = "# Written by pitr drill.\n";
  for (const auto& [name, value] : settings)
    text += fmt::format("{} = {}\n", name, quote_for_file(value));
  return text;
}

struct ScratchServer::Connection {
  ConnectionHandle link;
  std::string database;
};

ScratchServer::ScratchServer(ScratchServerRequest request)
    : request_(std::move(request)), log_path_(request_.folder + "/server.log") {}

ScratchServer::~ScratchServer() { stop(); }

void ScratchServer::start() {
  forget_environment_of_libpq();
  replace_file(request_.folder + "/postgresql.conf", scratch_settings(request_));
  replace_file(request_.folder + "/pg_hba.conf", "local all all trust\n");
  replace_file(request_.folder + "/pg_ident.conf", "");
  // An immediate shutdown, should we be killed: the postmaster takes its children with it.
  process_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{request_.bin_directory + "/postgres", "-D", request_.data_directory,
                               "-c", "config_file=" + request_.folder + "/postgresql.conf"},
      log_path_, SIGQUIT);
}

bool ScratchServer::is_listening() const {
  return access((request_.folder + "/" + kSocketName).c_str(), F_OK) == 0;
}

namespace {

// ALTER ROLE or DATABASE … SET may ask for more, and a hot standby cannot be serializable.
constexpr const char* kSettingsOfSessions = "-c default_transaction_isolation=repeatable\\ read";

ConnectionHandle connect_to_scratch(const std::string& folder, const std::string& user,
                                    const std::string& database) {
  const std::vector<std::pair<const char*, const char*>> parameters = {
      {"host", folder.c_str()},         {"port", "5432"},
      {"user", user.c_str()},           {"dbname", database.c_str()},
      {"application_name", "pitr"},     {"connect_timeout", "20"},
      {"client_encoding", "SQL_ASCII"}, {"options", kSettingsOfSessions}};
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : parameters) {
    keywords.push_back(keyword);
    values.push_back(value);
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  ConnectionHandle link(PQconnectdbParams(keywords.data(), values.data(), 0));
  if (PQstatus(link.get()) == CONNECTION_OK) return link;
  throw Error(
      {.kind = ErrorKind::kSystem,
       .message = fmt::format("could not connect to database \"{}\" as \"{}\"", database, user),
       .detail = without_line_ends(PQerrorMessage(link.get()))});
}

ResultHandle wait_for_result(PGconn* link, const Watch& watch) {
  constexpr int kPollMs = 100;
  ResultHandle result;
  while (true) {
    while (PQisBusy(link) != 0) {
      pollfd socket{.fd = PQsocket(link), .events = POLLIN, .revents = 0};
      poll(&socket, 1, kPollMs);
      watch();
      if (PQconsumeInput(link) == 0) throw_server_error(link, nullptr);
    }
    ResultHandle next(PQgetResult(link));
    if (!next) return result;
    result = std::move(next);
  }
}

ResultHandle execute(PGconn* link, const std::string& sql, const Watch& watch) {
  // One statement only: the answer to several would be ambiguous.
  if (PQsendQueryParams(link, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0) {
    throw_server_error(link, nullptr);
  }
  ResultHandle result = wait_for_result(link, watch);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    throw_server_error(link, result.get());
  }
  return result;
}

}  // namespace

std::vector<ScratchServer::Row> ScratchServer::rows(const std::string& database,
                                                    const std::string& sql,
                                                    std::chrono::milliseconds timeout) {
  if (!connection_ || connection_->database != database ||
      PQstatus(connection_->link.get()) != CONNECTION_OK) {
    connection_.reset();
    connection_ = std::make_unique<Connection>(
        Connection{connect_to_scratch(request_.folder, superuser_, database), database});
  }
  PGconn* link = connection_->link.get();
  execute(link, fmt::format("SET statement_timeout = {}", timeout.count()), request_.watch);
  const ResultHandle result = execute(link, sql, request_.watch);
  std::vector<Row> found;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    Row& columns = found.emplace_back();
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      columns.emplace_back();
      if (PQgetisnull(result.get(), row, column) != 0) continue;
      columns.back() = PQgetvalue(result.get(), row, column);
    }
  }
  return found;
}

// Only that some role may log in is known before; it tells who may do everything.
void ScratchServer::find_superuser() {
  std::vector<std::string> users = {user_of(request_.connection), "postgres"};
  if (const char* login = std::getenv("USER")) users.emplace_back(login);
  std::optional<Error> first_error;
  for (const std::string& user : users) {
    if (user.empty()) continue;
    for (const char* database : {"postgres", "template1"}) {
      try {
        superuser_ = user;
        const auto found = rows(database,
                                "SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10"
                                " AND rolcanlogin",
                                kOwnTimeout);
        if (!found.empty()) superuser_ = found[0][0].value_or(user);
        connection_.reset();
        database_ = database;
        return;
      } catch (const Error& error) {
        if (!first_error) first_error = error;
      }
    }
  }
  superuser_.clear();
  throw Error(*first_error);
}

ReplayState ScratchServer::ask_replay_state() {
  if (superuser_.empty() || database_.empty()) find_superuser();
  constexpr unsigned kFirstWithPauseState = 14;
  const auto found =
      rows(database_,
           fmt::format("SELECT pg_catalog.pg_is_in_recovery(),"
                       " CASE WHEN pg_catalog.pg_is_in_recovery() THEN {} END,"
                       " pg_catalog.pg_last_wal_replay_lsn(),"
                       " (extract(epoch from pg_catalog.pg_last_xact_replay_timestamp())"
                       " * 1000000)::bigint",
                       request_.version >= kFirstWithPauseState
                           ? "pg_catalog.pg_get_wal_replay_pause_state() = 'paused'"
                           : "pg_catalog.pg_is_wal_replay_paused()"),
           kOwnTimeout);
  const Row& row = found.at(0);
  ReplayState state{.in_recovery = row[0] == "t", .paused = row[1] == "t"};
  if (row[2]) state.replayed_to = to_lsn(*row[2]);
  if (row[3]) state.last_transaction_at = Instant(std::chrono::microseconds(to_integer(*row[3])));
  return state;
}

std::optional<ReplayState> ScratchServer::replay_state() {
  const char* keywords[] = {"host", "port", "connect_timeout", nullptr};
  const char* values[] = {request_.folder.c_str(), "5432", "20", nullptr};
  if (PQpingParams(keywords, values, 0) != PQPING_OK) return std::nullopt;
  try {
    ReplayState state = ask_replay_state();
    refusals_ = 0;
    return state;
  } catch (const Error&) {
    // It may be about to end; what lasts is told.
    constexpr int kMostRefusals = 100;
    if (++refusals_ > kMostRefusals) throw;
    return std::nullopt;
  }
}

void ScratchServer::promote() {
  // An immediate answer: the caller waits, and watches.
  rows(database_, "SELECT pg_catalog.pg_promote(false)", kOwnTimeout);
}

std::vector<ScratchDatabase> ScratchServer::databases() {
  std::vector<ScratchDatabase> found;
  // One that is being dropped (datconnlimit -2) lets nobody in.
  for (const Row& row : rows(database_,
                             "SELECT datname FROM pg_catalog.pg_database"
                             " WHERE datallowconn AND datconnlimit <> -2 ORDER BY datname",
                             kOwnTimeout)) {
    found.push_back({.name = row[0].value_or("")});
  }
  for (ScratchDatabase& database : found) {
    database.has_amcheck =
        !rows(database.name, "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'amcheck'",
              kOwnTimeout)
             .empty();
  }
  return found;
}

std::optional<std::string> ScratchServer::query(const std::string& database, const std::string& sql,
                                                std::chrono::milliseconds timeout) {
  const auto found = rows(database, sql, timeout);
  if (found.empty() || found[0].empty()) return std::nullopt;
  return found[0][0];
}

std::string ScratchServer::amcheck(const std::string& database, unsigned jobs, bool install,
                                   std::chrono::milliseconds timeout) {
  const std::string output = request_.folder + "/amcheck.log";
  unlink(output.c_str());
  std::vector<std::string> arguments = {request_.bin_directory + "/pg_amcheck",
                                        "--no-password",
                                        "--host=" + request_.folder,
                                        "--port=5432",
                                        "--username=" + superuser_,
                                        fmt::format("--jobs={}", jobs)};
  if (install) arguments.emplace_back("--install-missing=pg_catalog");
  arguments.push_back(fmt::format("dbname={} options={}", quote_for_connection(database),
                                  quote_for_connection(kSettingsOfSessions)));
  const auto status = run_program(arguments, output, timeout.count(), request_.watch);
  if (!status) return fmt::format("it took longer than {} s", timeout.count() / 1000);
  return *status == 0 ? "" : first_finding(output, describe_wait_status(*status));
}

// pitr-restore's own words say why a file could not be had; PostgreSQL says only that it could not.
std::string ScratchServer::last_words() {
  std::string own;
  std::string server;
  std::string last;
  for (const std::string& line : lines_of(end_of_file(log_path_))) {
    last = line;
    constexpr std::string_view kError = "ERROR:  ";
    if (line.starts_with(kError)) own = line.substr(kError.size());
    for (const std::string_view word : {"FATAL:  ", "PANIC:  "}) {
      const std::size_t place = line.find(word);
      // "the database system is starting up": an answer to our own questions
      if (place == std::string::npos || line.find("the database system is") != std::string::npos)
        continue;
      server = line.substr(place + word.size());
    }
  }
  if (!own.empty()) return own;
  if (!server.empty()) return server;
  if (!last.empty()) return last;
  return process_ ? describe_wait_status(process_->wait_status()) : "";
}

void ScratchServer::stop() {
  connection_.reset();
  if (!process_) return;
  constexpr int kPatienceMs = 10'000;  // it gives its children 5 s
  process_->send(SIGQUIT);
  process_->wait_for_end(kPatienceMs);
  process_.reset();
}

std::string verify_restored_files(const ScratchServerRequest& request,
                                  std::chrono::milliseconds timeout) {
  const std::string output = request.folder + "/verifybackup.log";
  const auto status = run_program({request.bin_directory + "/pg_verifybackup", "--no-parse-wal",
                                   "--quiet", request.data_directory},
                                  output, timeout.count(), request.watch);
  if (!status) return fmt::format("it took longer than {} s", timeout.count() / 1000);
  return *status == 0 ? "" : first_finding(output, describe_wait_status(*status));
}

}  // namespace pitr
