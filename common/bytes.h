// Little-endian numbers and length-prefixed texts, as our own formats store them. A reader checks
// every length, since it reads what may be damaged.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pitr {

static_assert(std::endian::native == std::endian::little, "the formats are written little-endian");

using ByteSpan = std::span<const std::byte>;

inline ByteSpan as_byte_span(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The number at `offset`; the caller has checked that it lies inside.
template <std::integral Number>
Number load(ByteSpan bytes, std::size_t offset) {
  Number number;
  std::memcpy(&number, bytes.subspan(offset, sizeof number).data(), sizeof number);
  return number;
}

class ByteWriter {
 public:
  template <std::integral Number>
  void put(Number number) {
    const auto* begin = reinterpret_cast<const std::byte*>(&number);
    bytes_.insert(bytes_.end(), begin, begin + sizeof number);
  }

  void put_bytes(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  // A 32-bit length, then the bytes.
  void put_text(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    put_bytes(as_byte_span(text));
  }

  // Seven bits to a byte, the lowest first, the eighth bit set on all but the last.
  void put_varint(std::uint32_t number) {
    while (number >= 0x80) {
      put(static_cast<std::uint8_t>(number | 0x80U));
      number >>= 7;
    }
    put(static_cast<std::uint8_t>(number));
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// After the first value that does not fit, ok() is false and every further value is zero or empty.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : rest_(bytes) {}

  template <std::integral Number>
  Number get() {
    const ByteSpan bytes = get_bytes(sizeof(Number));
    return ok_ ? load<Number>(bytes, 0) : Number{};
  }

  ByteSpan get_bytes(std::size_t count) {
    if (count > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const ByteSpan bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }

  // See put_varint(); more than 32 bits do not fit.
  std::uint32_t get_varint() {
    std::uint32_t number = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      const auto byte = get<std::uint8_t>();
      if (shift == 28 && byte > 0x0F) ok_ = false;
      if (!ok_) return 0;
      number |= static_cast<std::uint32_t>(byte & 0x7FU) << shift;
      if ((byte & 0x80U) == 0) return number;
    }
    return number;
  }

  std::string get_text() { return std::string(as_text(get_bytes(get<std::uint32_t>()))); }

  bool ok() const { return ok_; }
  std::size_t remaining() const { return rest_.size(); }

 private:
  ByteSpan rest_;
  bool ok_ = true;
};

}  // namespace pitr
