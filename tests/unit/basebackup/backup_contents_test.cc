#include "basebackup/backup_contents.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/child_process.h"
#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/wal_builder.h"
#include "io/archive_writer.h"
#include "storage/memory_storage.h"
#include "wal/crc32c.h"

namespace pitr {

using testing::Bytes;
using testing::error_kind_of;

namespace {

constexpr const char* kId = "20261123T153936Z-F";
constexpr const char* kBundle = "bundle-00000001";
constexpr std::uint32_t kBlockSize = 256;

const ClusterKey kMain{.name = "main", .system_identifier = testing::kSystemIdentifier};

// A backup whose one bundle is cut into small blocks.
struct Backup {
  Backup() {
    const auto destination = storage->create(backup_object_key(kMain, kId, kBundle));
    EncodeBuffers buffers({.block_size = kBlockSize});
    ArchiveWriter writer(*destination, buffers);
    writer.append(raw);
    writer.finish(identity_sections({.kind = FileKind::kBackupData,
                                     .name = fmt::format("{}/{}", kId, kBundle),
                                     .cluster_name = kMain.name,
                                     .cluster = testing::kCluster}));
    REQUIRE(destination->commit());
  }

  ManifestEntry file(std::uint64_t position, std::uint64_t length,
                     const std::string& object = kBundle) const {
    ManifestEntry entry{.path = fmt::format("base/{}", position), .size = length};
    entry.extents = {{.object = object, .position = position, .length = length}};
    if (position + length <= raw.size()) {
      entry.crc32c = crc32c(ByteSpan(raw).subspan(position, length));
    }
    return entry;
  }

  // How many of the files are intact.
  std::size_t read(const std::vector<ManifestEntry>& files) const {
    std::vector<const ManifestEntry*> pointers;
    for (const ManifestEntry& entry : files)
      pointers.push_back(&entry);
    std::size_t intact_files = 0;
    contents.read_files(pointers, {.on_end = [&](const ManifestEntry&, bool intact) {
                          intact_files += intact ? 1 : 0;
                        }});
    return intact_files;
  }

  Bytes raw = testing::compressible_bytes(3000);
  std::unique_ptr<Storage> storage = make_memory_storage();
  BackupContents contents{*storage, kMain, kId};
};

}  // namespace

TEST_CASE("the files of a bundle are read in one pass, whatever their order", "[basebackup]") {
  const Backup backup;
  CHECK(backup.read({backup.file(700, 800), backup.file(0, 700), backup.file(2900, 100)}) == 3);
}

TEST_CASE("a file behind the end of its object is damaged", "[basebackup]") {
  const Backup backup;
  CHECK(error_kind_of([&] { backup.read({backup.file(2900, 101)}); }) == ErrorKind::kCorrupt);
  CHECK(error_kind_of([&] { backup.read({backup.file(5000, 1)}); }) == ErrorKind::kCorrupt);
}

// The second one's bytes had been read and dropped when it was its turn.
TEST_CASE("files that overlap are damage, not an abort", "[basebackup]") {
  const Backup backup;
  const std::uint64_t position = GENERATE(0U, 50U, 599U);
  CHECK(testing::returns_in_child([&] {
    const auto kind = error_kind_of([&] {
      backup.read({backup.file(0, 600), backup.file(position, 50)});
    });
    if (kind != ErrorKind::kCorrupt) std::abort();
  }));
}

TEST_CASE("an object with a name that no stored file has is missing", "[basebackup]") {
  const Backup backup;
  const std::string name = GENERATE(std::string(), std::string("../x"), std::string(".x"),
                                    std::string("a//b"), std::string(3000, 'x'));
  CAPTURE(name);
  CHECK(error_kind_of([&] { backup.read({backup.file(0, 5, name)}); }) == ErrorKind::kCorrupt);
}

}  // namespace pitr
