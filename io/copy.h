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

// Appends `length` bytes of `source` from `offset` on to the writer. Returns how many there were:
// fewer when the file ended before (data files shrink while they are read). `direct` is null, or
// open_direct() of the source: then that is read, and the source only where it cannot be.
std::uint64_t copy(const File& source, std::uint64_t offset, std::uint64_t length, Ring& ring,
                   ArchiveWriter& writer, const BlockObserver& observer,
                   const File* direct = nullptr);

}  // namespace pitr
