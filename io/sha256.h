// SHA-256, of PostgreSQL's backup_manifest.
#pragma once

#include <memory>
#include <string>

#include "common/bytes.h"

namespace pitr {

class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  Sha256(Sha256&&) = delete;
  Sha256& operator=(Sha256&&) = delete;
  ~Sha256();

  void update(ByteSpan bytes);
  std::string finish_hex();  // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace pitr
