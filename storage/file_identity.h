// Whose an archived file is and what it is: the identity section of its trailer. A file that was
// swapped with another, or that belongs to another cluster, is found out by it.
// Encoding: "Identity" in io/ARCHIVE_FORMAT.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/time.h"
#include "wal/page_header.h"

namespace pitr {

// Stored in files: never renumbered.
enum class FileKind : std::uint16_t {
  kSegment = 1,
  kPartialSegment = 2,
  kHistory = 3,
  kBackupHistory = 4,
  kTail = 5,  // the beginning of a segment that was not written to its end
  kClusterRecord = 6,
  kBackupData = 7,      // contents of data files
  kBackupSideFile = 8,  // PostgreSQL's label, manifest, configuration
  kBackupManifest = 9,
  kRelationMap = 10,  // names of relations at one moment
  kPin = 11,          // a base backup that retention leaves alone
  kHold = 12,         // a process that needs what is stored, or removes from it
  kExpiry = 13,       // what retention has removed
};

struct FileIdentity {
  FileKind kind = FileKind::kSegment;
  std::string name;  // the WAL file's name, or the key's last parts: unique within the cluster
  std::string cluster_name;
  ClusterIdentity cluster;
  TimelineId timeline = 0;
  Lsn start_lsn = 0;  // of WAL: first byte, and the byte after the last
  Lsn end_lsn = 0;
  Instant created_at;
};

std::vector<std::byte> encode_identity(const FileIdentity& identity);

// Throws kCorrupt.
FileIdentity decode_identity(ByteSpan bytes);

}  // namespace pitr
