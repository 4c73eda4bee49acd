#include "io/copy.h"

#include <algorithm>

#include "io/read_ahead.h"

namespace pitr {

std::uint64_t copy(const CopySource& source, std::uint64_t offset, std::uint64_t length, Ring& ring,
                   ArchiveWriter& writer, const BlockObserver& observer) {
  ReadAhead reads({.source = source.file,
                   .direct = source.direct,
                   .offset = offset,
                   .length = length,
                   .reads = ArchiveWriter::kMostRawBuffersHeld},
                  ring, [&] { return writer.take_block(); });
  std::uint64_t done = 0;
  bool ended = false;
  while (done < length && !ended) {
    Buffer block = reads.next();
    const std::uint64_t expected = std::min<std::uint64_t>(block.capacity(), length - done);
    ended = block.size() < expected;
    if (block.size() == 0) break;
    done += block.size();
    if (observer) observer(block.space().first(block.size()));
    writer.put_block(std::move(block));
  }
  return done;
}

}  // namespace pitr
