// The evidence in a stretch of WAL that relations were made, dropped, truncated or rewritten. One
// transaction's may be spread over segments, so it is kept as it was found; who asks puts it
// together. Encoding: "Relation changes" in io/ARCHIVE_FORMAT.md.
#pragma once

#include <cstdint>
#include <vector>

#include "wal/record_events.h"

namespace pitr {

// A relation's file that was created (XLOG_SMGR_CREATE of its main fork, or of the init fork of an
// unlogged relation), and how many blocks of its main fork the WAL had touched by the end of its
// transaction, or of the segment.
struct CreatedFile {
  Lsn start = 0;  // of the record
  std::uint32_t xid = 0;
  RelationFile file;
  std::uint32_t length = 0;

  bool operator==(const CreatedFile&) const = default;
};

struct RelationChanges {
  bool omitted = false;               // more than kMostOfAKind of something: read the WAL itself
  std::vector<RelationLock> locks;    // sorted, each once
  std::vector<CreatedFile> created;   // in LSN order
  std::vector<TransactionEnd> drops;  // commits that dropped files, in LSN order
  std::vector<RelationName> names;    // in LSN order

  bool empty() const {
    return !omitted && locks.empty() && created.empty() && drops.empty() && names.empty();
  }
  bool operator==(const RelationChanges&) const = default;

  static constexpr std::size_t kMostOfAKind = 65536;
};

std::vector<std::byte> encode_relation_changes(const RelationChanges& changes);
// Throws kCorrupt for bytes that were not encoded by the function above.
RelationChanges decode_relation_changes(ByteSpan bytes);

}  // namespace pitr
