// A PostgreSQL server for a rehearsal: on a private socket, with nothing on that would do its
// origin's work, and gone with us.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "basebackup/child_process.h"
#include "catalog/backup_summary.h"
#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

// The folder of the programs of a PostgreSQL major version: `wanted` (empty: where Debian puts
// them, else what PATH has). What is asked of them is written into `folder`. Throws kSystem when
// there is none, or when they are of another version.
std::string find_server_programs(const std::string& wanted, unsigned version,
                                 const std::string& folder);

struct ScratchServerRequest {
  std::string bin_directory;
  unsigned version = 0;  // major
  std::string data_directory;
  std::string folder;      // for its configuration, log and socket; exists, is ours alone
  std::string connection;  // cluster.connection: its user is one that the cluster has
  StandbySettings standby_settings;
  std::string preload_libraries;
  Watch watch;
};

// The name of a socket in such a folder has to fit into what the kernel takes.
bool has_room_for_socket(const std::string& folder);

// The contents of its postgresql.conf. Pure.
std::string scratch_settings(const ScratchServerRequest& request);

struct ReplayState {
  bool in_recovery = true;
  bool paused = false;
  Lsn replayed_to = 0;                         // end of the last record
  std::optional<Instant> last_transaction_at;  // commit or abort; nothing: none was replayed
};

struct ScratchDatabase {
  std::string name;
  bool has_amcheck = false;
};

// Used by one thread.
class ScratchServer {
 public:
  explicit ScratchServer(ScratchServerRequest request);
  ScratchServer(const ScratchServer&) = delete;
  ScratchServer& operator=(const ScratchServer&) = delete;
  ScratchServer(ScratchServer&&) = delete;
  ScratchServer& operator=(ScratchServer&&) = delete;
  ~ScratchServer();

  void start();
  bool is_running() { return process_ && process_->is_running(); }
  // It has a socket; it need not let anyone in yet.
  bool is_listening() const;
  // Nothing as long as nobody is let in.
  std::optional<ReplayState> replay_state();
  void promote();

  std::vector<ScratchDatabase> databases();
  // The first column of the first row as text; nothing for NULL and for no row. Throws kSystem with
  // the server's words.
  std::optional<std::string> query(const std::string& database, const std::string& sql,
                                   std::chrono::milliseconds timeout);
  // pg_amcheck of one database; `install` adds the extension where it is missing. Empty: no
  // finding; else the first of them.
  std::string amcheck(const std::string& database, unsigned jobs, bool install,
                      std::chrono::milliseconds timeout);

  // What the server, or its restore_command, said last of an error.
  std::string last_words();
  // At once; does nothing where it does not run. The data directory is not to be used again.
  void stop();

 private:
  struct Connection;

  using Row = std::vector<std::optional<std::string>>;

  void find_superuser();
  std::vector<Row> rows(const std::string& database, const std::string& sql,
                        std::chrono::milliseconds timeout);
  ReplayState ask_replay_state();

  ScratchServerRequest request_;
  std::string superuser_;
  std::string log_path_;
  std::unique_ptr<ChildProcess> process_;
  std::unique_ptr<Connection> connection_;
  std::string database_;  // one that lets us in
  int refusals_ = 0;      // of a server that lets in, one after the other
};

// pg_verifybackup over a directory that has not been started yet. Empty: no finding; else the
// first of them.
std::string verify_restored_files(const ScratchServerRequest& request,
                                  std::chrono::milliseconds timeout);

}  // namespace pitr
