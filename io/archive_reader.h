// Reads an archived file back. Nothing is handed on before its checksum was verified.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "io/archive_format.h"
#include "io/byte_stream.h"

namespace pitr {

// Every function throws kCorrupt, naming the source, for what is damaged. The source must outlive
// the reader. Thread-safe but for the constructor.
class ArchiveReader {
 public:
  // Reads and checks header and trailer.
  explicit ArchiveReader(const ByteSource& source);

  const ArchiveContents& contents() const { return contents_; }

  // The verified bytes of a section; nothing when the file has none of that id.
  std::optional<std::vector<std::byte>> section(std::uint32_t id) const;

  // Hands on raw bytes, block by block in order, with their offset in the raw contents. `jobs`
  // threads read, verify and decompress. After the last block the hash of the whole is verified:
  // until this returns, the consumer has seen only blocks that are whole by themselves.
  using Consumer = std::function<void(ByteSpan raw, std::uint64_t offset)>;
  void read_all(unsigned jobs, const Consumer& consumer) const;
  // The same, but the blocks are handed on as they come, by the threads that decompressed them:
  // what is done with a block finds it in that processor's cache, and while another hashes.
  void inspect_all(unsigned jobs, const Consumer& inspector) const;

  // The raw bytes from `offset` on, as many as asked for.
  void read_range(std::uint64_t offset, std::uint64_t length, const Consumer& consumer) const;

 private:
  struct SectionPlace {
    std::uint32_t id;
    std::uint32_t flags;
    std::uint64_t offset;
    std::uint64_t length;
    std::uint64_t checksum;
  };

  void visit_all(unsigned jobs, const Consumer& inspector, const Consumer& consumer) const;
  void read_directory();
  void read_contents();
  void read_block_table();
  std::vector<std::byte> read_bytes(std::uint64_t offset, std::uint64_t length) const;
  // Room for any block, as stored and as it was.
  std::size_t most_stored_bytes() const;
  std::size_t most_raw_bytes() const;
  ByteSpan read_block(std::uint64_t number, BlockCodec& codec, std::span<std::byte> stored_space,
                      std::span<std::byte> raw_space) const;
  [[noreturn]] void throw_damaged(const std::string& detail) const;

  const ByteSource& source_;
  std::uint64_t tail_offset_ = 0;  // what was read of the file's end in one piece
  std::vector<std::byte> tail_;
  std::vector<SectionPlace> sections_;
  ArchiveContents contents_;
  std::vector<std::uint32_t> block_table_;
  std::vector<std::uint64_t> block_offsets_;
};

}  // namespace pitr
