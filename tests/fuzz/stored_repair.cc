#include "fuzz/stored_repair.h"

#include <algorithm>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "io/archive_format.h"

namespace pitr::fuzzing {

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint32_t kMostSections = 1024;
constexpr std::size_t kContentsSize = 40;
constexpr std::uint64_t kMostHashed = std::uint64_t{1} << 20;

template <std::integral Number>
void store(std::span<std::byte> bytes, std::size_t offset, Number number) {
  std::memcpy(bytes.subspan(offset, sizeof number).data(), &number, sizeof number);
}

void store(std::span<std::byte> bytes, std::size_t offset, ByteSpan part) {
  std::copy(part.begin(), part.end(), bytes.subspan(offset, part.size()).begin());
}

// Works from the end of the file to its beginning, as the reader does.
class ArchiveRepairer {
 public:
  explicit ArchiveRepairer(Bytes& file) : file_(file) {}

  void run() {
    repair_footer();
    lay_out_sections();
    repair_contents();
    repair_checksums();
  }

 private:
  struct Place {
    std::size_t offset = 0;
    std::size_t size = 0;
  };

  void repair_footer() {
    const std::size_t footer = file_.size() - kArchiveFooterSize;
    const std::size_t room = (footer - kArchiveHeaderSize) / kDirectoryEntrySize;
    count_ = load<std::uint32_t>(file_, footer + 16);
    const std::size_t most = std::min<std::size_t>(room, kMostSections);
    if (count_ > most) count_ %= most + 1;
    store(file_, footer + 8, std::uint64_t{file_.size()});
    store(file_, footer + 16, static_cast<std::uint32_t>(count_));
    store(file_, footer + 20, kArchiveVersion);
    store(file_, footer + 24, as_byte_span(kArchiveEndMagic));
    directory_ = footer - count_ * kDirectoryEntrySize;
  }

  std::size_t entry(std::size_t section) const {
    return directory_ + section * kDirectoryEntrySize;
  }

  // The last section ends at the directory, and each begins where the one before it ends.
  void lay_out_sections() {
    std::size_t end = directory_;
    sections_.resize(count_);
    for (std::size_t i = count_; i-- > 0;) {
      const std::size_t room = end - kArchiveHeaderSize;
      auto size = load<std::uint64_t>(file_, entry(i) + 16);
      if (size > room) size %= room + 1;
      end -= size;
      sections_[i] = {end, size};
      store(file_, entry(i) + 8, std::uint64_t{end});
      store(file_, entry(i) + 16, size);
    }
    blocks_end_ = end;
  }

  std::optional<Place> find(std::uint32_t id) const {
    for (std::size_t i = 0; i < count_; ++i) {
      if (load<std::uint32_t>(file_, entry(i)) == id) return sections_[i];
    }
    return std::nullopt;
  }

  // What the contents say of the blocks must agree with their table, and the header with them.
  void repair_contents() {
    const auto contents = find(kContentsSection);
    const auto table = find(kBlockTableSection);
    if (!contents || contents->size < kContentsSize || !table) return;
    const std::size_t at = contents->offset;
    const auto codec = static_cast<std::uint16_t>(load<std::uint16_t>(file_, at) % 3);
    auto block_size = load<std::uint32_t>(file_, at + 4);
    if (block_size == 0 || block_size > kLargestBlockSize) block_size = block_size % 4096 + 1;
    const std::uint64_t count = table->size / sizeof(std::uint32_t);
    auto raw_size = load<std::uint64_t>(file_, at + 8);
    if (raw_size / block_size + (raw_size % block_size != 0 ? 1 : 0) != count) {
      raw_size = count * block_size - (count > 0 ? raw_size % block_size : 0);
    }
    store(file_, at, codec);
    store(file_, at + 4, block_size);
    store(file_, at + 8, raw_size);
    store(file_, at + 16, count);
    store(file_, 0, as_byte_span(kArchiveMagic));
    store(file_, 8, kArchiveVersion);
    store(file_, 10, codec);
    store(file_, 12, block_size);
    const auto hash = repair_blocks(*table, count, raw_size, block_size, static_cast<Codec>(codec));
    if (hash) store(file_, at + 24, *hash);
  }

  // Lengths and checksums; the last block takes what the others leave. Returns the hash of the raw
  // contents if they can be had.
  std::optional<Hash128> repair_blocks(const Place& table, std::uint64_t count,
                                       std::uint64_t raw_size, std::uint32_t block_size,
                                       Codec codec) {
    BlockCodec decoder({.codec = codec});
    Xxh3Stream hash;
    bool is_whole = raw_size <= kMostHashed;
    std::size_t position = kArchiveHeaderSize;
    for (std::uint64_t number = 0; number < count; ++number) {
      const std::uint64_t headers = (count - number) * kBlockHeaderSize;
      if (blocks_end_ - position < headers) return std::nullopt;
      const std::uint64_t room = blocks_end_ - position - headers;
      const std::size_t place = table.offset + number * sizeof(std::uint32_t);
      const auto noted = load<std::uint32_t>(file_, place);
      std::uint64_t length = noted & ~kStoredAsIs;
      if (length > room) length %= room + 1;
      if (number + 1 == count) length = room;
      const std::uint32_t stored_length =
          static_cast<std::uint32_t>(length) | (noted & kStoredAsIs);
      store(file_, place, stored_length);
      const auto block = std::span(file_).subspan(position, kBlockHeaderSize + length);
      const std::uint64_t raw_length =
          std::min<std::uint64_t>(block_size, raw_size - number * block_size);
      store(block, 8, static_cast<std::uint32_t>(raw_length));
      store(block, 12, stored_length);
      store(block, 0, xxh3_64(block.subspan(8), number));
      position += block.size();
      const ByteSpan payload = block.subspan(kBlockHeaderSize);
      Bytes raw(is_whole && (noted & kStoredAsIs) == 0 ? raw_length : 0);
      is_whole = is_whole && ((noted & kStoredAsIs) != 0 ? payload.size() == raw_length
                                                         : decoder.decompress(payload, raw));
      if (is_whole) hash.update(raw.empty() ? payload : ByteSpan(raw));
    }
    return is_whole ? std::optional(hash.value()) : std::nullopt;
  }

  void repair_checksums() {
    for (std::size_t i = 0; i < count_; ++i) {
      const ByteSpan section = ByteSpan(file_).subspan(sections_[i].offset, sections_[i].size);
      store(file_, entry(i) + 24, xxh3_64(section, load<std::uint32_t>(file_, entry(i))));
    }
    const std::size_t footer = file_.size() - kArchiveFooterSize;
    const auto directory = ByteSpan(file_).subspan(directory_, footer - directory_);
    Bytes checked(directory.begin(), directory.end());
    const ByteSpan rest = ByteSpan(file_).subspan(footer + 8);
    checked.insert(checked.end(), rest.begin(), rest.end());
    store(file_, footer, xxh3_64(checked));
  }

  Bytes& file_;
  std::size_t count_ = 0;
  std::size_t directory_ = 0;  // offset
  std::vector<Place> sections_;
  std::size_t blocks_end_ = 0;
};

// The size of a tar archive's member by its header, and whether it is a file.
std::uint64_t tar_size(ByteSpan header) {
  const auto type = std::to_integer<char>(header[156]);
  if (type != '0' && type != '\0') return 0;
  std::uint64_t size = 0;
  const bool is_binary = (header[124] & std::byte{0x80}) != std::byte{0};
  for (const std::byte byte : header.subspan(is_binary ? 128 : 124, is_binary ? 8 : 12)) {
    const auto c = std::to_integer<std::uint64_t>(byte);
    if (!is_binary && (c < '0' || c > '7')) break;
    size = is_binary ? size << 8U | c : size * 8 + (c - '0');
  }
  return size;
}

}  // namespace

void repair_archive(Bytes& file) {
  if (file.size() < kArchiveHeaderSize + kArchiveFooterSize) return;
  ArchiveRepairer(file).run();
}

void repair_journal(Bytes& file) {
  constexpr std::uint32_t kMagic = 0x314A5250;
  constexpr std::size_t kHeaderSize = 16;
  std::span<std::byte> rest(file);
  while (rest.size() >= kHeaderSize) {
    auto length = load<std::uint32_t>(rest, 4);
    const std::size_t room = rest.size() - kHeaderSize;
    if (length > room) length %= static_cast<std::uint32_t>(room) + 1;
    store(rest, 0, kMagic);
    store(rest, 4, length);
    store(rest, 8, xxh3_64(rest.subspan(kHeaderSize, length), length));
    rest = rest.subspan(kHeaderSize + length);
  }
}

void repair_tar(Bytes& archive) {
  constexpr std::size_t kBlock = 512;
  constexpr std::size_t kChecksum = 148;
  std::span<std::byte> rest(archive);
  while (rest.size() >= kBlock) {
    const auto header = rest.first(kBlock);
    rest = rest.subspan(kBlock);
    if (std::all_of(header.begin(), header.end(), [](std::byte b) { return b == std::byte{0}; })) {
      continue;
    }
    std::fill_n(header.begin() + kChecksum, 8, static_cast<std::byte>(' '));
    std::uint64_t sum = 0;
    for (const std::byte byte : header)
      sum += std::to_integer<std::uint64_t>(byte);
    store(header, kChecksum, as_byte_span(fmt::format("{:06o}", sum)));
    header[kChecksum + 6] = std::byte{0};
    const std::uint64_t size = tar_size(header);
    if (size > rest.size()) return;
    rest = rest.subspan(std::min<std::size_t>(rest.size(), (size + kBlock - 1) / kBlock * kBlock));
  }
}

}  // namespace pitr::fuzzing
