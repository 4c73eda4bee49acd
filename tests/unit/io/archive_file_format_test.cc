// The writer and the reader of archived files, one against the other.
#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <catch2/catch.hpp>

#include "harness/child_process.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "io/archive_reader.h"
#include "io/archive_writer.h"

namespace pitr {

using testing::Bytes;
using testing::compressible_bytes;
using testing::error_kind_of;
using testing::error_of;
using testing::MemorySink;
using testing::MemorySource;
using testing::random_bytes;

namespace {

constexpr std::uint32_t kBlock = 4096;
constexpr std::uint32_t kOwnSection = kIdentitySection;

Bytes archived(const Bytes& raw, Codec codec = Codec::kLz4, unsigned jobs = 1,
               std::uint32_t block_size = kBlock, std::vector<Section> sections = {}) {
  EncodeBuffers buffers({.compression = {codec, 1}, .jobs = jobs, .block_size = block_size});
  MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  writer.append(raw);
  const ArchiveContents contents = writer.finish(std::move(sections));
  CHECK(contents.raw_size == raw.size());
  CHECK(writer.stored_size() == sink.bytes.size());
  return std::move(sink.bytes);
}

Bytes contents_of(const ArchiveReader& reader, unsigned jobs = 1) {
  Bytes raw;
  reader.read_all(jobs, [&](ByteSpan block, std::uint64_t offset) {
    CHECK(offset == raw.size());
    raw.insert(raw.end(), block.begin(), block.end());
  });
  return raw;
}

// Everything that a stored file holds; throws for a damaged one.
std::pair<Bytes, Bytes> everything_in(const Bytes& file) {
  const MemorySource source(file);
  const ArchiveReader reader(source);
  Bytes sections;
  for (std::uint32_t id = 0; id < 8; ++id) {
    if (const auto bytes = reader.section(id)) {
      sections.push_back(static_cast<std::byte>(id));
      sections.insert(sections.end(), bytes->begin(), bytes->end());
    }
  }
  return {contents_of(reader), sections};
}

Bytes small_file() {
  return archived(compressible_bytes(700), Codec::kLz4, 1, 256,
                  {{.id = kOwnSection, .bytes = testing::bytes_of("who I am")},
                   {.id = kWalIndexSection, .bytes = testing::bytes_of("index")}});
}

// Damaged, it must be refused as such, or the damage must be without any consequence.
bool is_found_out(const Bytes& damaged, const std::pair<Bytes, Bytes>& intact) {
  try {
    return everything_in(damaged) == intact;
  } catch (const Error& error) {
    return error.report().kind == ErrorKind::kCorrupt;
  }
}

// A file without blocks whose contents section says something else. A reader takes the first
// section of an id, so the writer's own, which are right, stand behind.
Bytes file_that_claims(std::uint16_t codec, std::uint32_t block_size, std::uint64_t raw_size,
                       std::uint64_t block_count) {
  ByteWriter claimed;
  claimed.put(codec);
  claimed.put(std::uint16_t{0});
  claimed.put(block_size);
  claimed.put(raw_size);
  claimed.put(block_count);
  claimed.put_bytes(Xxh3Stream().value());
  return archived(
      {}, Codec::kLz4, 1, 256,
      {{.id = kContentsSection, .bytes = claimed.take()}, {.id = kBlockTableSection, .bytes = {}}});
}

}  // namespace

TEST_CASE("an archived file gives back what went in", "[io]") {
  const Codec codec = GENERATE(Codec::kNone, Codec::kLz4, Codec::kZstd);
  const unsigned jobs = GENERATE(1U, 2U, 4U);
  const std::size_t size =
      GENERATE(0U, 1U, kBlock - 1U, kBlock + 0U, kBlock + 1U, 3U * kBlock, 20U * kBlock + 17U);
  const bool compressible = GENERATE(true, false);
  CAPTURE(codec, jobs, size, compressible);
  const Bytes raw = compressible ? compressible_bytes(size) : random_bytes(size);

  const Bytes file = archived(raw, codec, jobs);
  const MemorySource source(file);
  const ArchiveReader reader(source);
  CHECK(reader.contents().codec == codec);
  CHECK(reader.contents().raw_size == size);
  CHECK(reader.contents().block_size == kBlock);
  CHECK(reader.contents().block_count == (size + kBlock - 1) / kBlock);
  CHECK(contents_of(reader, jobs) == raw);
  CHECK(file == archived(raw, codec, 1));  // the number of jobs does not show
}

TEST_CASE("bytes may be appended in pieces of any length", "[io]") {
  const Bytes raw = compressible_bytes(10'000);
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  std::size_t done = 0;
  for (std::size_t piece = 1; done < raw.size(); piece = piece * 3 % 5003) {
    const ByteSpan bytes = ByteSpan(raw).subspan(done, std::min(piece, raw.size() - done));
    writer.append(bytes);
    done += bytes.size();
    CHECK(writer.raw_size() == done);
  }
  writer.finish({});
  CHECK(sink.bytes == archived(raw));
}

TEST_CASE("blocks may be filled without a copy, and buffers be used again", "[io]") {
  const Bytes raw = compressible_bytes(2 * kBlock + 5);
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  for (int round = 0; round < 3; ++round) {
    MemorySink sink;
    ArchiveWriter writer(sink, buffers);
    for (std::size_t offset = 0; offset < raw.size(); offset += kBlock) {
      const ByteSpan part =
          ByteSpan(raw).subspan(offset, std::min<std::size_t>(kBlock, raw.size() - offset));
      Buffer block = writer.take_block();
      std::copy(part.begin(), part.end(), block.space().begin());
      block.set_size(part.size());
      writer.put_block(std::move(block));
    }
    writer.finish({});
    CHECK(sink.bytes == archived(raw));
  }
}

TEST_CASE("a writer may be given up before its end, and its buffers be used again", "[io]") {
  EncodeBuffers buffers({.jobs = 2, .block_size = kBlock});
  for (int round = 0; round < 20; ++round) {
    MemorySink sink;
    ArchiveWriter writer(sink, buffers);
    writer.append(compressible_bytes(5 * kBlock + 1));
  }
  MemorySink sink;
  ArchiveWriter writer(sink, buffers);
  writer.finish({});
  const MemorySource source(sink.bytes);
  CHECK(ArchiveReader(source).contents().raw_size == 0);
}

TEST_CASE("sections are kept beside the contents", "[io]") {
  const Bytes file = small_file();
  const MemorySource source(file);
  const ArchiveReader reader(source);
  CHECK(as_text(reader.section(kOwnSection).value()) == "who I am");
  CHECK(as_text(reader.section(kWalIndexSection).value()) == "index");
  CHECK_FALSE(reader.section(kTransactionsSection));
}

TEST_CASE("sections larger than what is read of the end at once are kept", "[io]") {
  const Bytes large = random_bytes(100'000);
  const Bytes file =
      archived(compressible_bytes(5000), Codec::kLz4, 1, kBlock,
               {{.id = kTransactionsSection, .bytes = large}, {.id = kOwnSection, .bytes = {}}});
  const MemorySource source(file);
  const ArchiveReader reader(source);
  CHECK(reader.section(kTransactionsSection).value() == large);
  CHECK(reader.section(kOwnSection).value().empty());
  CHECK(contents_of(reader) == compressible_bytes(5000));
}

TEST_CASE("a reader refuses a file with a section that it must understand", "[io]") {
  const Bytes file = archived(compressible_bytes(100), Codec::kLz4, 1, kBlock,
                              {{.id = kEncryptionSection, .flags = kMustUnderstand, .bytes = {}}});
  const MemorySource source(file);
  const ErrorReport report = error_of([&] { ArchiveReader reader(source); });
  CHECK(report.kind == ErrorKind::kCorrupt);
  CHECK_THAT(report.detail, Catch::Contains("section 7"));
}

TEST_CASE("a reader passes over an unknown section that it need not understand", "[io]") {
  const Bytes file = archived(compressible_bytes(100), Codec::kLz4, 1, kBlock,
                              {{.id = 4711, .bytes = testing::bytes_of("later")}});
  const MemorySource source(file);
  CHECK(contents_of(ArchiveReader(source)) == compressible_bytes(100));
}

TEST_CASE("every flipped bit of an archived file is found out", "[io]") {
  const Bytes whole = small_file();
  const auto intact = everything_in(whole);
  const auto bit = static_cast<std::byte>(1U << GENERATE(0U, 3U, 7U));
  for (std::size_t offset = 0; offset < whole.size(); ++offset) {
    Bytes damaged = whole;
    damaged[offset] ^= bit;
    CAPTURE(offset);
    CHECK_THROWS_AS(everything_in(damaged), Error);
    CHECK(is_found_out(damaged, intact));
  }
}

TEST_CASE("every overwritten byte of an incompressible file is found out", "[io]") {
  const Bytes whole = archived(random_bytes(600), Codec::kZstd, 1, 256);
  const auto intact = everything_in(whole);
  const std::byte value = GENERATE(std::byte{0}, std::byte{0xFF});
  for (std::size_t offset = 0; offset < whole.size(); ++offset) {
    Bytes damaged = whole;
    damaged[offset] = value;
    CAPTURE(offset);
    CHECK(is_found_out(damaged, intact));
  }
}

TEST_CASE("an archived file cut off anywhere is damaged", "[io]") {
  const Bytes whole = small_file();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(error_kind_of([&] { everything_in(cut); }) == ErrorKind::kCorrupt);
  }
}

TEST_CASE("bytes behind or before an archived file are found out", "[io]") {
  const Bytes whole = small_file();
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { everything_in(longer); }) == ErrorKind::kCorrupt);
  Bytes twice = whole;
  twice.insert(twice.end(), whole.begin(), whole.end());
  CHECK(error_kind_of([&] { everything_in(twice); }) == ErrorKind::kCorrupt);
  Bytes shifted = whole;
  shifted.insert(shifted.begin(), std::byte{0});
  CHECK(error_kind_of([&] { everything_in(shifted); }) == ErrorKind::kCorrupt);
}

TEST_CASE("blocks that changed places are found out", "[io]") {
  // Stored as they are, so that both have the same length and only their places tell them apart.
  constexpr std::size_t kStored = kBlockHeaderSize + 256;
  Bytes file = archived(random_bytes(512), Codec::kNone, 1, 256);
  const auto first = file.begin() + kArchiveHeaderSize;
  std::swap_ranges(first, first + kStored, first + kStored);
  CHECK(error_kind_of([&] { everything_in(file); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a block of another archived file in a block's place is found out", "[io]") {
  constexpr std::size_t kStored = kBlockHeaderSize + 256;
  Bytes file = archived(random_bytes(512, 1), Codec::kNone, 1, 256);
  const Bytes other = archived(random_bytes(512, 2), Codec::kNone, 1, 256);
  std::copy_n(other.begin() + kArchiveHeaderSize, kStored, file.begin() + kArchiveHeaderSize);
  CHECK(error_kind_of([&] { everything_in(file); }) == ErrorKind::kCorrupt);
}

// XXH3 finds accidents, not forgery: what a file says of itself may be wrong under a right
// checksum.
TEST_CASE("contents that contradict themselves are refused, and lead nowhere", "[io]") {
  struct Claim {
    std::uint16_t codec;
    std::uint32_t block_size;
    std::uint64_t raw_size;
    std::uint64_t block_count;
  };
  const auto claim = GENERATE(values<Claim>({
      {1, 256, 1000, 0},
      {1, 256, 0, 1},
      {1, 256, 1, ~std::uint64_t{0}},
      {1, 0, 0, 0},
      {1, 0xFFFFFFFF, 0, 0},
      {77, 256, 0, 0},
      {0, 256, 0, 0},  // not what the header says
  }));
  CHECK(error_kind_of([&] {
          const MemorySource source(
              file_that_claims(claim.codec, claim.block_size, claim.raw_size, claim.block_count));
          const ArchiveReader reader(source);
        }) == ErrorKind::kCorrupt);
}

// raw_size + block_size - 1 is more than 64 bits hold.
TEST_CASE("a size of contents near the largest number is refused, not wrapped around", "[io]") {
  const auto raw_size = GENERATE(~std::uint64_t{0}, ~std::uint64_t{0} - 254);
  CHECK(testing::returns_in_child([&] {
    const MemorySource source(file_that_claims(1, 256, raw_size, 0));
    if (error_kind_of([&] {
          ArchiveReader(source).read_range(0, 1, [](ByteSpan, std::uint64_t) {});
        }) != ErrorKind::kCorrupt) {
      std::abort();
    }
  }));
}

TEST_CASE("random files are damaged, whatever they end with", "[io]") {
  for (std::uint32_t seed = 0; seed < 500; ++seed) {
    Bytes file = random_bytes(48 + seed, seed);
    if (seed % 2 == 0) {
      const ByteSpan magic = as_byte_span(kArchiveEndMagic);
      std::copy(magic.begin(), magic.end(), file.end() - 8);
    }
    CHECK(error_kind_of([&] { everything_in(file); }) == ErrorKind::kCorrupt);
  }
}

TEST_CASE("damage names the stored file", "[io]") {
  const MemorySource source(Bytes(100));
  CHECK_THAT(error_of([&] { ArchiveReader reader(source); }).message, Catch::Contains("memory"));
}

TEST_CASE("damage is found by every number of jobs, and blocks before it are handed on", "[io]") {
  const unsigned jobs = GENERATE(1U, 2U, 4U);
  Bytes file = archived(random_bytes(20 * 256), Codec::kNone, 1, 256);
  file[kArchiveHeaderSize + 10 * (kBlockHeaderSize + 256) + 50] ^= std::byte{1};
  const MemorySource source(file);
  const ArchiveReader reader(source);
  std::uint64_t seen = 0;
  CHECK(error_kind_of([&] {
          reader.read_all(jobs, [&](ByteSpan block, std::uint64_t) { seen += block.size(); });
        }) == ErrorKind::kCorrupt);
  CHECK(seen == 10 * 256);
}

TEST_CASE("what a consumer throws ends the reading", "[io]") {
  const unsigned jobs = GENERATE(1U, 4U);
  const Bytes file = archived(compressible_bytes(20 * 256), Codec::kLz4, 1, 256);
  const MemorySource source(file);
  const ArchiveReader reader(source);
  CHECK_THROWS_WITH(reader.read_all(jobs,
                                    [](ByteSpan, std::uint64_t offset) {
                                      if (offset > 1000) throw std::runtime_error("enough");
                                    }),
                    "enough");
}

TEST_CASE("a range of the contents is read without the rest", "[io]") {
  const Bytes raw = random_bytes(5 * 256 + 100);
  const Bytes file = archived(raw, Codec::kLz4, 1, 256);
  const MemorySource source(file);
  const ArchiveReader reader(source);
  const auto [offset, length] = GENERATE(table<std::size_t, std::size_t>({
      {0, 0},
      {0, 1},
      {0, 1380},
      {255, 2},
      {256, 256},
      {300, 700},
      {1379, 1},
      {1380, 0},
  }));
  CAPTURE(offset, length);
  Bytes found;
  reader.read_range(offset, length, [&, first = offset](ByteSpan bytes, std::uint64_t at) {
    CHECK(at == first + found.size());
    found.insert(found.end(), bytes.begin(), bytes.end());
  });
  const ByteSpan expected = ByteSpan(raw).subspan(offset, length);
  CHECK(found == Bytes(expected.begin(), expected.end()));
}

TEST_CASE("a range beyond the contents is refused", "[io]") {
  const Bytes file = archived(random_bytes(1000), Codec::kLz4, 1, 256);
  const MemorySource source(file);
  const ArchiveReader reader(source);
  const auto [offset, length] = GENERATE(table<std::uint64_t, std::uint64_t>({
      {0, 1001},
      {1000, 1},
      {1001, 0},
      {1, ~std::uint64_t{0}},
      {~std::uint64_t{0}, 1},
  }));
  CHECK_THROWS_AS(
      reader.read_range(offset, length, [](ByteSpan, std::uint64_t) { FAIL("handed on"); }), Error);
}

TEST_CASE("a range does not touch damage elsewhere, and finds it where it reads", "[io]") {
  const Bytes raw = random_bytes(1024);
  Bytes file = archived(raw, Codec::kNone, 1, 256);
  file[kArchiveHeaderSize + 2 * (kBlockHeaderSize + 256) + 50] ^= std::byte{1};  // third block
  const MemorySource source(file);
  const ArchiveReader reader(source);
  Bytes found;
  const auto take = [&](ByteSpan bytes, std::uint64_t) {
    found.insert(found.end(), bytes.begin(), bytes.end());
  };
  reader.read_range(0, 512, take);
  CHECK(found == Bytes(raw.begin(), raw.begin() + 512));
  CHECK(error_kind_of([&] { reader.read_range(512, 1, take); }) == ErrorKind::kCorrupt);
}

}  // namespace pitr
