// A base backup over the replication protocol: the server sends its files itself, where the data
// directory cannot be read. "Streaming Replication Protocol", BASE_BACKUP, in PostgreSQL's
// documentation; the grammar and the shape of the stream changed in version 15.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "basebackup/connection.h"
#include "catalog/backup_summary.h"
#include "common/bytes.h"
#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

struct StreamStart {
  Lsn lsn = 0;
  TimelineId timeline = 0;
  std::vector<BackupTablespace> tablespaces;
};

// Not thread-safe. Every function throws kSystem when the server cannot answer.
class BackupStream {
 public:
  explicit BackupStream(const std::string& connection);

  // The history file of a timeline that the server knows.
  std::string timeline_history(TimelineId timeline);

  StreamStart begin(const std::string& label, bool fast);

  // Hands on the tar archives: `on_archive` before each, with the tablespace's oid (0: the data
  // directory), then its bytes in pieces of any size.
  void read(const std::function<void(std::uint32_t oid)>& on_archive,
            const std::function<void(ByteSpan bytes)>& on_data);

  Lsn finish();  // the stop LSN; the server has left backup mode

 private:
  void read_archives(const std::function<void(std::uint32_t oid)>& on_archive,
                     const std::function<void(ByteSpan bytes)>& on_data);
  void read_copy(const std::function<void(ByteSpan message)>& on_message);

  ConnectionHandle link_;
  unsigned version_;
  std::vector<std::uint32_t> archive_oids_;  // before 15: of each archive, in order
};

// Cuts a tar archive, as PostgreSQL writes it, into its members. Members of other kinds than files
// and folders are passed over (links stand for tablespaces, which are named elsewhere).
class TarReader {
 public:
  struct Member {
    bool is_folder = false;
    std::string path;
    std::uint64_t size = 0;
    std::uint32_t mode = 0;
    std::uint32_t user = 0;
    std::uint32_t group = 0;
    Instant modified_at;
  };
  struct Visitor {
    std::function<void(const Member&)> on_member;
    std::function<void(ByteSpan)> on_data;
    std::function<void()> on_end;  // of a file
  };

  explicit TarReader(Visitor visitor) : visitor_(std::move(visitor)) {}

  // Throws kCorrupt for bytes that are no tar archive.
  void feed(ByteSpan bytes);
  // Throws kCorrupt when the archive ended inside a member.
  void finish() const;

 private:
  void begin_member();

  Visitor visitor_;
  std::vector<std::byte> header_;
  bool in_file_ = false;            // a file that the visitor wants
  std::uint64_t data_left_ = 0;     // of the member
  std::uint64_t padding_left_ = 0;  // up to the next block
};

}  // namespace pitr
