#include "io/copy.h"

#include <fcntl.h>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "io/archive_reader.h"
#include "io/page_cache.h"

namespace pitr {

using testing::Bytes;

namespace {

constexpr std::uint32_t kBlock = 4096;

struct Copied {
  std::uint64_t count = 0;
  Bytes observed;
  Bytes stored;
};

Copied copied(const std::string& path, std::uint64_t offset, std::uint64_t length, RingMode mode,
              unsigned jobs = 2) {
  EncodeBuffers buffers({.jobs = jobs, .block_size = kBlock});
  testing::MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  Ring ring(mode);
  Copied result;
  const File file = File::open_for_read(path);
  result.count = copy({file}, offset, length, ring, writer, [&](ByteSpan raw) {
    result.observed.insert(result.observed.end(), raw.begin(), raw.end());
  });
  writer.finish({});
  const testing::MemorySource source(sink.bytes);
  ArchiveReader(source).read_all(1, [&](ByteSpan raw, std::uint64_t) {
    result.stored.insert(result.stored.end(), raw.begin(), raw.end());
  });
  return result;
}

}  // namespace

TEST_CASE("a file is copied whole, and every byte is observed in order", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const unsigned jobs = GENERATE(1U, 4U);
  const std::size_t size = GENERATE(0U, 1U, kBlock + 0U, 40U * kBlock + 3U);
  const testing::TemporaryDirectory directory;
  const Bytes raw = testing::random_bytes(size);
  testing::write_file(directory / "f", raw);
  const Copied result = copied(directory / "f", 0, size, mode, jobs);
  CHECK(result.count == size);
  CHECK(result.observed == raw);
  CHECK(result.stored == raw);
}

TEST_CASE("what an observer mends is what is stored", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const testing::TemporaryDirectory directory;
  testing::write_file(directory / "f", Bytes(3 * kBlock + 5, std::byte{1}));
  const File file = File::open_for_read(directory / "f");
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  testing::MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  Ring ring(mode);
  copy({file}, 0, file.size(), ring, writer,
       [](std::span<std::byte> raw) { raw[0] = std::byte{9}; });
  const ArchiveContents contents = writer.finish({});
  Bytes mended(3 * kBlock + 5, std::byte{1});
  for (std::size_t offset = 0; offset < mended.size(); offset += kBlock)
    mended[offset] = std::byte{9};
  CHECK(contents.raw_hash == hash_of(mended));
}

TEST_CASE("without an observer the bytes are copied all the same", "[io]") {
  const testing::TemporaryDirectory directory;
  const Bytes raw = testing::random_bytes(2 * kBlock);
  testing::write_file(directory / "f", raw);
  const File file = File::open_for_read(directory / "f");
  EncodeBuffers buffers({.jobs = 1, .block_size = kBlock});
  testing::MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  Ring ring(RingMode::kAuto);
  CHECK(copy({file}, 0, raw.size(), ring, writer, {}) == raw.size());
  CHECK(writer.finish({}).raw_hash == hash_of(raw));
}

TEST_CASE("a file that cannot be read fails in words, and nothing hangs", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const testing::TemporaryDirectory directory;
  const File file = File::open(directory.path(), O_RDONLY | O_DIRECTORY);  // EISDIR
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  testing::MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  Ring ring(mode);
  const ErrorReport report =
      testing::error_of([&] { copy({file}, 0, 20 * kBlock, ring, writer, {}); });
  CHECK(report.kind == ErrorKind::kSystem);
  CHECK_THAT(report.message, Catch::Contains(directory.path()));
}

TEST_CASE("a part of a file is copied", "[io]") {
  const testing::TemporaryDirectory directory;
  const Bytes raw = testing::random_bytes(10 * kBlock);
  testing::write_file(directory / "f", raw);
  const Copied result = copied(directory / "f", 100, 3 * kBlock + 7, RingMode::kAuto);
  CHECK(result.stored == Bytes(raw.begin() + 100, raw.begin() + 100 + 3 * kBlock + 7));
}

TEST_CASE("a file that is shorter than expected is copied up to its end", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const testing::TemporaryDirectory directory;
  const std::size_t size = GENERATE(0U, 10U, 2U * kBlock + 0U, 5U * kBlock + 10U);
  const Bytes raw = testing::random_bytes(size);
  testing::write_file(directory / "f", raw);
  const Copied result = copied(directory / "f", 0, 20 * kBlock, mode);
  CHECK(result.count == size);
  CHECK(result.stored == raw);
}

TEST_CASE("past the page cache the same bytes are read, to an end within a sector, too", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const std::uint64_t offset = GENERATE(0U, kBlock + 0U, 100U);
  const testing::TemporaryDirectory directory;
  const Bytes raw = testing::random_bytes(20 * kBlock + 5);
  testing::write_file(directory / "f", raw);
  const File file = File::open_for_read(directory / "f");
  const auto direct = open_direct(file);  // nothing on some file systems
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  testing::MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  Ring ring(mode);
  const std::uint64_t count =
      copy({file, direct ? &*direct : nullptr}, offset, raw.size(), ring, writer, {});
  CHECK(count == raw.size() - offset);
  CHECK(writer.finish({}).raw_hash == hash_of(ByteSpan(raw).subspan(offset)));
}

TEST_CASE("what cannot be read past the page cache is read through it", "[io]") {
  const RingMode mode = GENERATE(RingMode::kAuto, RingMode::kOff);
  const testing::TemporaryDirectory directory;
  const Bytes raw = testing::random_bytes(9 * kBlock + 1);
  testing::write_file(directory / "f", raw);
  const File file = File::open_for_read(directory / "f");
  const File refuses = File::open(directory.path(), O_RDONLY | O_DIRECTORY);  // EISDIR
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  testing::MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  Ring ring(mode);
  CHECK(copy({file, &refuses}, 0, raw.size(), ring, writer, {}) == raw.size());
  CHECK(writer.finish({}).raw_hash == hash_of(raw));
}

}  // namespace pitr
