// How libFuzzer changes an input of the record reader. A flipped bit breaks a record's CRC-32C, and
// what lies behind the check would never be reached; so half of the time the WAL is repaired after
// it was changed, and half of those times it is a record that is changed, not the file.
#include <algorithm>
#include <array>
#include <random>

#include "fuzz/fuzz_input.h"
#include "fuzz/wal_repair.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace pitr::fuzzing {

namespace {

using Random = std::minstd_rand;

std::size_t below(Random& random, std::size_t limit) { return random() % limit; }

// Those that the reader looks into, and one of an extension.
constexpr std::array<std::uint8_t, 9> kManagers = {0, 1, 2, 4, 5, 8, 10, 128, 13};

constexpr std::size_t kXidOffset = 4;
constexpr std::size_t kInfoOffset = 16;
constexpr std::size_t kManagerOffset = 17;

// As libFuzzer would, without a change of the size.
void mutate_in_place(std::span<std::byte> bytes) {
  std::vector<std::byte> copy(bytes.begin(), bytes.end());
  LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(copy.data()), copy.size(), copy.size());
  std::copy(copy.begin(), copy.end(), bytes.begin());
}

// One record's header, or its body, or both: bytes that lie apart in the pages.
void mutate_record(std::span<std::byte> wal, const WalkedRecord& record, Random& random) {
  const auto at = [&](std::size_t offset) -> std::byte& { return wal[record.offsets.at(offset)]; };
  if (record.offsets.size() < kRecordHeaderSize) return;
  const std::size_t choice = below(random, 8);
  if (choice < 2) at(kManagerOffset) = static_cast<std::byte>(kManagers.at(below(random, 9)));
  if (choice < 3) at(kInfoOffset) = static_cast<std::byte>(below(random, 16) << 4);
  if (choice == 3) at(kXidOffset) = static_cast<std::byte>(below(random, 256));
  const std::size_t body = record.offsets.size() - kRecordHeaderSize;
  if (choice < 2 || body == 0) return;
  // What decides is at the beginning.
  const std::size_t count = below(random, 4) == 0 ? body : std::min<std::size_t>(body, 64);
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < count; ++i)
    bytes.push_back(at(kRecordHeaderSize + i));
  mutate_in_place(bytes);
  for (std::size_t i = 0; i < count; ++i)
    at(kRecordHeaderSize + i) = bytes[i];
}

// The record gets longer or shorter, and all that follows moves: by a multiple of eight, so that
// the chain goes on behind it.
std::vector<std::byte> resize_record(ByteSpan wal, const WalkedRecord& record, SegmentSize size,
                                     std::size_t max_size, Random& random) {
  // The same place in the bytes between the page headers.
  const std::size_t at = record.offsets.front();
  const std::size_t headers = at / size * (kLongPageHeaderSize - kShortPageHeaderSize) +
                              (kLongPageHeaderSize - kShortPageHeaderSize) +
                              (at / kUsualWalPageSize + 1) * kShortPageHeaderSize;
  std::vector<std::byte> stream = without_page_headers(wal, size);
  if (at < headers || at - headers + kRecordHeaderSize > stream.size()) return {};
  const auto begin = stream.begin() + static_cast<std::ptrdiff_t>(at - headers);
  auto length = load<std::uint32_t>(stream, at - headers);
  const std::size_t change = (below(random, below(random, 4) == 0 ? 2048 : 8) + 1) * 8;
  if (below(random, 2) == 0) {
    if (wal.size() + change + kLongPageHeaderSize > max_size) return {};
    length += static_cast<std::uint32_t>(change);
    stream.insert(begin + kRecordHeaderSize, change, static_cast<std::byte>(below(random, 256)));
  } else {
    const std::size_t rest = stream.size() - (at - headers) - kRecordHeaderSize;
    if (length < kRecordHeaderSize + change || rest < change) return {};
    length -= static_cast<std::uint32_t>(change);
    stream.erase(begin + kRecordHeaderSize,
                 begin + static_cast<std::ptrdiff_t>(kRecordHeaderSize + change));
  }
  std::memcpy(stream.data() + (at - headers), &length, sizeof length);
  return with_page_headers(stream, wal, size);
}

std::vector<std::byte> mutate_a_record(std::vector<std::byte> wal, const ReaderOptions& options,
                                       std::size_t max_size, Random& random) {
  const auto records = repair(wal, options);
  if (records.empty()) return wal;
  const WalkedRecord& record = records[below(random, records.size())];
  if (below(random, 3) == 0) {
    auto resized = resize_record(wal, record, options.segment_size(), max_size, random);
    if (!resized.empty()) return resized;
  }
  mutate_record(wal, record, random);
  return wal;
}

std::size_t mutate(std::span<std::byte> buffer, std::size_t size, std::uint32_t seed) {
  Random random(seed);
  auto* data = reinterpret_cast<std::uint8_t*>(buffer.data());
  const std::size_t way = below(random, 4);
  if (way < 2 || size <= kReaderHeaderSize + kLongPageHeaderSize) {
    return LLVMFuzzerMutate(data, size, buffer.size());
  }
  if (way == 2) size = LLVMFuzzerMutate(data, size, buffer.size());
  if (size <= kReaderHeaderSize + kLongPageHeaderSize) return size;
  const ReaderOptions options = read_options(buffer);
  const auto pages = buffer.subspan(kReaderHeaderSize, size - kReaderHeaderSize);
  std::vector<std::byte> wal(pages.begin(), pages.end());
  const std::size_t max_size = buffer.size() - kReaderHeaderSize;
  if (way == 3) {
    for (std::size_t times = below(random, 3) + 1; times > 0; --times)
      wal = mutate_a_record(std::move(wal), options, max_size, random);
  }
  repair(wal, options);
  wal.resize(std::min(wal.size(), max_size));
  std::copy(wal.begin(), wal.end(), buffer.begin() + kReaderHeaderSize);
  return kReaderHeaderSize + wal.size();
}

}  // namespace

}  // namespace pitr::fuzzing

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return pitr::fuzzing::mutate(std::as_writable_bytes(std::span(data, max_size)), size, seed);
}
