// A folder for one rehearsal: nobody else uses the scratch space meanwhile, and what a rehearsal
// that was killed has left there is removed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "io/file.h"

namespace pitr {

// Throws kUsage for a scratch space inside a folder that must stay as it is.
void check_scratch_space(const std::string& scratch, const std::vector<std::string>& forbidden);

// Throws kSystem where less than so many bytes are free.
void check_free_space(const std::string& scratch, std::uint64_t needed_bytes);

class ScratchDirectory {
 public:
  // Makes the scratch space where it is missing. Throws kSystem when another rehearsal holds it for
  // longer than the timeout.
  ScratchDirectory(const std::string& scratch, std::chrono::milliseconds lock_timeout);
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ScratchDirectory(ScratchDirectory&&) = delete;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;
  ~ScratchDirectory();  // removes it

  const std::string& path() const { return path_; }
  // It stays, and no later rehearsal takes it for a leftover.
  void keep();

 private:
  File lock_;  // the scratch space
  std::string path_;
  bool kept_ = false;
};

}  // namespace pitr
