#include "io/archive_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <lz4.h>
#include <zstd.h>

namespace pitr {

namespace {

std::size_t stored_capacity(std::uint32_t block_size) {
  const std::size_t bound = std::max<std::size_t>(
      static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(block_size))),
      ZSTD_compressBound(block_size));
  return kBlockHeaderSize + bound;
}

// Blocks that are being compressed or wait for their turn to be written.
std::size_t tasks_in_flight(unsigned jobs) { return jobs == 1 ? 1 : 2 * std::size_t{jobs}; }

}  // namespace

EncodeBuffers::EncodeBuffers(const EncodeOptions& options)
    : options_(options),
      tasks_(tasks_in_flight(options.jobs)),
      raw_(tasks_ + 1 + ArchiveWriter::kMostRawBuffersHeld, options.block_size),
      stored_(tasks_ + 1 + kMostBuffersHeld, stored_capacity(options.block_size)) {
  for (unsigned job = 0; job < options.jobs; ++job)
    codecs_.emplace_back(options.compression);
}

ArchiveWriter::ArchiveWriter(ByteSink& sink, EncodeBuffers& buffers)
    : sink_(sink),
      buffers_(buffers),
      workers_(buffers.options_.jobs, buffers.tasks_,
               [this](BlockTask& task, unsigned worker) { encode_block(task, worker); }) {
  ByteWriter header;
  header.put_bytes(as_byte_span(kArchiveMagic));
  header.put(kArchiveVersion);
  header.put(static_cast<std::uint16_t>(buffers.options_.compression.codec));
  header.put(buffers.options_.block_size);
  write_bytes(header.bytes());
}

void ArchiveWriter::append(ByteSpan bytes) {
  while (!bytes.empty()) {
    if (!partial_) partial_ = take_block();
    const std::size_t count = std::min(bytes.size(), partial_.capacity() - partial_.size());
    std::memcpy(partial_.data() + partial_.size(), bytes.data(), count);
    partial_.set_size(partial_.size() + count);
    bytes = bytes.subspan(count);
    if (partial_.size() == partial_.capacity()) put_block(std::move(partial_));
  }
}

Buffer ArchiveWriter::take_block() {
  Buffer buffer = buffers_.raw_.acquire();
  buffer.set_size(0);
  return buffer;
}

void ArchiveWriter::put_block(Buffer raw) {
  assert(!partial_ || partial_.size() == 0);
  raw_size_ += raw.size();
  raw_hash_.update(raw.bytes());
  if (workers_.full()) write_oldest_block();
  BlockTask task;
  task.raw = std::move(raw);
  task.stored = buffers_.stored_.acquire();
  task.number = block_count_++;
  workers_.submit(std::move(task));
}

void ArchiveWriter::encode_block(BlockTask& task, unsigned worker) {
  const ByteSpan raw = task.raw.bytes();
  const std::span<std::byte> payload = task.stored.space().subspan(kBlockHeaderSize);
  std::size_t size = buffers_.codecs_[worker].compress(raw, payload);
  std::uint32_t stored_length = static_cast<std::uint32_t>(size);
  if (size == 0) {
    std::memcpy(payload.data(), raw.data(), raw.size());
    size = raw.size();
    stored_length = static_cast<std::uint32_t>(size) | kStoredAsIs;
  }
  task.stored.set_size(kBlockHeaderSize + size);
  const auto raw_length = static_cast<std::uint32_t>(raw.size());
  std::memcpy(task.stored.data() + 8, &raw_length, sizeof raw_length);
  std::memcpy(task.stored.data() + 12, &stored_length, sizeof stored_length);
  // The block's number is the seed: a block that stands in another's place is found out.
  const std::uint64_t checksum = xxh3_64(task.stored.bytes().subspan(8), task.number);
  std::memcpy(task.stored.data(), &checksum, sizeof checksum);
}

void ArchiveWriter::write_oldest_block() {
  BlockTask task = workers_.take();
  block_table_.push_back(load<std::uint32_t>(task.stored.bytes(), 12));
  stored_size_ += task.stored.size();
  sink_.append(std::move(task.stored));
}

void ArchiveWriter::write_bytes(ByteSpan bytes) {
  while (!bytes.empty()) {
    Buffer buffer = buffers_.stored_.acquire();
    const std::size_t count = std::min(bytes.size(), buffer.capacity());
    std::memcpy(buffer.data(), bytes.data(), count);
    buffer.set_size(count);
    stored_size_ += count;
    bytes = bytes.subspan(count);
    sink_.append(std::move(buffer));
  }
}

ArchiveContents ArchiveWriter::finish(std::vector<Section> sections) {
  if (partial_ && partial_.size() > 0) put_block(std::move(partial_));
  while (!workers_.empty())
    write_oldest_block();

  const ArchiveContents contents{.codec = buffers_.options_.compression.codec,
                                 .block_size = buffers_.options_.block_size,
                                 .raw_size = raw_size_,
                                 .block_count = block_count_,
                                 .raw_hash = raw_hash_.value()};
  ByteWriter table;
  for (const std::uint32_t length : block_table_)
    table.put(length);
  sections.push_back({.id = kBlockTableSection, .bytes = table.take()});
  ByteWriter described;
  described.put(static_cast<std::uint16_t>(contents.codec));
  described.put(std::uint16_t{0});
  described.put(contents.block_size);
  described.put(contents.raw_size);
  described.put(contents.block_count);
  described.put_bytes(contents.raw_hash);
  sections.push_back({.id = kContentsSection, .bytes = described.take()});

  ByteWriter directory;
  for (const Section& section : sections) {
    directory.put(section.id);
    directory.put(section.flags);
    directory.put(stored_size_);
    directory.put(static_cast<std::uint64_t>(section.bytes.size()));
    directory.put(xxh3_64(section.bytes, section.id));
    write_bytes(section.bytes);
  }
  const std::size_t directory_size = directory.bytes().size();
  ByteWriter footer;
  footer.put(stored_size_ + directory_size + kArchiveFooterSize);
  footer.put(static_cast<std::uint32_t>(sections.size()));
  footer.put(kArchiveVersion);
  footer.put(std::uint16_t{0});
  footer.put_bytes(as_byte_span(kArchiveEndMagic));
  ByteWriter checked;
  checked.put_bytes(directory.bytes());
  checked.put_bytes(footer.bytes());
  const std::uint64_t checksum = xxh3_64(checked.bytes());
  write_bytes(directory.bytes());
  ByteWriter end;
  end.put(checksum);
  end.put_bytes(footer.bytes());
  write_bytes(end.bytes());
  return contents;
}

}  // namespace pitr
