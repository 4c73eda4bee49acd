#include "io/page_cache.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fmt/format.h>

namespace pitr {

namespace {

bool is_cached(unsigned char page) { return (page & 1U) != 0; }

}  // namespace

CachedPages::CachedPages(const File& file, std::uint64_t offset, std::uint64_t length) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  begin_ = offset / page * page;
  const std::uint64_t bytes = offset + length - begin_;
  if (length == 0) return;
  // Nothing is read through the mapping: it only names the pages.
  void* const mapped =
      mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.descriptor(), static_cast<off_t>(begin_));
  if (mapped == MAP_FAILED) return;
  pages_.resize((bytes + page - 1) / page);
  const bool known = mincore(mapped, bytes, pages_.data()) == 0;
  munmap(mapped, bytes);
  if (!known || std::all_of(pages_.begin(), pages_.end(), is_cached)) pages_.clear();
}

bool CachedPages::none() const {
  return !pages_.empty() && std::none_of(pages_.begin(), pages_.end(), is_cached);
}

void CachedPages::forget_others(const File& file) const {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (auto from = pages_.begin(); from != pages_.end();) {
    const auto first = std::find_if_not(from, pages_.end(), is_cached);
    from = std::find_if(first, pages_.end(), is_cached);
    if (first == from) return;
    const auto at = begin_ + static_cast<std::uint64_t>(first - pages_.begin()) * page;
    // A hint: where it is not taken, memory is used for longer.
    posix_fadvise(file.descriptor(), static_cast<off_t>(at),
                  static_cast<off_t>(static_cast<std::uint64_t>(from - first) * page),
                  POSIX_FADV_DONTNEED);
  }
}

std::optional<File> open_direct(const File& file) {
  // By its descriptor: the name may be another file's by now.
  const std::string own = fmt::format("/proc/self/fd/{}", file.descriptor());
  const int descriptor = ::open(own.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  return File(descriptor, file.path());
}

void forget_cached(const File& file) {
  posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace pitr
