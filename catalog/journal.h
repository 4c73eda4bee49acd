// The journal: what pitr-archive tells the catalog without opening it.
//
// RocksDB has one writer, and opening it takes milliseconds that archiving does not have. So each
// archived file is one checksummed record appended to a file; whoever opens the catalog takes the
// records in. A lost record costs nothing: the catalog reconciles itself with the repository.
// Format: "The journal" in catalog/CATALOG.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/time.h"
#include "storage/repository_layout.h"

namespace pitr {

// A stored WAL file as the catalog wants to know it.
struct WalFileEntry {
  ClusterKey cluster;
  std::string key;
  std::uint64_t raw_bytes = 0;
  std::uint64_t stored_bytes = 0;
  Instant archived_at;
  std::vector<std::byte> index;  // encode_index(); empty for files without pages

  bool operator==(const WalFileEntry&) const = default;
};

std::vector<std::byte> encode_entry(const WalFileEntry& entry);
// Throws kCorrupt.
WalFileEntry decode_entry(ByteSpan bytes);

// Any number of processes may append at once; none of them ever waits for the catalog.
class Journal {
 public:
  explicit Journal(std::string state_directory);

  // Throws kSystem. The caller warns and goes on: the file itself is safe in the repository.
  void append(const WalFileEntry& entry) const;

  // Hands over every whole record, oldest first, and changes nothing.
  void visit(const std::function<void(const WalFileEntry&)>& consumer) const;

  // Hands over every whole record, oldest first, then drops them. Only one process at a time may
  // call it: the one that holds the catalog. A torn or damaged record is passed over. Records are
  // dropped only after `consumer` and then `finish` have returned; taking one twice is harmless.
  void take(const std::function<void(const WalFileEntry&)>& consumer,
            const std::function<void()>& finish) const;

 private:
  std::string directory_;
  std::string path_;
};

}  // namespace pitr
