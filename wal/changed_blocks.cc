#include "wal/changed_blocks.h"

#include <algorithm>
#include <tuple>

#include "common/error.h"

namespace pitr {

namespace {

constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kOmitted = 1U << 0;
constexpr std::uint64_t kFree = ~std::uint64_t{0};

[[noreturn]] void throw_damaged() {
  throw Error(
      {.kind = ErrorKind::kCorrupt, .message = "the changed blocks of a segment are damaged"});
}

std::uint64_t spread(std::uint64_t key) {
  key *= 0x9E37'79B9'7F4A'7C15ULL;
  return key ^ key >> 32;
}

// Runs of consecutive blocks: the distance from the end of the run before, then the length less 1.
void put_runs(ByteWriter& writer, const std::vector<std::uint32_t>& blocks) {
  ByteWriter runs;
  std::uint32_t count = 0;
  std::uint32_t end = 0;
  for (std::size_t i = 0; i < blocks.size(); ++count) {
    std::size_t last = i;
    while (last + 1 < blocks.size() && blocks[last + 1] == blocks[last] + 1)
      ++last;
    runs.put_varint(blocks[i] - end);
    runs.put_varint(static_cast<std::uint32_t>(last - i));
    end = blocks[last] + 1;
    i = last + 1;
  }
  writer.put(count);
  writer.put_bytes(runs.bytes());
}

// Takes what it reads off `most`: a flipped bit must not fill the memory.
std::vector<std::uint32_t> get_runs(ByteReader& reader, std::uint64_t& most) {
  std::vector<std::uint32_t> blocks;
  const auto count = reader.get<std::uint32_t>();
  std::uint64_t next = 0;
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    next += reader.get_varint();
    const std::uint64_t end = next + reader.get_varint() + 1;
    if (end > kNoBlock || end - next > most) throw_damaged();
    most -= end - next;
    for (; next < end; ++next)
      blocks.push_back(static_cast<std::uint32_t>(next));
  }
  return blocks;
}

}  // namespace

std::vector<std::byte> encode_changed_blocks(const ChangedBlocks& changed) {
  ByteWriter writer;
  writer.put(kVersion);
  writer.put(static_cast<std::uint16_t>(changed.omitted ? kOmitted : 0));
  writer.put(static_cast<std::uint32_t>(changed.databases.size()));
  for (const std::uint32_t oid : changed.databases)
    writer.put(oid);
  writer.put(static_cast<std::uint32_t>(changed.forks.size()));
  for (const ChangedFork& fork : changed.forks) {
    writer.put(fork.file.tablespace);
    writer.put(fork.file.database);
    writer.put(fork.file.number);
    writer.put(static_cast<std::uint8_t>(fork.fork));
    writer.put(fork.from);
    put_runs(writer, fork.blocks);
  }
  return writer.take();
}

ChangedBlocks decode_changed_blocks(ByteSpan bytes) {
  ByteReader reader(bytes);
  if (reader.get<std::uint16_t>() != kVersion) throw_damaged();
  ChangedBlocks changed{.omitted = (reader.get<std::uint16_t>() & kOmitted) != 0};
  const auto databases = reader.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < databases && reader.ok(); ++i) {
    changed.databases.push_back(reader.get<std::uint32_t>());
  }
  const auto forks = reader.get<std::uint32_t>();
  std::uint64_t most_blocks = std::uint64_t{1} << 20;  // ChangedBlockCollector gives less
  for (std::uint32_t i = 0; i < forks && reader.ok(); ++i) {
    ChangedFork fork;
    fork.file.tablespace = reader.get<std::uint32_t>();
    fork.file.database = reader.get<std::uint32_t>();
    fork.file.number = reader.get<std::uint32_t>();
    const auto number = reader.get<std::uint8_t>();
    if (number > static_cast<std::uint8_t>(Fork::kInit)) throw_damaged();
    fork.fork = static_cast<Fork>(number);
    fork.from = reader.get<std::uint32_t>();
    fork.blocks = get_runs(reader, most_blocks);
    changed.forks.push_back(std::move(fork));
  }
  if (!reader.ok() || reader.remaining() != 0) throw_damaged();
  return changed;
}

std::size_t ChangedBlockCollector::ForkHash::operator()(
    const std::pair<RelationFile, Fork>& key) const {
  const auto& [file, fork] = key;
  const std::uint64_t wide = std::uint64_t{file.database} << 32 | file.number;
  return spread(wide ^ spread(file.tablespace * 4ULL + static_cast<std::uint64_t>(fork)));
}

ChangedBlockCollector::ChangedBlockCollector() : keys_(kFirstCapacity, kFree) {}

std::uint32_t ChangedBlockCollector::state_of(const RelationFile& file, Fork fork) {
  if (last_state_ < states_.size() && states_[last_state_].file == file &&
      states_[last_state_].fork == fork) {
    return last_state_;
  }
  const auto number = static_cast<std::uint32_t>(states_.size());
  const auto [place, is_new] = states_by_fork_.try_emplace({file, fork}, number);
  if (is_new) states_.push_back({.file = file, .fork = fork});
  if (states_.size() > kMostForks) omitted_ = true;
  last_state_ = place->second;
  return last_state_;
}

void ChangedBlockCollector::add(const BlockReference& block) {
  if (omitted_) return;
  const std::uint32_t number = state_of(block.file, block.fork);
  ForkState& state = states_[number];
  state.length = std::max(state.length, block.block + 1);
  if (block.block >= state.from) return;
  insert(std::uint64_t{number} << 32 | block.block);
}

void ChangedBlockCollector::add_from(const RelationFile& file, Fork fork, std::uint32_t block) {
  if (omitted_) return;
  ForkState& state = states_[state_of(file, fork)];
  state.from = std::min(state.from, block);
}

void ChangedBlockCollector::add_database(std::uint32_t oid) { databases_.push_back(oid); }

std::uint32_t ChangedBlockCollector::length_of(const RelationFile& file, Fork fork) const {
  const auto found = states_by_fork_.find({file, fork});
  return found == states_by_fork_.end() ? 0 : states_[found->second].length;
}

void ChangedBlockCollector::insert(std::uint64_t key) {
  std::size_t place = spread(key) & (keys_.size() - 1);
  while (keys_[place] != kFree) {
    if (keys_[place] == key) return;
    place = (place + 1) & (keys_.size() - 1);
  }
  keys_[place] = key;
  ++key_count_;
  if (key_count_ * 2 > keys_.size()) grow();
}

void ChangedBlockCollector::grow() {
  if (key_count_ > kMostBlocks) {
    omitted_ = true;
    return;
  }
  std::vector<std::uint64_t> old(keys_.size() * 2, kFree);
  old.swap(keys_);
  key_count_ = 0;
  for (const std::uint64_t key : old) {
    if (key != kFree) insert(key);
  }
}

ChangedBlocks ChangedBlockCollector::finish() {
  ChangedBlocks changed{.omitted = omitted_};
  std::sort(databases_.begin(), databases_.end());
  databases_.erase(std::unique(databases_.begin(), databases_.end()), databases_.end());
  changed.databases = std::move(databases_);
  if (omitted_) return changed;
  std::erase(keys_, kFree);
  std::sort(keys_.begin(), keys_.end());
  for (const ForkState& state : states_) {
    changed.forks.push_back(
        {.file = state.file, .fork = state.fork, .from = state.from, .blocks = {}});
  }
  for (const std::uint64_t key : keys_) {
    ChangedFork& fork = changed.forks[key >> 32];
    const auto block = static_cast<std::uint32_t>(key);
    if (block < fork.from) fork.blocks.push_back(block);
  }
  std::sort(changed.forks.begin(), changed.forks.end(),
            [](const ChangedFork& a, const ChangedFork& b) {
              return std::tie(a.file, a.fork) < std::tie(b.file, b.fork);
            });
  return changed;
}

}  // namespace pitr
