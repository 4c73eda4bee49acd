// Writes an archived file: blocks that are checksummed and compressed in parallel, then the
// trailer.
#pragma once

#include <cstdint>
#include <vector>

#include "io/archive_format.h"
#include "io/buffer_pool.h"
#include "io/byte_stream.h"
#include "io/ordered_workers.h"

namespace pitr {

struct EncodeOptions {
  Compression compression;
  unsigned jobs = 1;  // threads that compress
  std::uint32_t block_size = kUsualBlockSize;
};

// The memory of a writer, made once and used for one file after the other.
class EncodeBuffers {
 public:
  explicit EncodeBuffers(const EncodeOptions& options);

 private:
  friend class ArchiveWriter;
  EncodeOptions options_;
  std::size_t tasks_;
  BufferPool raw_;
  BufferPool stored_;
  std::vector<BlockCodec> codecs_;  // one for each worker
};

// Used by one thread. A writer that is destroyed before finish() has written an unusable beginning:
// its sink is dropped with it.
class ArchiveWriter {
 public:
  // How many raw buffers a caller may hold besides the writer's own: reads in flight.
  static constexpr std::size_t kMostRawBuffersHeld = 4;

  ArchiveWriter(ByteSink& sink, EncodeBuffers& buffers);

  // Raw bytes of any length.
  void append(ByteSpan bytes);

  // Without a copy: fill a buffer up to the block size, then put it. Only the last block of a file
  // may be shorter, and nothing may be left over from append().
  Buffer take_block();
  void put_block(Buffer raw);

  std::uint64_t raw_size() const { return raw_size_ + partial_.size(); }
  std::uint64_t stored_size() const { return stored_size_; }  // bytes given to the sink

  // Writes the remaining block, the sections in this order, and the end. Returns what the contents
  // section says.
  ArchiveContents finish(std::vector<Section> sections);

 private:
  struct BlockTask {
    Buffer raw;
    Buffer stored;
    std::uint64_t number = 0;
  };

  void encode_block(BlockTask& task, unsigned worker);
  void write_oldest_block();
  void write_bytes(ByteSpan bytes);

  ByteSink& sink_;
  EncodeBuffers& buffers_;
  Buffer partial_;  // filled by append()
  std::uint64_t raw_size_ = 0;
  std::uint64_t stored_size_ = 0;
  std::uint64_t block_count_ = 0;
  Xxh3Stream raw_hash_;
  std::vector<std::uint32_t> block_table_;
  OrderedWorkers<BlockTask> workers_;
};

}  // namespace pitr
