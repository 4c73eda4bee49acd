// Reads that leave the page cache as they found it: what a server has in memory stays there, and
// what it had not does not push it out.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/file.h"

namespace pitr {

// Which pages of a part of a file are in the page cache. Where the kernel does not say it (only a
// file's owner may ask, see mincore(2)), all of them pass for cached.
class CachedPages {
 public:
  CachedPages(const File& file, std::uint64_t offset, std::uint64_t length);

  // Certainly not one of them is.
  bool none() const;

  // Lets go of what was read since and was not cached then. Pages that were written stay.
  void forget_others(const File& file) const;

 private:
  std::uint64_t begin_ = 0;           // a page's first byte
  std::vector<unsigned char> pages_;  // empty: nothing to let go of
};

// The same file, to be read past the page cache (O_DIRECT): what is not cached then needs no copy
// of its own in the kernel. Nothing where the file system cannot do that.
std::optional<File> open_direct(const File& file);

// The file will not be read soon: none of it needs to stay in memory. To be called when it is
// durable.
void forget_cached(const File& file);

}  // namespace pitr
