// XXH3: finds accidents in what is read back. (It does not find forgery; see SECURITY.md.)
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "common/bytes.h"

namespace pitr {

using Hash128 = std::array<std::byte, 16>;  // XXH128_canonical_t: big-endian, as xxhsum prints it

std::uint64_t xxh3_64(ByteSpan bytes, std::uint64_t seed = 0);

// XXH3-128 of bytes that arrive in pieces.
class Xxh3Stream {
 public:
  Xxh3Stream();
  Xxh3Stream(Xxh3Stream&&) noexcept;
  Xxh3Stream& operator=(Xxh3Stream&&) noexcept;
  Xxh3Stream(const Xxh3Stream&) = delete;
  Xxh3Stream& operator=(const Xxh3Stream&) = delete;
  ~Xxh3Stream();

  void update(ByteSpan bytes);
  Hash128 value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Hash128 hash_of(ByteSpan bytes);  // XXH3-128

std::string to_hex(ByteSpan bytes);  // lower case

}  // namespace pitr
