// The two manifests of a base backup: ours, which says where each file's contents are stored, and
// PostgreSQL's backup_manifest, with which pg_verifybackup checks a restored directory.
// Formats: basebackup/BASE_BACKUP.md, and "Backup Manifest Format" in PostgreSQL's documentation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/time.h"
#include "io/checksum.h"
#include "io/sha256.h"
#include "wal/lsn.h"

namespace pitr {

// A piece of a file's contents: `length` bytes of the raw contents of a stored object, from
// `position` on, are the file's bytes from `file_offset` on.
struct Extent {
  std::string object;
  std::uint64_t position = 0;
  std::uint64_t length = 0;
  std::uint64_t file_offset = 0;

  bool operator==(const Extent&) const = default;
};

// One line of our manifest.
struct ManifestEntry {
  enum class Type { kFile, kDirectory, kTablespace };
  Type type = Type::kFile;
  std::string path;    // any bytes but NUL
  std::string target;  // kTablespace
  std::uint32_t mode = 0;
  std::uint32_t user = 0;  // owner, by number
  std::uint32_t group = 0;
  Instant modified_at;
  std::uint64_t size = 0;
  std::uint32_t crc32c = 0;  // of the whole contents, for PostgreSQL's manifest
  Hash128 hash{};            // XXH3-128 of the whole contents
  std::vector<Extent> extents;

  bool operator==(const ManifestEntry&) const = default;
};

// One line of JSON, with its line end.
std::string to_json_line(const ManifestEntry& entry);
// Throws kCorrupt for anything that to_json_line() does not write, and for a path that would lead
// out of the data directory.
ManifestEntry parse_json_line(std::string_view line);

// Cuts raw bytes that arrive in pieces into lines.
class LineSplitter {
 public:
  template <typename Consumer>
  void feed(ByteSpan bytes, const Consumer& consumer) {
    pending_ += as_text(bytes);
    std::size_t begin = 0;
    for (std::size_t end = pending_.find('\n'); end != std::string::npos;
         end = pending_.find('\n', begin)) {
      consumer(std::string_view(pending_).substr(begin, end - begin));
      begin = end + 1;
    }
    pending_.erase(0, begin);
  }

 private:
  std::string pending_;
};

// PostgreSQL's backup_manifest as a stream: begin(), add() for each file, finish(). Each returns
// the text to be written.
class PostgresManifest {
 public:
  PostgresManifest(unsigned postgres_version, std::uint64_t system_identifier);

  std::string begin();
  std::string add(std::string_view path, std::uint64_t size, Instant modified_at,
                  std::uint32_t crc32c);
  std::string finish(TimelineId timeline, Lsn start_lsn, Lsn stop_lsn);

 private:
  std::string hashed(std::string text);

  unsigned version_;
  std::uint64_t system_identifier_;
  bool first_ = true;
  Sha256 hash_;
};

// Throws kCorrupt unless a path is relative, without empty, "." or ".." parts.
void check_relative_path(std::string_view path);

}  // namespace pitr
