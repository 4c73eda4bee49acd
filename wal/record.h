// One WAL record: its header, the blocks it touches, its main data.
//
// Formats: XLogRecord and XLogRecordBlockHeader in PostgreSQL's xlogrecord.h, DecodeXLogRecord() in
// xlogreader.c. The same from version 13 to 18 but for the bits of a page image, which changed
// in 15.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>

#include "common/bytes.h"
#include "wal/lsn.h"

namespace pitr {

constexpr std::size_t kRecordHeaderSize = 24;  // SizeOfXLogRecord

// Resource managers that pitr looks into: rmgrlist.h. Never renumbered by PostgreSQL.
enum class ResourceManager : std::uint8_t {
  kXlog = 0,
  kTransaction = 1,
  kStorage = 2,
  kDatabase = 4,
  kTablespace = 5,
  kStandby = 8,
  kHeap = 10,
  kFirstCustom = 128,  // those of extensions: RM_MIN_CUSTOM_ID
};

// A relation's file, whatever relation it belongs to now: RelFileLocator.
struct RelationFile {
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;
  std::uint32_t number = 0;

  auto operator<=>(const RelationFile&) const = default;
};

enum class Fork : std::uint8_t { kMain = 0, kFreeSpaceMap = 1, kVisibilityMap = 2, kInit = 3 };

struct BlockReference {
  RelationFile file;
  Fork fork = Fork::kMain;
  std::uint8_t id = 0;
  bool has_image = false;
  bool image_is_compressed = false;
  std::uint16_t hole_offset = 0;  // of an image that is not compressed: the zeros left out of it
  std::uint32_t block = 0;
  ByteSpan image;  // empty where the bytes at hand do not hold all of it
  ByteSpan data;   // the same
};

// Reads a record's pieces in place. Reused from record to record: nothing is allocated.
class RecordView {
 public:
  // `bytes` is the record or its beginning, at least its header; they must outlive the view. False:
  // the pieces do not add up to the record's length, or their headers are cut off; then only what
  // the header says is to be had.
  bool parse(ByteSpan bytes, unsigned version);

  std::uint32_t length() const { return load<std::uint32_t>(bytes_, 0); }
  std::uint32_t xid() const { return load<std::uint32_t>(bytes_, 4); }
  Lsn previous() const { return load<Lsn>(bytes_, 8); }
  std::uint8_t info() const { return load<std::uint8_t>(bytes_, 16); }
  std::uint8_t manager() const { return load<std::uint8_t>(bytes_, 17); }
  bool is_of(ResourceManager manager) const {
    return this->manager() == static_cast<std::uint8_t>(manager);
  }
  // The manager's own four bits of info.
  std::uint8_t type() const { return info() & 0xF0U; }

  std::span<const BlockReference> blocks() const { return {blocks_.data(), block_count_}; }
  // As far as the bytes at hand hold it.
  ByteSpan main_data() const { return main_data_; }

 private:
  bool parse_pieces(unsigned version);

  static constexpr std::size_t kMostBlocks = 33;  // XLR_MAX_BLOCK_ID + 1

  ByteSpan bytes_;
  ByteSpan main_data_;
  std::array<BlockReference, kMostBlocks> blocks_;
  std::size_t block_count_ = 0;
};

}  // namespace pitr
