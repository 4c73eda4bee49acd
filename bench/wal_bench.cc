// How fast a segment is read: the record reader alone, the WAL index, and beside them the CRC-32C
// and the codec over the same bytes. PITR_BENCH_WAL names a folder of real segments; see README.md.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "io/codec.h"
#include "wal/crc32c.h"
#include "wal/segment_index.h"

namespace pitr {
namespace {

using Segment = std::vector<std::byte>;

constexpr std::size_t kMostSegments = 8;  // 128 MiB: more than any cache holds

std::vector<Segment> read_segments() {
  std::vector<std::filesystem::path> paths;
  const char* folder = std::getenv("PITR_BENCH_WAL");
  if (folder == nullptr) return {};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (SegmentName::parse(entry.path().filename().string())) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  paths.resize(std::min(paths.size(), kMostSegments));
  std::vector<Segment> segments;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    const ByteSpan bytes = as_byte_span(text);
    segments.emplace_back(bytes.begin(), bytes.end());
  }
  return segments;
}

const std::vector<Segment>& segments() {
  static const std::vector<Segment> all = read_segments();
  return all;
}

// Runs `step` over one segment after the other.
template <typename Step>
void over_segments(benchmark::State& state, const Step& step) {
  if (segments().empty()) {
    state.SkipWithError("PITR_BENCH_WAL names no folder of WAL segments");
    return;
  }
  std::size_t i = 0;
  std::size_t bytes = 0;
  while (state.KeepRunning()) {
    const Segment& segment = segments()[i++ % segments().size()];
    step(segment);
    bytes += segment.size();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

Lsn start_of(const Segment& segment) {
  const auto header = parse_page_header(segment);
  return header ? header->address : 0;
}

// As the archiver feeds it: a block at a time.
template <typename Consumer>
void feed_blocks(Consumer& consumer, ByteSpan segment) {
  constexpr std::size_t kBlock = std::size_t{256} * 1024;
  for (; !segment.empty(); segment = segment.subspan(std::min(kBlock, segment.size())))
    consumer.feed(segment.first(std::min(kBlock, segment.size())));
}

void crc_of_bytes(benchmark::State& state) {
  over_segments(state, [](const Segment& segment) { benchmark::DoNotOptimize(crc32c(segment)); });
}
BENCHMARK(crc_of_bytes);

void read_records(benchmark::State& state) {
  over_segments(state, [](const Segment& segment) {
    RecordScanner scanner(start_of(segment), segment.size(), {});
    feed_blocks(scanner, segment);
    benchmark::DoNotOptimize(scanner.last_record());
  });
}
BENCHMARK(read_records);

void index_segment(benchmark::State& state) {
  over_segments(state, [](const Segment& segment) {
    SegmentIndexer indexer(start_of(segment), segment.size());
    feed_blocks(indexer, segment);
    benchmark::DoNotOptimize(indexer.finish());
  });
}
BENCHMARK(index_segment);

// As the archiver compresses it: each block on its own.
void compress_lz4(benchmark::State& state) {
  constexpr std::size_t kBlock = std::size_t{256} * 1024;
  BlockCodec codec({.codec = Codec::kLz4});
  std::vector<std::byte> output(kBlock);
  over_segments(state, [&](const Segment& segment) {
    for (ByteSpan rest = segment; !rest.empty(); rest = rest.subspan(kBlock))
      benchmark::DoNotOptimize(codec.compress(rest.first(kBlock), output));
  });
}
BENCHMARK(compress_lz4);

}  // namespace
}  // namespace pitr

BENCHMARK_MAIN();
