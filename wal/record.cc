#include "wal/record.h"

#include <algorithm>

namespace pitr {

namespace {

// Ids of the headers that are no block's.
constexpr std::uint8_t kDataShort = 255;
constexpr std::uint8_t kDataLong = 254;
constexpr std::uint8_t kOrigin = 253;
constexpr std::uint8_t kToplevelXid = 252;
constexpr std::uint8_t kLastBlockId = 32;  // XLR_MAX_BLOCK_ID

constexpr std::uint8_t kForkMask = 0x0F;
constexpr std::uint8_t kHasImage = 0x10;
constexpr std::uint8_t kHasData = 0x20;
constexpr std::uint8_t kSameRelation = 0x80;

constexpr std::uint8_t kImageHasHole = 0x01;
constexpr std::uint8_t kImageCompressedBefore15 = 0x02;
constexpr std::uint8_t kImageCompressed = 0x04 | 0x08 | 0x10;  // pglz, lz4, zstd

bool is_compressed(std::uint8_t image_info, unsigned version) {
  return (image_info & (version >= 15 ? kImageCompressed : kImageCompressedBefore15)) != 0;
}

// A cursor without checks at every step: `room` is asked once for each header.
class Cursor {
 public:
  explicit Cursor(ByteSpan bytes) : bytes_(bytes) {}
  bool has(std::size_t count) const { return bytes_.size() - position_ >= count; }
  template <typename Number>
  Number take() {
    Number number;
    std::memcpy(&number, bytes_.data() + position_, sizeof number);
    position_ += sizeof number;
    return number;
  }
  std::size_t position() const { return position_; }

 private:
  ByteSpan bytes_;
  std::size_t position_ = 0;
};

// How much of the record behind the headers belongs to one block.
struct Lengths {
  std::uint32_t image = 0;
  std::uint32_t data = 0;
};

bool parse_image_header(Cursor& cursor, unsigned version, BlockReference& block, Lengths& lengths) {
  constexpr std::size_t kImageHeaderSize = 5;
  if (!cursor.has(kImageHeaderSize)) return false;
  lengths.image = cursor.take<std::uint16_t>();
  block.hole_offset = cursor.take<std::uint16_t>();
  const auto info = cursor.take<std::uint8_t>();
  block.image_is_compressed = is_compressed(info, version);
  if (block.image_is_compressed && (info & kImageHasHole) != 0) {
    if (!cursor.has(sizeof(std::uint16_t))) return false;
    cursor.take<std::uint16_t>();  // the hole's length; otherwise it follows from the image's
  }
  return true;
}

// `previous` is the block before, whose relation may be meant again; null: there is none.
bool parse_block_header(Cursor& cursor, unsigned version, const BlockReference* previous,
                        BlockReference& block, Lengths& lengths) {
  if (!cursor.has(3)) return false;
  const auto flags = cursor.take<std::uint8_t>();
  lengths.data = cursor.take<std::uint16_t>();
  lengths.image = 0;
  block.fork = static_cast<Fork>(flags & kForkMask);
  block.has_image = (flags & kHasImage) != 0;
  block.image_is_compressed = false;
  if (((flags & kHasData) != 0) != (lengths.data != 0) || block.fork > Fork::kInit) return false;
  if (block.has_image && !parse_image_header(cursor, version, block, lengths)) return false;
  if ((flags & kSameRelation) != 0) {
    if (previous == nullptr) return false;
    block.file = previous->file;
  } else {
    if (!cursor.has(sizeof(RelationFile))) return false;
    block.file = cursor.take<RelationFile>();
  }
  if (!cursor.has(sizeof(std::uint32_t))) return false;
  block.block = cursor.take<std::uint32_t>();
  return true;
}

// The piece at `offset`; empty where the bytes at hand end before it does.
ByteSpan piece(ByteSpan bytes, std::uint64_t offset, std::uint32_t length) {
  if (offset + length > bytes.size()) return {};
  return bytes.subspan(offset, length);
}

}  // namespace

bool RecordView::parse(ByteSpan bytes, unsigned version) {
  bytes_ = bytes;
  block_count_ = 0;
  main_data_ = {};
  if (parse_pieces(version)) return true;
  block_count_ = 0;
  main_data_ = {};
  return false;
}

bool RecordView::parse_pieces(unsigned version) {
  const ByteSpan body = bytes_.subspan(kRecordHeaderSize);
  const std::uint64_t body_length = length() - kRecordHeaderSize;
  Cursor cursor(body);
  std::array<Lengths, kMostBlocks> lengths;
  std::uint64_t pieces = 0;  // their lengths' sum
  std::uint32_t main_length = 0;
  while (body_length > cursor.position() + pieces) {
    if (!cursor.has(sizeof(std::uint8_t))) return false;
    const auto id = cursor.take<std::uint8_t>();
    if (id == kDataShort || id == kDataLong) {
      if (!cursor.has(id == kDataShort ? 1 : 4)) return false;
      main_length = id == kDataShort ? cursor.take<std::uint8_t>() : cursor.take<std::uint32_t>();
      pieces += main_length;
      break;  // by convention the main data's header is the last
    }
    if (id == kOrigin || id == kToplevelXid) {
      if (!cursor.has(id == kOrigin ? 2 : 4)) return false;
      if (id == kOrigin) {
        cursor.take<std::uint16_t>();
      } else {
        cursor.take<std::uint32_t>();
      }
      continue;
    }
    if (id > kLastBlockId || block_count_ == kMostBlocks) return false;
    BlockReference& block = blocks_[block_count_];
    Lengths& length = lengths[block_count_];
    block.id = id;
    const BlockReference* previous = block_count_ > 0 ? &blocks_[block_count_ - 1] : nullptr;
    if (!parse_block_header(cursor, version, previous, block, length)) return false;
    pieces += length.image + length.data;
    ++block_count_;
  }
  if (body_length != cursor.position() + pieces) return false;
  std::uint64_t offset = cursor.position();
  for (std::size_t i = 0; i < block_count_; ++i) {
    blocks_[i].image = piece(body, offset, lengths[i].image);
    blocks_[i].data = piece(body, offset + lengths[i].image, lengths[i].data);
    offset += lengths[i].image + lengths[i].data;
  }
  if (offset < body.size()) {
    main_data_ = body.subspan(offset, std::min<std::size_t>(main_length, body.size() - offset));
  }
  return true;
}

}  // namespace pitr
