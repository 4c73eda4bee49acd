// The ends of a pipeline in memory, and bytes to send through it.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/error.h"
#include "io/byte_stream.h"

namespace pitr::testing {

using Bytes = std::vector<std::byte>;

class MemorySink : public ByteSink {
 public:
  void append(Buffer buffer) override {
    const ByteSpan added = buffer.bytes();
    bytes.insert(bytes.end(), added.begin(), added.end());
  }

  Bytes bytes;
};

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(Bytes bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t size() const override { return bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> bytes) const override {
    if (offset > bytes_.size() || bytes.size() > bytes_.size() - offset) {
      throw Error({.kind = ErrorKind::kCorrupt, .message = "the source ends before"});
    }
    if (!bytes.empty()) std::memcpy(bytes.data(), bytes_.data() + offset, bytes.size());
  }
  const std::string& name() const override { return name_; }

 private:
  Bytes bytes_;
  std::string name_ = "memory";
};

inline Bytes bytes_of(std::string_view text) {
  const ByteSpan bytes = as_byte_span(text);
  return {bytes.begin(), bytes.end()};
}

// Incompressible, and the same for the same seed.
inline Bytes random_bytes(std::size_t count, std::uint32_t seed = 1) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (std::byte& byte : bytes)
    byte = static_cast<std::byte>(random() & 0xFFU);
  return bytes;
}

// Compressible, but no two pages are the same.
inline Bytes compressible_bytes(std::size_t count) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>((i % 97 == 0 ? i / 97 : i % 13) & 0xFFU);
  return bytes;
}

}  // namespace pitr::testing
