// What the fuzz targets' inputs look like: record_reader_fuzz.cc, decoders_fuzz.cc and
// stored_fuzz.cc read them, the mutator, the seeds and the regressions write them.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/error.h"
#include "wal/lsn.h"
#include "wal/page_header.h"

namespace pitr::fuzzing {

// Record reader: a header of eight bytes, then pages of WAL.
//   0     bit 0: segments of 32 KiB, so that a short input has several, instead of 1 MiB
//   1, 2  pages in a piece that the scanner, the indexer is fed, less 1
//   3     pages that one more scan leaves out at the beginning
//   4..7  number of the first segment
constexpr std::size_t kReaderHeaderSize = 8;
constexpr std::uint8_t kSmallSegments = 1;
constexpr SegmentSize kSmallSegment = SegmentSize{32} * 1024;
constexpr std::size_t kMostSegments = 3;

struct ReaderOptions {
  bool small_segments = true;
  std::uint8_t scanner_pages = 0;
  std::uint8_t indexer_pages = 0;
  std::uint8_t left_out_pages = 0;
  std::uint32_t segment_number = 3;

  SegmentSize segment_size() const { return small_segments ? kSmallSegment : kSmallestSegment; }
  Lsn start() const { return segment_number * segment_size(); }
};

inline ReaderOptions read_options(ByteSpan header) {
  return {.small_segments = (load<std::uint8_t>(header, 0) & kSmallSegments) != 0,
          .scanner_pages = load<std::uint8_t>(header, 1),
          .indexer_pages = load<std::uint8_t>(header, 2),
          .left_out_pages = load<std::uint8_t>(header, 3),
          .segment_number = load<std::uint32_t>(header, 4)};
}

inline std::vector<std::byte> reader_input(const ReaderOptions& options, ByteSpan wal) {
  ByteWriter writer;
  writer.put(options.small_segments ? kSmallSegments : std::uint8_t{0});
  writer.put(options.scanner_pages);
  writer.put(options.indexer_pages);
  writer.put(options.left_out_pages);
  writer.put(options.segment_number);
  writer.put_bytes(wal);
  return writer.take();
}

// Decoders: a byte that says which one, then its bytes.
enum class Decoder : std::uint8_t {
  kIndex,
  kXids,
  kChangedBlocks,
  kRelationChanges,
  kTimelineHistory,  // the timeline in four bytes, then the file
  kControlFile,      // the checksum is made right
  kRawControlFile,
  kWalFileName,
  kRecord,  // the version less 13 in one byte, then the record or its beginning
};
constexpr std::uint8_t kDecoders = 9;

// What is read back from a repository, the state directory, a server or an operator: a byte that
// says which one, then its bytes.
enum class StoredDecoder : std::uint8_t {
  kArchive,  // an archived file; the checksums, and what follows from its size, are made right
  kRawArchive,
  kIdentity,
  kBackupSummary,
  kJournalEntry,
  kJournal,  // the file; magics, lengths and checksums are made right
  kRawJournal,
  kLogSummary,
  kManifestLine,
  kBackupFiles,  // lines of a manifest, whose files are read from two objects: stored_cases.h
  kBackupLabel,
  kMapLine,
  kTar,  // bytes in a piece, less 1, in one byte, then the archive; the checksums are made right
  kRawTar,
  kConfiguration,
  kTime,
  kNumber,  // a size, a duration, an LSN, a key
};
constexpr std::uint8_t kStoredDecoders = 17;

template <typename AnyDecoder>
std::vector<std::byte> decoder_input(AnyDecoder decoder, ByteSpan bytes) {
  ByteWriter writer;
  writer.put(static_cast<std::uint8_t>(decoder));
  writer.put_bytes(bytes);
  return writer.take();
}

struct Case {
  std::string name;
  std::vector<std::byte> input;
};

// An invariant that does not hold. Nobody catches it under libFuzzer, which takes it for a crash.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

// Nothing where the bytes are refused, which only pitr::Error may do. `most_bytes` of what it says.
template <typename Decode>
auto decoded(const Decode& decode, std::size_t most_bytes = 1024)
    -> std::optional<decltype(decode())> {
  try {
    return decode();
  } catch (const Error& error) {
    require(!error.report().message.empty(), "an error without a message");
    require(error.report().message.size() + error.report().detail.size() < most_bytes,
            "an error with an endless message");
    return std::nullopt;
  }
}

}  // namespace pitr::fuzzing
