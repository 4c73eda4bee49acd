#include "basebackup/connection.h"

#include <vector>

#include <fmt/format.h>

#include "basebackup/server.h"
#include "common/error.h"
#include "common/process.h"
#include "wal/lsn.h"

namespace pitr {

std::string without_line_ends(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  return text;
}

std::int64_t to_integer(const std::string& text) {
  const bool negative = text.starts_with('-');
  const auto number = parse_number(std::string_view(text).substr(negative ? 1 : 0), 10);
  if (!number) {
    throw Error(
        {.kind = ErrorKind::kSystem,
         .message = fmt::format("the server sent \"{}\" where a number was expected", text)});
  }
  const auto value = static_cast<std::int64_t>(*number);
  return negative ? -value : value;
}

std::uint64_t to_lsn(const std::string& text) {
  const auto lsn = parse_lsn(text);
  if (lsn) return *lsn;
  throw Error({.kind = ErrorKind::kSystem,
               .message = fmt::format("the server sent \"{}\" where an LSN was expected", text)});
}

namespace {

struct OptionsFreer {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using OptionsHandle = std::unique_ptr<PQconninfoOption, OptionsFreer>;

OptionsHandle parse_connection_string(const std::string& connection) {
  char* message = nullptr;
  OptionsHandle options(PQconninfoParse(connection.c_str(), &message));
  if (options == nullptr) {
    std::string reason = message != nullptr ? without_line_ends(message) : "out of memory";
    PQfreemem(message);
    // libpq quotes a part of the string, which may be the secret itself.
    if (connection.find("pass") != std::string::npos || connection.find('@') != std::string::npos ||
        connection.find("://") != std::string::npos) {
      reason = "it cannot be parsed";
    }
    throw Error(
        {.kind = ErrorKind::kUsage,
         .message = fmt::format("cluster.connection is not a connection string: {}", reason)});
  }
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr || (keyword != "password" && keyword != "sslpassword")) continue;
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "cluster.connection holds a password",
                 .hint = "Put it into ~/.pgpass or a service file, which others cannot read."});
  }
  return options;
}

}  // namespace

void check_connection_string(const std::string& connection) { parse_connection_string(connection); }

ConnectionHandle connect_to_server(const std::string& connection, const std::string& replication,
                                   const std::string& database) {
  const OptionsHandle options = parse_connection_string(connection);
  const ProcessIdentity self = ProcessIdentity::self();
  const std::string application = fmt::format("pitr {}:{}", self.host.substr(0, 40), self.pid);
  std::vector<const char*> keywords = {"application_name"};
  std::vector<const char*> values = {application.c_str()};
  if (!replication.empty()) {
    keywords.push_back("replication");
    values.push_back(replication.c_str());
  }
  if (!database.empty()) {
    keywords.push_back("dbname");
    values.push_back(database.c_str());
  }
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string_view keyword = option->keyword;
    if (option->val == nullptr || keyword == "application_name" || keyword == "replication")
      continue;
    if (keyword == "dbname" && !database.empty()) continue;
    keywords.push_back(option->keyword);
    values.push_back(option->val);
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  // expand_dbname = 0: a database name is never taken for a connection string.
  ConnectionHandle link(PQconnectdbParams(keywords.data(), values.data(), 0));
  if (PQstatus(link.get()) == CONNECTION_OK) return link;
  throw Error({.kind = ErrorKind::kSystem,
               .message = "could not connect to the server",
               .detail = without_line_ends(PQerrorMessage(link.get())),
               .hint = "Check cluster.connection in the configuration and that the server runs."});
}

void throw_server_error(const PGconn* link, const PGresult* result) {
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
  const bool lost = PQstatus(link) != CONNECTION_OK;
  throw Error({.kind = ErrorKind::kSystem,
               .message = lost ? "lost the server" : "the server refused a query",
               .detail = primary != nullptr ? std::string(primary)
                                            : without_line_ends(PQerrorMessage(link)),
               .hint = hint != nullptr ? hint : ""});
}

}  // namespace pitr
