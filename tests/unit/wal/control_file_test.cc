#include "wal/control_file.h"

#include <cstring>
#include <utility>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "wal/crc32c.h"

namespace pitr {

using testing::error_of;

namespace {

using Contents = std::vector<std::byte>;

constexpr std::size_t kCrcBefore18 = 288;
constexpr std::size_t kCrcOf18 = 292;

template <typename Number>
void set(Contents& contents, std::size_t offset, Number number) {
  std::memcpy(contents.data() + offset, &number, sizeof number);
}

void set_crc(Contents& contents, std::size_t offset) {
  set(contents, offset, crc32c(ByteSpan(contents).first(offset)));
}

// Offsets of ControlFileData on 64-bit machines.
Contents control_file(std::uint32_t control_version, std::uint32_t catalog_version) {
  Contents contents(kControlFileSize);
  set(contents, 0, std::uint64_t{7301122034409873321});
  set(contents, 8, control_version);
  set(contents, 12, catalog_version);
  set(contents, 16, std::uint32_t{6});  // DB_IN_PRODUCTION
  set(contents, 32, Lsn{0x5000110});
  set(contents, 40, Lsn{0x50000D8});
  set(contents, 48, std::uint32_t{3});
  set(contents, 64, std::uint64_t{0x1'0000'02D0});
  set(contents, 180, 100);  // max_connections and its sisters
  set(contents, 184, 8);
  set(contents, 188, 10);
  set(contents, 192, 5);
  set(contents, 196, 64);
  set(contents, 216, std::uint32_t{8192});
  set(contents, 220, std::uint32_t{131072});
  set(contents, 224, std::uint32_t{8192});
  set(contents, 228, std::uint32_t{1U << 24});
  set(contents, 252, std::uint32_t{1});
  set_crc(contents, control_version == 1800 ? kCrcOf18 : kCrcBefore18);
  return contents;
}

Contents control_file_of_15() { return control_file(1300, 202209061); }

}  // namespace

TEST_CASE("pg_control of each release from 13 to 18 is read", "[wal]") {
  const auto [version, catalog_version] = GENERATE(table<unsigned, std::uint32_t>({
      {13, 202007201},
      {14, 202107181},
      {15, 202209061},
      {16, 202307071},
      {17, 202406281},
      {18, 202506291},
  }));
  const ControlFile control =
      ControlFile::parse(control_file(version == 18 ? 1800 : 1300, catalog_version));
  CHECK(control.cluster.postgres_version == version);
  CHECK(control.catalog_version == catalog_version);
  CHECK(control.cluster.system_identifier == 7301122034409873321);
  CHECK(control.cluster.segment_size == SegmentSize{1} << 24);
}

TEST_CASE("pg_control tells the last checkpoint and the settings of a standby", "[wal]") {
  const ControlFile control = ControlFile::parse(control_file_of_15());
  CHECK(control.state == 6);
  CHECK(control.checkpoint == 0x5000110);
  CHECK(control.redo == 0x50000D8);
  CHECK(control.timeline == 3);
  CHECK(control.next_xid == 0x1'0000'02D0);
  CHECK(control.block_size == 8192);
  CHECK(control.blocks_per_file == 131072);
  CHECK(control.data_checksums);
  CHECK(control.max_connections == 100);
  CHECK(control.max_worker_processes == 8);
  CHECK(control.max_wal_senders == 10);
  CHECK(control.max_prepared_transactions == 5);
  CHECK(control.max_locks_per_transaction == 64);
}

TEST_CASE("a cluster without data checksums is told apart", "[wal]") {
  Contents contents = control_file_of_15();
  set(contents, 252, std::uint32_t{0});
  set_crc(contents, kCrcBefore18);
  CHECK_FALSE(ControlFile::parse(contents).data_checksums);
}

TEST_CASE("every damaged byte under the checksum of pg_control is found", "[wal]") {
  const Contents whole = control_file_of_15();
  for (std::size_t offset = 0; offset < kCrcBefore18 + 4; ++offset) {
    Contents damaged = whole;
    damaged[offset] ^= std::byte{1};
    CAPTURE(offset);
    CHECK_THROWS_AS(ControlFile::parse(damaged), Error);
  }
}

TEST_CASE("a pg_control torn by a write at the same moment is damaged", "[wal]") {
  Contents torn = control_file_of_15();
  set(torn, 32, Lsn{0x7000110});  // the new checkpoint, the old checksum
  CHECK(error_of([&] { ControlFile::parse(torn); }).kind == ErrorKind::kCorrupt);
}

TEST_CASE("zeros, or any other file, are no pg_control", "[wal]") {
  CHECK_THROWS_AS(ControlFile::parse(Contents(kControlFileSize)), Error);
  CHECK_THROWS_AS(ControlFile::parse(Contents(kControlFileSize, std::byte{0xFF})), Error);
  CHECK_THROWS_AS(ControlFile::parse(Contents(1U << 20, std::byte{'x'})), Error);
}

TEST_CASE("what stands behind the checksum of pg_control does not matter", "[wal]") {
  Contents contents = control_file_of_15();
  contents.resize(2 * kControlFileSize, std::byte{0xFF});
  contents[kControlFileSize - 1] = std::byte{1};
  CHECK(ControlFile::parse(contents).timeline == 3);
}

TEST_CASE("a pg_control cut short is damaged", "[wal]") {
  const std::size_t length = GENERATE(0U, 8U, 16U, 288U);
  Contents contents = control_file_of_15();
  contents.resize(length);
  CHECK(error_of([&] { ControlFile::parse(contents); }).kind == ErrorKind::kCorrupt);
}

TEST_CASE("a pg_control of an unknown release is refused as such", "[wal]") {
  CHECK(error_of([] { ControlFile::parse(control_file(1201, 201909212)); }).kind ==
        ErrorKind::kMismatch);
  CHECK(error_of([] { ControlFile::parse(control_file(1300, 202209000)); }).kind ==
        ErrorKind::kMismatch);
}

TEST_CASE("an impossible wal_segment_size in pg_control is damage", "[wal]") {
  Contents contents = control_file_of_15();
  set(contents, 228, std::uint32_t{3U << 20});
  set_crc(contents, kCrcBefore18);
  CHECK(error_of([&] { ControlFile::parse(contents); }).kind == ErrorKind::kCorrupt);
}

}  // namespace pitr
