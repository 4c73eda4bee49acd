// The format of an archived file: constants shared by its writer and its reader. The format itself,
// byte by byte, is in io/ARCHIVE_FORMAT.md. Numbers are never reused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "io/checksum.h"
#include "io/codec.h"

namespace pitr {

constexpr std::string_view kArchiveMagic = "PITRFILE";
constexpr std::string_view kArchiveEndMagic = "PITREND\n";
constexpr std::uint16_t kArchiveVersion = 1;

constexpr std::size_t kArchiveHeaderSize = 16;
constexpr std::size_t kBlockHeaderSize = 16;
constexpr std::size_t kDirectoryEntrySize = 32;
constexpr std::size_t kArchiveFooterSize = 32;

// Set in a block's stored length when its bytes are not compressed.
constexpr std::uint32_t kStoredAsIs = 0x8000'0000U;

constexpr std::uint32_t kUsualBlockSize = 256 * 1024;
constexpr std::uint32_t kLargestBlockSize = 16 * 1024 * 1024;

// Section ids; never renumbered.
constexpr std::uint32_t kContentsSection = 1;
constexpr std::uint32_t kBlockTableSection = 2;
constexpr std::uint32_t kIdentitySection = 3;         // storage/file_identity.h
constexpr std::uint32_t kWalIndexSection = 4;         // wal/segment_index.h
constexpr std::uint32_t kTransactionsSection = 5;     // wal/segment_index.h
constexpr std::uint32_t kChangedBlocksSection = 6;    // wal/changed_blocks.h
constexpr std::uint32_t kEncryptionSection = 7;       // foreseen; with kMustUnderstand
constexpr std::uint32_t kRelationChangesSection = 9;  // wal/relation_changes.h

// A reader that does not know a section with this flag refuses the file.
constexpr std::uint32_t kMustUnderstand = 1;

struct Section {
  std::uint32_t id = 0;
  std::uint32_t flags = 0;
  std::vector<std::byte> bytes;
};

// What io/ itself says about a file: the contents section.
struct ArchiveContents {
  Codec codec = Codec::kNone;
  std::uint32_t block_size = 0;
  std::uint64_t raw_size = 0;
  std::uint64_t block_count = 0;
  Hash128 raw_hash{};  // XXH3-128 of the raw bytes
};

}  // namespace pitr
