#include "wal/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <immintrin.h>
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

// Polynomials over GF(2) modulo that of CRC-32C, reflected: the highest bit is x^0.
constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1U << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1U) != 0 ? b >> 1 ^ kPolynomial : b >> 1;
  }
  return product;
}

// `value` times `base` to the power of `exponent`.
constexpr std::uint32_t multiply_by_power(std::uint32_t value, std::uint32_t base,
                                          std::uint64_t exponent) {
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1U) != 0) value = multiply(base, value);
    base = multiply(base, base);
  }
  return value;
}

#if defined(__x86_64__)
std::uint64_t word_at(const std::byte* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// The instruction has its result three cycles later, but begins anew in each: so three stretches
// that follow each other are summed at once, and joined afterwards.
constexpr std::size_t kStretch = 256;

// What multiplies a state as if `Bytes` zeros followed: x^(8 * Bytes), less the x^33 that
// multiplying without carry (x) and _mm_crc32_u64 (x^32) put in themselves.
template <std::size_t Bytes>
__attribute__((target("sse4.2,pclmul"))) std::uint64_t followed_by_zeros(std::uint64_t state) {
  constexpr std::uint32_t kOne = 1U << 31;
  constexpr std::uint32_t kX = 1U << 30;
  constexpr std::uint32_t kFactor = multiply_by_power(kOne, kX, 8 * Bytes - 33);
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(state)),
                                               _mm_cvtsi64_si128(kFactor), 0);
  return _mm_crc32_u64(0, static_cast<std::uint64_t>(_mm_cvtsi128_si64(product)));
}

// Pointers: this reads every byte of the WAL and of the data files.
__attribute__((target("sse4.2,pclmul"))) std::uint32_t update_hardware(std::uint32_t state,
                                                                       ByteSpan bytes) {
  const std::byte* byte = bytes.data();
  const std::byte* const end = byte + bytes.size();
  std::uint64_t first = state;
  for (; static_cast<std::size_t>(end - byte) >= 3 * kStretch; byte += 3 * kStretch) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t at = 0; at < kStretch; at += 8) {
      first = _mm_crc32_u64(first, word_at(byte + at));
      second = _mm_crc32_u64(second, word_at(byte + kStretch + at));
      third = _mm_crc32_u64(third, word_at(byte + 2 * kStretch + at));
    }
    first = followed_by_zeros<2 * kStretch>(first) ^ followed_by_zeros<kStretch>(second) ^ third;
  }
  for (; end - byte >= 8; byte += 8)
    first = _mm_crc32_u64(first, word_at(byte));
  auto narrow = static_cast<std::uint32_t>(first);
  for (; byte != end; ++byte)
    narrow = _mm_crc32_u8(narrow, std::to_integer<unsigned char>(*byte));
  return narrow;
}
#endif

std::uint32_t update_state(std::uint32_t state, ByteSpan bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
    return update_hardware(state, bytes);
  }
#endif
  return update_portable(state, bytes);
}

}  // namespace

void Crc32c::update(ByteSpan bytes) { state_ = update_state(state_, bytes); }

std::uint32_t crc32c_of_both(ByteSpan first, ByteSpan second) {
  return update_state(update_state(0xFFFFFFFFU, first), second) ^ 0xFFFFFFFFU;
}

// Appending a byte multiplies by x^8, so appending n multiplies by x^(8n), by repeated squaring.
std::uint32_t crc32c_joined(std::uint32_t first, std::uint32_t second, std::uint64_t length) {
  constexpr std::uint32_t kByte = 1U << 23;  // x^8
  return multiply_by_power(first, kByte, length) ^ second;
}

}  // namespace pitr
