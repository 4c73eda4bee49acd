#include "wal/changed_blocks.h"

#include <map>
#include <random>
#include <set>
#include <tuple>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"

namespace pitr {

using testing::Bytes;
using testing::error_kind_of;

namespace {

// The same numbers for the same seed, of 32 bits.
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::uint32_t operator()() { return static_cast<std::uint32_t>(engine_()); }

 private:
  std::mt19937 engine_;
};

constexpr RelationFile kFile{.tablespace = 1663, .database = 5, .number = 16384};
constexpr RelationFile kOther{.tablespace = 1663, .database = 5, .number = 16390};

BlockReference block_of(const RelationFile& file, std::uint32_t block, Fork fork = Fork::kMain) {
  return {.file = file, .fork = fork, .block = block};
}

// What the collector should say, the plain way.
struct Model {
  struct State {
    std::set<std::uint32_t> blocks;
    std::uint32_t from = kNoBlock;
  };
  std::map<std::pair<RelationFile, Fork>, State> forks;
  std::set<std::uint32_t> databases;

  void add(const BlockReference& block) {
    forks[{block.file, block.fork}].blocks.insert(block.block);
  }
  void add_from(const RelationFile& file, Fork fork, std::uint32_t block) {
    State& state = forks[{file, fork}];
    state.from = std::min(state.from, block);
  }
};

// The set of blocks that a fork's entry stands for, as blocks below `from` and `from`.
void check_same(const ChangedBlocks& changed, const Model& model) {
  REQUIRE_FALSE(changed.omitted);
  CHECK(changed.databases ==
        std::vector<std::uint32_t>(model.databases.begin(), model.databases.end()));
  REQUIRE(changed.forks.size() == model.forks.size());
  std::size_t i = 0;
  for (const auto& [key, state] : model.forks) {
    const ChangedFork& fork = changed.forks[i++];
    CHECK(fork.file == key.first);
    CHECK(fork.fork == key.second);
    CHECK(fork.from == state.from);
    CHECK(std::is_sorted(fork.blocks.begin(), fork.blocks.end()));
    CHECK(std::adjacent_find(fork.blocks.begin(), fork.blocks.end()) == fork.blocks.end());
    const auto below = [&](const auto& blocks) {
      std::vector<std::uint32_t> kept;
      std::copy_if(blocks.begin(), blocks.end(), std::back_inserter(kept),
                   [&](std::uint32_t block) { return block < state.from; });
      return kept;
    };
    CHECK(below(fork.blocks) == below(state.blocks));
    for (const std::uint32_t block : fork.blocks)
      CHECK(state.blocks.contains(block));
  }
}

ChangedBlocks some_changed() {
  ChangedBlockCollector collector;
  for (std::uint32_t block = 10; block < 40; ++block)
    collector.add(block_of(kFile, block));
  collector.add(block_of(kFile, 100));
  collector.add(block_of(kFile, 0xFFFFFFFE));
  collector.add(block_of(kFile, 0, Fork::kVisibilityMap));
  collector.add_from(kOther, Fork::kMain, 7);
  collector.add(block_of(kOther, 3));
  collector.add_database(16384);
  collector.add_database(5);
  return collector.finish();
}

// Decodes; nothing but kCorrupt may come of it.
void decode_anything(ByteSpan bytes) {
  try {
    const ChangedBlocks changed = decode_changed_blocks(bytes);
    // What is accepted is in order, so that who reads it need not sort it.
    for (const ChangedFork& fork : changed.forks) {
      if (!std::is_sorted(fork.blocks.begin(), fork.blocks.end())) FAIL("blocks are not sorted");
    }
  } catch (const Error& error) {
    if (error.report().kind != ErrorKind::kCorrupt) FAIL(error.report().message);
  }
}

}  // namespace

TEST_CASE("nothing is changed by nothing", "[wal]") {
  ChangedBlockCollector collector;
  CHECK(collector.length_of(kFile, Fork::kMain) == 0);
  CHECK(collector.finish() == ChangedBlocks{});
  CHECK(decode_changed_blocks(encode_changed_blocks({})) == ChangedBlocks{});
}

TEST_CASE("a block that changes many times is one block", "[wal]") {
  ChangedBlockCollector collector;
  for (int i = 0; i < 1000; ++i) {
    collector.add(block_of(kFile, 9));
    collector.add(block_of(kFile, 3));
  }
  const ChangedBlocks changed = collector.finish();
  REQUIRE(changed.forks.size() == 1);
  CHECK(changed.forks[0].blocks == std::vector<std::uint32_t>{3, 9});
  CHECK(changed.forks[0].from == kNoBlock);
}

TEST_CASE("forks come by file, then fork, whatever order they changed in", "[wal]") {
  ChangedBlockCollector collector;
  collector.add(block_of(kOther, 1));
  collector.add(block_of(kFile, 1, Fork::kInit));
  collector.add(block_of({.tablespace = 1, .database = 9, .number = 9}, 1));
  collector.add(block_of(kFile, 1));
  collector.add(block_of({.tablespace = 1663, .database = 4, .number = 99'999}, 1));
  const ChangedBlocks changed = collector.finish();
  REQUIRE(changed.forks.size() == 5);
  for (std::size_t i = 1; i < changed.forks.size(); ++i) {
    const ChangedFork& a = changed.forks[i - 1];
    const ChangedFork& b = changed.forks[i];
    CHECK(std::tie(a.file, a.fork) < std::tie(b.file, b.fork));
  }
}

TEST_CASE("random changes are what a set of them is", "[wal]") {
  const std::uint32_t seed = GENERATE(range(1U, 13U));
  CAPTURE(seed);
  Random random(seed);
  ChangedBlockCollector collector;
  Model model;
  const std::uint32_t blocks = seed % 3 == 0 ? 0xFFFFFFFF : 1U << (random() % 20);
  const std::uint32_t files = 1 + random() % 60;
  for (int i = 0; i < 20'000; ++i) {
    const RelationFile file{.tablespace = 1663 + random() % 2,
                            .database = random() % 2,
                            .number = 16384 + random() % files};
    const auto fork = static_cast<Fork>(random() % 4);
    const auto block = static_cast<std::uint32_t>(random() % blocks);
    if (random() % 500 == 0) {
      collector.add_from(file, fork, block);
      model.add_from(file, fork, block);
    } else if (random() % 2000 == 0) {
      collector.add_database(block);
      model.databases.insert(block);
    } else {
      collector.add(block_of(file, block, fork));
      model.add(block_of(file, block, fork));
    }
  }
  const ChangedBlocks changed = collector.finish();
  check_same(changed, model);
  CHECK(decode_changed_blocks(encode_changed_blocks(changed)) == changed);
}

TEST_CASE("a fork's length is its highest block and one", "[wal]") {
  Random random(5);
  ChangedBlockCollector collector;
  std::map<std::pair<RelationFile, Fork>, std::uint32_t> lengths;
  for (int i = 0; i < 5000; ++i) {
    const RelationFile file{.tablespace = 1, .database = 1, .number = random() % 10};
    const auto fork = static_cast<Fork>(random() % 4);
    const auto block = static_cast<std::uint32_t>(random() % 100'000);
    collector.add(block_of(file, block, fork));
    std::uint32_t& length = lengths[{file, fork}];
    length = std::max(length, block + 1);
    if (collector.length_of(file, fork) != length) FAIL("after " << i);
  }
  CHECK(collector.length_of({.tablespace = 1, .database = 1, .number = 11}, Fork::kMain) == 0);
}

TEST_CASE("of two truncations the shorter one counts", "[wal]") {
  ChangedBlockCollector collector;
  collector.add_from(kFile, Fork::kMain, 50);
  collector.add_from(kFile, Fork::kMain, 20);
  collector.add_from(kFile, Fork::kMain, 70);
  collector.add(block_of(kFile, 5));
  const ChangedBlocks changed = collector.finish();
  REQUIRE(changed.forks.size() == 1);
  CHECK(changed.forks[0].from == 20);
  CHECK(changed.forks[0].blocks == std::vector<std::uint32_t>{5});
}

TEST_CASE("a fork that was only truncated is told with no blocks", "[wal]") {
  ChangedBlockCollector collector;
  collector.add_from(kFile, Fork::kMain, 0);
  const ChangedBlocks changed = collector.finish();
  REQUIRE(changed.forks.size() == 1);
  CHECK(changed.forks[0].from == 0);
  CHECK(changed.forks[0].blocks.empty());
  CHECK(decode_changed_blocks(encode_changed_blocks(changed)) == changed);
}

TEST_CASE("databases are told once, in order", "[wal]") {
  ChangedBlockCollector collector;
  for (const std::uint32_t oid : {9U, 3U, 9U, 0xFFFFFFFFU, 3U})
    collector.add_database(oid);
  CHECK(collector.finish().databases == std::vector<std::uint32_t>{3, 9, 0xFFFFFFFF});
}

TEST_CASE("too many blocks are omitted, and nothing is half told", "[wal]") {
  ChangedBlockCollector collector;
  for (std::uint32_t block = 0; block < 400'000; ++block)
    collector.add(block_of(kFile, block * 3));
  collector.add_database(7);
  const ChangedBlocks changed = collector.finish();
  CHECK(changed.omitted);
  CHECK(changed.forks.empty());
  CHECK(encode_changed_blocks(changed).size() < 100);
  CHECK(decode_changed_blocks(encode_changed_blocks(changed)) == changed);
}

TEST_CASE("too many files are omitted as too many blocks are", "[wal]") {
  ChangedBlockCollector collector;
  for (std::uint32_t number = 0; number < 30'000; ++number)
    collector.add(block_of({.tablespace = 1663, .database = 5, .number = number}, 0));
  const ChangedBlocks changed = collector.finish();
  CHECK(changed.omitted);
  CHECK(changed.forks.empty());
}

TEST_CASE("many blocks of a few files are no reason to omit any", "[wal]") {
  ChangedBlockCollector collector;
  for (std::uint32_t block = 0; block < 131'072; ++block)
    collector.add(block_of(kFile, block));
  const ChangedBlocks changed = collector.finish();
  REQUIRE_FALSE(changed.omitted);
  REQUIRE(changed.forks.size() == 1);
  CHECK(changed.forks[0].blocks.size() == 131'072);
}

TEST_CASE("a run of blocks takes a few bytes however long it is", "[wal]") {
  ChangedBlocks changed;
  changed.forks.push_back({.file = kFile});
  for (std::uint32_t block = 0; block < 100'000; ++block)
    changed.forks[0].blocks.push_back(1000 + block);
  const auto bytes = encode_changed_blocks(changed);
  CHECK(bytes.size() < 100);
  CHECK(decode_changed_blocks(bytes) == changed);
}

TEST_CASE("runs of every kind are read back as they were written", "[wal]") {
  Random random(17);
  for (int round = 0; round < 200; ++round) {
    ChangedBlocks changed;
    for (std::uint32_t number = 1; number <= 1 + random() % 4; ++number) {
      ChangedFork fork{.file = {.tablespace = 1663, .database = 5, .number = number},
                       .fork = static_cast<Fork>(random() % 4)};
      std::uint64_t block = random() % 3 == 0 ? random() : random() % 5;
      for (std::size_t run = 0; run < random() % 20; ++run) {
        for (std::size_t i = 0; i < 1 + random() % 9 && block < kNoBlock; ++i)
          fork.blocks.push_back(static_cast<std::uint32_t>(block++));
        block += 1 + (random() % 4 == 0 ? random() % 1'000'000 : random() % 3);
      }
      if (random() % 3 == 0) fork.from = static_cast<std::uint32_t>(random());
      if (fork.blocks.empty() && fork.from == kNoBlock) fork.from = 1;
      changed.forks.push_back(std::move(fork));
    }
    if (decode_changed_blocks(encode_changed_blocks(changed)) != changed) FAIL("round " << round);
  }
}

TEST_CASE("changed blocks cut short or with something behind them are damaged", "[wal]") {
  const auto bytes = encode_changed_blocks(some_changed());
  REQUIRE(decode_changed_blocks(bytes) == some_changed());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK(error_kind_of([&] { decode_changed_blocks(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_changed_blocks(longer); }) == ErrorKind::kCorrupt);
}

TEST_CASE("changed blocks with any byte damaged never do more than throw", "[wal]") {
  const auto bytes = encode_changed_blocks(some_changed());
  for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
    for (unsigned value = 0; value < 256; ++value) {
      Bytes damaged = bytes;
      damaged[offset] = static_cast<std::byte>(value);
      decode_anything(damaged);
    }
  }
}

TEST_CASE("random bytes are no changed blocks that crash", "[wal]") {
  for (std::uint32_t seed = 1; seed <= 3000; ++seed)
    decode_anything(testing::random_bytes(seed % 80, seed));
  // Numbers that promise more than there is take no memory.
  for (std::size_t length = 4; length < 60; ++length)
    decode_anything(Bytes(length, std::byte{0xFF}));
}

}  // namespace pitr
