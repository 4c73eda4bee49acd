#include "io/codec.h"

#include <charconv>
#include <new>

#include <lz4.h>
#include <zstd.h>

namespace pitr {

Compression parse_compression(std::string_view text) {
  if (text == "none") return {.codec = Codec::kNone};
  if (text == "lz4") return {.codec = Codec::kLz4};
  Compression zstd{.codec = Codec::kZstd, .level = 1};
  if (text.starts_with("zstd:")) {
    std::from_chars(text.data() + 5, text.data() + text.size(), zstd.level);
  }
  return zstd;
}

struct BlockCodec::Contexts {
  ZSTD_CCtx* compress = nullptr;
  ZSTD_DCtx* decompress = nullptr;

  Contexts() = default;
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
  Contexts(Contexts&&) = delete;
  Contexts& operator=(Contexts&&) = delete;
  ~Contexts() {
    ZSTD_freeCCtx(compress);
    ZSTD_freeDCtx(decompress);
  }
};

BlockCodec::BlockCodec(Compression compression)
    : compression_(compression), contexts_(std::make_unique<Contexts>()) {}
BlockCodec::BlockCodec(BlockCodec&&) noexcept = default;
BlockCodec& BlockCodec::operator=(BlockCodec&&) noexcept = default;
BlockCodec::~BlockCodec() = default;

std::size_t BlockCodec::compress(ByteSpan raw, std::span<std::byte> output) {
  std::size_t size = 0;
  switch (compression_.codec) {
    case Codec::kNone:
      return 0;
    case Codec::kLz4: {
      const int result = LZ4_compress_default(
          reinterpret_cast<const char*>(raw.data()), reinterpret_cast<char*>(output.data()),
          static_cast<int>(raw.size()), static_cast<int>(output.size()));
      size = static_cast<std::size_t>(result);
      break;
    }
    case Codec::kZstd: {
      if (contexts_->compress == nullptr) contexts_->compress = ZSTD_createCCtx();
      if (contexts_->compress == nullptr) throw std::bad_alloc();
      const std::size_t result =
          ZSTD_compressCCtx(contexts_->compress, output.data(), output.size(), raw.data(),
                            raw.size(), compression_.level);
      size = ZSTD_isError(result) != 0 ? 0 : result;
      break;
    }
  }
  return size < raw.size() ? size : 0;
}

bool BlockCodec::decompress(ByteSpan stored, std::span<std::byte> raw) {
  switch (compression_.codec) {
    case Codec::kNone:
      return false;
    case Codec::kLz4: {
      const int result = LZ4_decompress_safe(
          reinterpret_cast<const char*>(stored.data()), reinterpret_cast<char*>(raw.data()),
          static_cast<int>(stored.size()), static_cast<int>(raw.size()));
      return result >= 0 && static_cast<std::size_t>(result) == raw.size();
    }
    case Codec::kZstd: {
      if (contexts_->decompress == nullptr) contexts_->decompress = ZSTD_createDCtx();
      if (contexts_->decompress == nullptr) throw std::bad_alloc();
      const std::size_t result = ZSTD_decompressDCtx(contexts_->decompress, raw.data(), raw.size(),
                                                     stored.data(), stored.size());
      return ZSTD_isError(result) == 0 && result == raw.size();
    }
  }
  return false;
}

}  // namespace pitr
