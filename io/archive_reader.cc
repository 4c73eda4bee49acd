#include "io/archive_reader.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "common/error.h"
#include "io/buffer_pool.h"
#include "io/ordered_workers.h"

namespace pitr {

namespace {

constexpr std::uint64_t kTailRead = 16ULL * 1024;  // holds the whole trailer of a usual segment
constexpr std::uint32_t kMostSections = 1024;

}  // namespace

void ArchiveReader::throw_damaged(const std::string& detail) const {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("stored file \"{}\" is damaged", source_.name()),
               .detail = detail});
}

ArchiveReader::ArchiveReader(const ByteSource& source) : source_(source) {
  read_directory();
  read_contents();
  read_block_table();
}

std::vector<std::byte> ArchiveReader::read_bytes(std::uint64_t offset, std::uint64_t length) const {
  std::vector<std::byte> bytes(length);
  if (length == 0) return bytes;  // memcpy() takes no null pointer, whatever the length
  if (offset >= tail_offset_ && !tail_.empty()) {
    std::memcpy(bytes.data(), tail_.data() + (offset - tail_offset_), length);
  } else {
    source_.read(offset, bytes);
  }
  return bytes;
}

void ArchiveReader::read_directory() {
  const std::uint64_t size = source_.size();
  if (size < kArchiveHeaderSize + kArchiveFooterSize) {
    throw_damaged(fmt::format("It has only {} bytes.", size));
  }
  tail_offset_ = size - std::min(size, kTailRead);
  tail_.resize(size - tail_offset_);
  source_.read(tail_offset_, tail_);

  const ByteSpan footer = ByteSpan(tail_).last(kArchiveFooterSize);
  if (as_text(footer.last(8)) != kArchiveEndMagic) {
    throw_damaged("It does not end like an archived file; it may have been cut off.");
  }
  const auto version = load<std::uint16_t>(footer, 20);
  if (version != kArchiveVersion) {
    throw_damaged(
        fmt::format("Its format is {}; this program reads format {}.", version, kArchiveVersion));
  }
  const auto count = load<std::uint32_t>(footer, 16);
  if (load<std::uint64_t>(footer, 8) != size) throw_damaged("Its length is not what it says.");
  const std::uint64_t directory_size = std::uint64_t{count} * kDirectoryEntrySize;
  if (count > kMostSections || directory_size + kArchiveFooterSize + kArchiveHeaderSize > size) {
    throw_damaged("Its directory of sections is damaged.");
  }
  const std::uint64_t directory_offset = size - kArchiveFooterSize - directory_size;
  std::vector<std::byte> checked = read_bytes(directory_offset, directory_size);
  const ByteSpan footer_rest = footer.subspan(8);
  checked.insert(checked.end(), footer_rest.begin(), footer_rest.end());
  if (xxh3_64(checked) != load<std::uint64_t>(footer, 0)) {
    throw_damaged("Its directory of sections fails its checksum.");
  }
  ByteReader reader(checked);
  // Sections follow each other without a hole: every byte of the file is under a checksum.
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const SectionPlace place{.id = reader.get<std::uint32_t>(),
                             .flags = reader.get<std::uint32_t>(),
                             .offset = reader.get<std::uint64_t>(),
                             .length = reader.get<std::uint64_t>(),
                             .checksum = reader.get<std::uint64_t>()};
    if ((i > 0 && place.offset != end) || place.length > directory_offset ||
        place.offset > directory_offset - place.length) {
      throw_damaged("Its directory of sections is damaged.");
    }
    if ((place.flags & kMustUnderstand) != 0) {
      throw_damaged(fmt::format("It needs a reader that knows section {}.", place.id));
    }
    end = place.offset + place.length;
    sections_.push_back(place);
  }
  if (end != directory_offset) throw_damaged("Its directory of sections is damaged.");
}

std::optional<std::vector<std::byte>> ArchiveReader::section(std::uint32_t id) const {
  for (const SectionPlace& place : sections_) {
    if (place.id != id) continue;
    std::vector<std::byte> bytes = read_bytes(place.offset, place.length);
    if (xxh3_64(bytes, id) != place.checksum) {
      throw_damaged(fmt::format("Section {} fails its checksum.", id));
    }
    return bytes;
  }
  return std::nullopt;
}

void ArchiveReader::read_contents() {
  const auto bytes = section(kContentsSection);
  if (!bytes) throw_damaged("It has no contents section.");
  ByteReader reader(*bytes);
  const auto codec = reader.get<std::uint16_t>();
  reader.get<std::uint16_t>();
  contents_.codec = static_cast<Codec>(codec);
  contents_.block_size = reader.get<std::uint32_t>();
  contents_.raw_size = reader.get<std::uint64_t>();
  contents_.block_count = reader.get<std::uint64_t>();
  const ByteSpan hash = reader.get_bytes(contents_.raw_hash.size());
  if (!reader.ok() || codec > static_cast<std::uint16_t>(Codec::kZstd) ||
      contents_.block_size == 0 || contents_.block_size > kLargestBlockSize) {
    throw_damaged("Its contents section is damaged.");
  }
  std::copy(hash.begin(), hash.end(), contents_.raw_hash.begin());

  std::vector<std::byte> header(kArchiveHeaderSize);
  source_.read(0, header);
  if (as_text(ByteSpan(header).first(8)) != kArchiveMagic ||
      load<std::uint16_t>(header, 8) != kArchiveVersion ||
      load<std::uint16_t>(header, 10) != codec ||
      load<std::uint32_t>(header, 12) != contents_.block_size) {
    throw_damaged("Its header is damaged.");
  }
}

void ArchiveReader::read_block_table() {
  const auto bytes = section(kBlockTableSection);
  if (!bytes || bytes->size() / sizeof(std::uint32_t) != contents_.block_count ||
      contents_.block_count != contents_.raw_size / contents_.block_size +
                                   (contents_.raw_size % contents_.block_size != 0 ? 1 : 0)) {
    throw_damaged("Its block table is damaged.");
  }
  ByteReader reader(*bytes);
  std::uint64_t offset = kArchiveHeaderSize;
  for (std::uint64_t i = 0; i < contents_.block_count; ++i) {
    const auto length = reader.get<std::uint32_t>();
    // What does not become smaller is stored as it is.
    if ((length & ~kStoredAsIs) > contents_.block_size)
      throw_damaged("Its block table is damaged.");
    block_table_.push_back(length);
    block_offsets_.push_back(offset);
    offset += kBlockHeaderSize + (length & ~kStoredAsIs);
  }
  if (sections_.empty() || offset != sections_.front().offset) {
    throw_damaged("Its block table does not match its blocks.");
  }
}

std::size_t ArchiveReader::most_stored_bytes() const {
  std::uint32_t most = 0;
  for (const std::uint32_t length : block_table_)
    most = std::max(most, length & ~kStoredAsIs);
  return kBlockHeaderSize + most;
}

std::size_t ArchiveReader::most_raw_bytes() const {
  return std::max<std::size_t>(std::min<std::uint64_t>(contents_.block_size, contents_.raw_size),
                               1);
}

ByteSpan ArchiveReader::read_block(std::uint64_t number, BlockCodec& codec,
                                   std::span<std::byte> stored_space,
                                   std::span<std::byte> raw_space) const {
  const std::uint32_t length = block_table_[number] & ~kStoredAsIs;
  const bool as_is = (block_table_[number] & kStoredAsIs) != 0;
  const std::uint64_t raw_offset = number * contents_.block_size;
  const std::uint64_t raw_length =
      std::min<std::uint64_t>(contents_.block_size, contents_.raw_size - raw_offset);
  const std::span<std::byte> stored = stored_space.first(kBlockHeaderSize + length);
  source_.read(block_offsets_[number], stored);
  if (xxh3_64(ByteSpan(stored).subspan(8), number) != load<std::uint64_t>(stored, 0) ||
      load<std::uint32_t>(stored, 8) != raw_length ||
      load<std::uint32_t>(stored, 12) != block_table_[number]) {
    throw_damaged(fmt::format("Block {} fails its checksum.", number));
  }
  const ByteSpan payload = ByteSpan(stored).subspan(kBlockHeaderSize);
  if (as_is) {
    if (length != raw_length) throw_damaged(fmt::format("Block {} has the wrong size.", number));
    return payload;
  }
  const std::span<std::byte> raw = raw_space.first(raw_length);
  if (!codec.decompress(payload, raw)) {
    throw_damaged(fmt::format("Block {} cannot be decompressed.", number));
  }
  return raw;
}

void ArchiveReader::read_all(unsigned jobs, const Consumer& consumer) const {
  visit_all(jobs, nullptr, consumer);
}

void ArchiveReader::inspect_all(unsigned jobs, const Consumer& inspector) const {
  visit_all(jobs, inspector, nullptr);
}

void ArchiveReader::visit_all(unsigned jobs, const Consumer& inspector,
                              const Consumer& consumer) const {
  struct Task {
    std::uint64_t number = 0;
    Buffer stored;
    Buffer raw;
    ByteSpan result;
  };
  std::vector<BlockCodec> codecs;
  for (unsigned job = 0; job < jobs; ++job)
    codecs.emplace_back(Compression{contents_.codec, 1});
  const std::size_t capacity = jobs == 1 ? 1 : 2 * std::size_t{jobs};
  BufferPool stored(capacity, most_stored_bytes());
  BufferPool raw(capacity, most_raw_bytes());
  OrderedWorkers<Task> workers(jobs, capacity, [&](Task& task, unsigned worker) {
    task.result = read_block(task.number, codecs[worker], task.stored.space(), task.raw.space());
    if (inspector) inspector(task.result, task.number * contents_.block_size);
  });
  Xxh3Stream hash;
  std::uint64_t next = 0;
  std::uint64_t offset = 0;
  while (next < contents_.block_count || !workers.empty()) {
    while (next < contents_.block_count && !workers.full()) {
      Task task;
      task.number = next++;
      task.stored = stored.acquire();
      task.raw = raw.acquire();
      workers.submit(std::move(task));
    }
    Task task = workers.take();
    hash.update(task.result);
    if (consumer) consumer(task.result, offset);
    offset += task.result.size();
  }
  if (hash.value() != contents_.raw_hash) throw_damaged("Its contents fail their checksum.");
}

void ArchiveReader::read_range(std::uint64_t offset, std::uint64_t length,
                               const Consumer& consumer) const {
  if (offset > contents_.raw_size || length > contents_.raw_size - offset) {
    throw_damaged(fmt::format("It has {} bytes; {} from {} on were asked for.", contents_.raw_size,
                              length, offset));
  }
  BlockCodec codec(Compression{contents_.codec, 1});
  std::vector<std::byte> stored(most_stored_bytes());
  std::vector<std::byte> raw(most_raw_bytes());
  while (length > 0) {
    const std::uint64_t number = offset / contents_.block_size;
    const std::uint64_t inside = offset % contents_.block_size;
    const ByteSpan block = read_block(number, codec, stored, raw);
    const ByteSpan part =
        block.subspan(inside, std::min<std::uint64_t>(length, block.size() - inside));
    consumer(part, offset);
    offset += part.size();
    length -= part.size();
  }
}

}  // namespace pitr
