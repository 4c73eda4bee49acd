// The only door to a PostgreSQL server.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

// What a base backup and `check` must know of a server.
struct ServerFacts {
  unsigned version = 0;  // major
  std::uint64_t system_identifier = 0;
  std::string data_directory;
  bool in_recovery = false;
  std::string archive_mode;
  std::string archive_command;
  std::string archive_library;  // empty before version 15
  std::string wal_level;
  std::string config_file;
  std::string hba_file;
  std::string ident_file;
  std::int64_t postmaster_started_at = 0;  // seconds since the Unix epoch
  std::int32_t backend_pid = 0;
};

// Throws kUsage for what libpq cannot parse, and for a password: the configuration holds no secret.
void check_connection_string(const std::string& connection);

struct ArchiverState {
  std::string last_archived_wal;
  std::string last_failed_wal;
  std::int64_t archived_count = 0;
  std::int64_t failed_count = 0;
  bool is_failing = false;  // the last attempt failed
  std::optional<Instant> last_archived_at;
  std::optional<Instant> last_failed_at;
};

// Up to where the server has written WAL; a standby: received, else replayed.
struct WalPosition {
  Lsn lsn = 0;
  TimelineId timeline = 0;
  bool in_recovery = false;
};

struct BackupStart {
  Lsn lsn = 0;
  Instant at;
};

struct BackupStop {
  Lsn lsn = 0;
  Instant at;
  std::string label;           // backup_label, byte for byte
  std::string tablespace_map;  // byte for byte; empty without tablespaces
};

// One session. Not thread-safe. Every function throws kSystem when the server cannot answer.
class Server {
 public:
  // A libpq connection string. Passwords come from .pgpass or a service file.
  explicit Server(const std::string& connection);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;
  ~Server();

  // From now on an answer that takes longer is none.
  void limit_answers(std::chrono::seconds limit);

  ServerFacts facts();
  ArchiverState archiver_state();
  Lsn current_lsn();
  WalPosition wal_position();
  std::string setting(const std::string& name);    // empty where there is no such setting
  std::vector<std::string> configuration_files();  // every file that a setting in force came from

  // What the role lacks for backups and checks, in words; empty: nothing. And whether it is a
  // superuser, which is more than pitr needs.
  struct Privileges {
    std::vector<std::string> missing;
    bool is_superuser = false;
  };
  Privileges privileges();

  // Who else of us is taking a backup of this cluster; nothing: this session now holds the right
  // to.
  std::optional<std::string> acquire_backup_right();

  // One session must stay open from start to stop: losing it ends backup mode without a backup.
  BackupStart start_backup(const std::string& label, bool fast);
  BackupStop stop_backup();

  // Writes a restore point, so that a switch has something to close, and switches the segment.
  // Returns the name of the segment that will now be archived.
  std::string write_and_switch_segment();

 private:
  struct Connection;

  using Row = std::vector<std::string>;
  Row query_row(const std::string& sql, const std::vector<std::string>& parameters = {});

  std::unique_ptr<Connection> connection_;
  unsigned version_ = 0;
  std::int32_t backend_pid_ = 0;
};

}  // namespace pitr
