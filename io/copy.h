// The pipeline that takes a file into an archived file: read ▸ observe ▸ checksum ▸ compress ▸
// write. Reads run ahead in the ring, blocks are compressed on the writer's threads, and what is
// done is written meanwhile: the three overlap, and every byte is read once.
#pragma once

#include <cstdint>
#include <functional>

#include "io/archive_writer.h"
#include "io/file.h"
#include "io/uring.h"

namespace pitr {

// Sees the raw bytes in order, block by block, on the caller's thread, before anything else does.
// It may mend them: a data page that was torn by a write at the same moment is read again.
using BlockObserver = std::function<void(std::span<std::byte> raw)>;

// `direct` is null, or open_direct() of the file: then that is read, and the file only where it
// cannot be.
struct CopySource {
  const File& file;
  const File* direct = nullptr;
};

// Appends `length` bytes of `source` from `offset` on to the writer. Returns how many there were:
// fewer when the file ended before (data files shrink while they are read).
std::uint64_t copy(const CopySource& source, std::uint64_t offset, std::uint64_t length, Ring& ring,
                   ArchiveWriter& writer, const BlockObserver& observer);

}  // namespace pitr
