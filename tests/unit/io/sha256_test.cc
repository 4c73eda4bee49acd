#include "io/sha256.h"

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"

namespace pitr {

namespace {

std::string sha256_of(ByteSpan bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish_hex();
}

}  // namespace

// The examples of NIST's "SHA256.pdf" and sha256sum(1) of /dev/null.
TEST_CASE("SHA-256 gives the published values", "[io]") {
  CHECK(Sha256().finish_hex() ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_of(as_byte_span("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of(as_byte_span("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_of(as_byte_span(std::string(1'000'000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 of pieces is that of the whole, wherever it is cut", "[io]") {
  const auto bytes = testing::random_bytes(200);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Sha256 pieces;
    pieces.update(ByteSpan(bytes).first(cut));
    pieces.update(ByteSpan(bytes).subspan(cut));
    CHECK(pieces.finish_hex() == sha256_of(bytes));
  }
}

}  // namespace pitr
