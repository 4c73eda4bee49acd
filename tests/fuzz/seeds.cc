// Makes corpora out of real WAL, for make_corpus:
//   fuzz_seeds LARGE SMALL DECODERS SEGMENT...   consecutive segments of one timeline
// LARGE gets the segments as they are. A short input is tried many times more often, so SMALL gets
// records of each kind that were found, laid out anew in segments of 32 KiB; DECODERS gets the same
// records one by one, and what the segments' indexes are when they are encoded.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <tuple>

#include <fmt/format.h>

#include "fuzz/fuzz_input.h"
#include "fuzz/wal_repair.h"
#include "harness/wal_builder.h"
#include "wal/segment_index.h"

namespace pitr::fuzzing {

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kOfAKind = 3;           // so many records that look alike are kept
constexpr std::size_t kLongestKept = 12'000;  // of a record in a small input
constexpr std::size_t kSmallInput = 24'000;

class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  void write(std::string_view name, ByteSpan bytes) {
    const std::string path = fmt::format("{}/{}-{:04}", path_, name, count_++);
    std::ofstream file(path, std::ios::binary);
    file.write(as_text(bytes).data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) throw std::runtime_error("could not write " + path);
  }
  std::size_t count() const { return count_; }

 private:
  std::string path_;
  std::size_t count_ = 0;
};

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("could not read " + path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const ByteSpan bytes = as_byte_span(text);
  return {bytes.begin(), bytes.end()};
}

// Zeros at the end are put back by the target.
ByteSpan without_zeros_at_end(ByteSpan bytes) {
  std::size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == std::byte{0})
    --size;
  return bytes.first(size);
}

testing::WalRecord record_of(ByteSpan bytes) {
  RecordView view;
  view.parse(bytes, 15);
  const ByteSpan body = bytes.subspan(kRecordHeaderSize);
  return {.manager = view.manager(),
          .info = view.info(),
          .xid = view.xid(),
          .body = {body.begin(), body.end()}};
}

class Seeds {
 public:
  Seeds(Folder large, Folder small, Folder decoders)
      : large_(std::move(large)), small_(std::move(small)), decoders_(std::move(decoders)) {}

  void add_segment(const Bytes& segment) {
    const auto header = parse_page_header(segment);
    if (!header || segment.size() != kSmallestSegment) {
      throw std::runtime_error("that is no segment of 1 MiB");
    }
    const ReaderOptions options{
        .small_segments = false,
        .scanner_pages = 31,
        .indexer_pages = 15,
        .segment_number = static_cast<std::uint32_t>(header->address / kSmallestSegment)};
    version_ = version_of_page_magic(header->magic).value_or(15);
    large_.write("segment", reader_input(options, without_zeros_at_end(segment)));
    add_sections(segment, header->address);
    Bytes copy = segment;
    for (const WalkedRecord& record : repair(copy, options)) {
      if (!record.is_whole || record.offsets.size() > kLongestKept) continue;
      Bytes bytes;
      for (const std::size_t offset : record.offsets)
        bytes.push_back(segment[offset]);
      add_record(bytes);
    }
  }

  void finish() {
    for (const auto& [kind, records] : kept_) {
      for (const Bytes& record : records)
        add_to_small_input(record);
      const auto manager = std::get<0>(kind);
      if (manager <= 10) straddle_border(records.front());
    }
    finish_small_input();
    fmt::print("{} whole segments, {} small inputs, {} for the decoders\n", large_.count(),
               small_.count(), decoders_.count());
  }

 private:
  // Manager, info, number of blocks, whether one has an image, whether one's is compressed.
  using Kind = std::tuple<std::uint8_t, std::uint8_t, std::size_t, bool, bool>;

  void add_sections(const Bytes& segment, Lsn start) {
    SegmentIndexer indexer(start, segment.size());
    indexer.feed(segment);
    const auto write = [&](Decoder decoder, ByteSpan bytes) {
      if (bytes.size() < 32 * 1024) decoders_.write("section", decoder_input(decoder, bytes));
    };
    write(Decoder::kIndex, encode_index(indexer.finish()));
    const SegmentDetails details = indexer.take_details();
    write(Decoder::kXids, encode_xids(details.xids));
    write(Decoder::kChangedBlocks, encode_changed_blocks(details.changed_blocks));
    write(Decoder::kRelationChanges, encode_relation_changes(details.relations));
  }

  void add_record(const Bytes& record) {
    RecordView view;
    view.parse(record, version_);
    bool has_image = false;
    bool is_compressed = false;
    for (const BlockReference& block : view.blocks()) {
      has_image = has_image || block.has_image;
      is_compressed = is_compressed || block.image_is_compressed;
    }
    auto& kept =
        kept_[Kind(view.manager(), view.info(), view.blocks().size(), has_image, is_compressed)];
    if (kept.size() == kOfAKind) return;
    kept.push_back(record);
    Bytes input = {static_cast<std::byte>(version_ - 13)};
    input.insert(input.end(), record.begin(), record.end());
    decoders_.write("record", decoder_input(Decoder::kRecord, input));
  }

  testing::WalBuilder new_wal() const {
    return testing::WalBuilder(options_.start(), {.system_identifier = testing::kSystemIdentifier,
                                                  .segment_size = kSmallSegment,
                                                  .postgres_version = version_});
  }

  void write_small(const testing::WalBuilder& wal) {
    small_.write("records", reader_input(options_, without_zeros_at_end(wal.bytes())));
  }

  void add_to_small_input(const Bytes& record) {
    if (!wal_) wal_.emplace(new_wal());
    wal_->add(record_of(record));
    if (wal_->position() - options_.start() > kSmallInput) finish_small_input();
  }

  void finish_small_input() {
    if (wal_) write_small(*wal_);
    wal_.reset();
  }

  // The record begins in one segment, within its header or behind it, and ends in the next one.
  void straddle_border(const Bytes& record) {
    for (const std::size_t gap : {std::size_t{16}, record.size() / 16 * 8}) {
      testing::WalBuilder wal = new_wal();
      wal.fill_segment(gap);
      wal.add(record_of(record));
      wal.add_commit(700, 1);
      write_small(wal);
    }
  }

  Folder large_;
  Folder small_;
  Folder decoders_;
  ReaderOptions options_;
  unsigned version_ = 15;
  std::map<Kind, std::vector<Bytes>> kept_;
  std::optional<testing::WalBuilder> wal_;
};

}  // namespace

}  // namespace pitr::fuzzing

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 4) {
    fmt::print(stderr, "usage: fuzz_seeds LARGE SMALL DECODERS SEGMENT...\n");
    return 2;
  }
  try {
    using pitr::fuzzing::Folder;
    pitr::fuzzing::Seeds seeds{Folder(arguments[0]), Folder(arguments[1]), Folder(arguments[2])};
    for (std::size_t i = 3; i < arguments.size(); ++i)
      seeds.add_segment(pitr::fuzzing::read_file(arguments[i]));
    seeds.finish();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
