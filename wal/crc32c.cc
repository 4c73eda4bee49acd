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
  std::uint64_t wide = state;
  while (bytes.size() >= 8) {
    wide = _mm_crc32_u64(wide, load<std::uint64_t>(bytes, 0));
    bytes = bytes.subspan(8);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (const std::byte byte : bytes) {
    narrow = _mm_crc32_u8(narrow, static_cast<unsigned char>(byte));
  }
  return narrow;
}
#endif

}  // namespace

void Crc32c::update(ByteSpan bytes) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) {
    state_ = update_hardware(state_, bytes);
    return;
  }
#endif
  state_ = update_portable(state_, bytes);
}

}  // namespace pitr
