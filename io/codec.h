// How the blocks of an archived file are compressed. Each block is compressed on its own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "common/bytes.h"

namespace pitr {

// Stored in files: never renumbered.
enum class Codec : std::uint16_t { kNone = 0, kLz4 = 1, kZstd = 2 };

struct Compression {
  Codec codec = Codec::kLz4;
  int level = 1;  // of zstd
};

// "none", "lz4", "zstd", "zstd:LEVEL"; a configuration that load_config() accepted.
Compression parse_compression(std::string_view text);

// Compresses and decompresses one block after the other. Not thread-safe: one for each thread.
class BlockCodec {
 public:
  explicit BlockCodec(Compression compression);
  BlockCodec(BlockCodec&&) noexcept;
  BlockCodec& operator=(BlockCodec&&) noexcept;
  BlockCodec(const BlockCodec&) = delete;
  BlockCodec& operator=(const BlockCodec&) = delete;
  ~BlockCodec();

  // Returns the size of the result, or 0 when it would not be smaller than the input.
  std::size_t compress(ByteSpan raw, std::span<std::byte> output);

  // False unless the result has exactly the size of `raw`.
  bool decompress(ByteSpan stored, std::span<std::byte> raw);

 private:
  struct Contexts;
  Compression compression_;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace pitr
