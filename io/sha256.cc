#include "io/sha256.h"

#include <array>
#include <new>

#include <openssl/evp.h>

#include "io/checksum.h"

namespace pitr {

struct Sha256::Context {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (context_->digest == nullptr ||
      EVP_DigestInit_ex(context_->digest, EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_->digest); }

void Sha256::update(ByteSpan bytes) {
  if (EVP_DigestUpdate(context_->digest, bytes.data(), bytes.size()) != 1) throw std::bad_alloc();
}

std::string Sha256::finish_hex() {
  std::array<std::byte, 32> digest{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_->digest, reinterpret_cast<unsigned char*>(digest.data()),
                         &size) != 1) {
    throw std::bad_alloc();
  }
  return to_hex(digest);
}

}  // namespace pitr
