// A libpq connection, and how ours are made.
#pragma once

#include <memory>
#include <string>

#include <libpq-fe.h>

namespace pitr {

struct ConnectionCloser {
  void operator()(PGconn* link) const { PQfinish(link); }
};
using ConnectionHandle = std::unique_ptr<PGconn, ConnectionCloser>;

struct ResultClearer {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ResultClearer>;

// `connection` is a libpq string; passwords come from .pgpass or a service file. `replication` is
// empty, or the value of libpq's option of that name; `database` is empty, or another one than the
// string's. The session names this host and process.
ConnectionHandle connect_to_server(const std::string& connection, const std::string& replication,
                                   const std::string& database = {});

// Throws kSystem with the server's words.
[[noreturn]] void throw_server_error(const PGconn* link, const PGresult* result);

std::string without_line_ends(std::string text);

// What a field holds; throw kSystem for something else.
std::int64_t to_integer(const std::string& text);
std::uint64_t to_lsn(const std::string& text);

}  // namespace pitr
