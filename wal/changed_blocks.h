// Which blocks of which files a stretch of WAL changes: what an incremental backup will have to
// read. Encoding: "Changed blocks" in io/ARCHIVE_FORMAT.md.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "wal/record_events.h"

namespace pitr {

constexpr std::uint32_t kNoBlock = 0xFFFF'FFFF;  // InvalidBlockNumber

struct ChangedFork {
  RelationFile file;
  Fork fork = Fork::kMain;
  std::uint32_t from = kNoBlock;      // everything from this block on
  std::vector<std::uint32_t> blocks;  // sorted, each once

  bool operator==(const ChangedFork&) const = default;
};

struct ChangedBlocks {
  bool omitted = false;                  // too many: read the WAL itself
  std::vector<std::uint32_t> databases;  // made or dropped as a whole, by OID
  std::vector<ChangedFork> forks;        // by file, then fork

  bool operator==(const ChangedBlocks&) const = default;
};

std::vector<std::byte> encode_changed_blocks(const ChangedBlocks& changed);
// Throws kCorrupt for bytes that were not encoded by the function above.
ChangedBlocks decode_changed_blocks(ByteSpan bytes);

// Collects them record by record. Memory: at most 8 MiB. Not thread-safe.
class ChangedBlockCollector {
 public:
  ChangedBlockCollector();

  void add(const BlockReference& block);
  void add_from(const RelationFile& file, Fork fork, std::uint32_t block);
  void add_database(std::uint32_t oid);

  // Highest block of a fork that was added, and 1; 0: none was.
  std::uint32_t length_of(const RelationFile& file, Fork fork) const;

  ChangedBlocks finish();

 private:
  struct ForkState {
    RelationFile file;
    Fork fork = Fork::kMain;
    std::uint32_t from = kNoBlock;
    std::uint32_t length = 0;
  };
  struct ForkHash {
    std::size_t operator()(const std::pair<RelationFile, Fork>& key) const;
  };

  std::uint32_t state_of(const RelationFile& file, Fork fork);
  void insert(std::uint64_t key);
  void grow();

  static constexpr std::size_t kFirstCapacity = 8192;
  static constexpr std::size_t kMostBlocks = std::size_t{1} << 18;
  static constexpr std::size_t kMostForks = 20'000;

  bool omitted_ = false;
  std::vector<std::uint32_t> databases_;
  std::unordered_map<std::pair<RelationFile, Fork>, std::uint32_t, ForkHash> states_by_fork_;
  std::vector<ForkState> states_;
  std::uint32_t last_state_ = 0;  // of the fork that was added last
  // Number of the state, then block: an open-addressing set; kFree marks a free place.
  std::vector<std::uint64_t> keys_;
  std::size_t key_count_ = 0;
};

}  // namespace pitr
