#include "wal/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace pitr {

namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit)
      value = value >> 1 ^ ((value & 1U) != 0 ? kPolynomial : 0);
    table.at(i) = value;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

std::uint32_t update_portable(std::uint32_t state, ByteSpan bytes) {
  for (const std::byte byte : bytes) {
    state = kTable[(state ^ static_cast<std::uint32_t>(byte)) & 0xFFU] ^ state >> 8;
  }
  return state;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t update_hardware(std::uint32_t state,
                                                                ByteSpan bytes) {
  // Pointers: this loop reads every byte of the WAL.
  const std::byte* byte = bytes.data();
  const std::byte* const end = byte + bytes.size();
  std::uint64_t wide = state;
  for (; end - byte >= 8; byte += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, byte, sizeof word);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; byte != end; ++byte)
    narrow = _mm_crc32_u8(narrow, std::to_integer<unsigned char>(*byte));
  return narrow;
}
#endif

std::uint32_t update_state(std::uint32_t state, ByteSpan bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return update_hardware(state, bytes);
#endif
  return update_portable(state, bytes);
}

// Polynomials over GF(2) modulo that of CRC-32C, reflected: the highest bit is x^0.
std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1U << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1U) != 0 ? b >> 1 ^ kPolynomial : b >> 1;
  }
  return product;
}

}  // namespace

void Crc32c::update(ByteSpan bytes) { state_ = update_state(state_, bytes); }

std::uint32_t crc32c_of_both(ByteSpan first, ByteSpan second) {
  return update_state(update_state(0xFFFFFFFFU, first), second) ^ 0xFFFFFFFFU;
}

// Appending a byte multiplies by x^8, so appending n multiplies by x^(8n), by repeated squaring.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::uint64_t length) {
  std::uint32_t power = 1U << 23;  // x^8
  for (; length != 0; length >>= 1) {
    if ((length & 1U) != 0) first = multiply(power, first);
    power = multiply(power, power);
  }
  return first ^ second;
}

}  // namespace pitr
