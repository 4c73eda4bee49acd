#include "basebackup/page_checksum.h"

#include <array>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"

namespace pitr {

using testing::Bytes;
using testing::TemporaryDirectory;

namespace {

constexpr std::size_t kPageSize = 8192;

// Gives a page its checksum, as PageSetChecksumInplace() does.
Bytes sealed(Bytes page, std::uint32_t block) {
  const std::uint16_t checksum = page_checksum(page, block);
  page[8] = static_cast<std::byte>(checksum & 0xFFU);
  page[9] = static_cast<std::byte>(checksum >> 8);
  return page;
}

// The file of a relation in a new cluster with checksums; empty when there is no initdb. initdb
// refuses to run as root.
Bytes file_of_new_cluster(const std::string& path) {
  const std::string bin = "/usr/lib/postgresql/15/bin/";
  if (!testing::exists(bin + "initdb")) return {};
  const TemporaryDirectory directory;
  std::string as_other;
  if (geteuid() == 0) {
    as_other = "setpriv --reuid=postgres --regid=postgres --clear-groups ";
    const std::string give = fmt::format("chown postgres '{}'", directory.path());
    REQUIRE(std::system(give.c_str()) == 0);
  }
  const std::string command =
      fmt::format("{}{}initdb -k -N -A trust --no-instructions -D '{}/data' > /dev/null 2>&1",
                  as_other, bin, directory.path());
  REQUIRE(std::system(command.c_str()) == 0);
  return testing::read_file(directory / ("data/" + path));
}

}  // namespace

TEST_CASE("a sealed page is valid and every changed byte makes it invalid", "[basebackup]") {
  for (const std::uint32_t block : {0U, 1U, 131072U, 4294967295U}) {
    const Bytes page = sealed(testing::random_bytes(kPageSize, block + 1), block);
    CHECK(page_is_valid(page, block));
    CHECK_FALSE(page_is_valid(page, block ^ 1U));  // a page of another place
  }
  const Bytes page = sealed(testing::random_bytes(kPageSize), 7);
  for (std::size_t offset = 0; offset < kPageSize; offset += 61) {
    Bytes changed = page;
    changed[offset] ^= std::byte{1};
    CAPTURE(offset);
    CHECK_FALSE(page_is_valid(changed, 7));
  }
}

TEST_CASE("a page of zeros is valid anywhere", "[basebackup]") {
  Bytes page(kPageSize);
  CHECK(page_is_valid(page, 0));
  CHECK(page_is_valid(page, 12345));
  page.back() = std::byte{1};
  CHECK_FALSE(page_is_valid(page, 0));
}

TEST_CASE("pages of other sizes have checksums, too", "[basebackup]") {
  for (const std::size_t size : {1024U, 4096U, 16384U, 32768U})
    CHECK(page_is_valid(sealed(testing::random_bytes(size), 3), 3));
}

TEST_CASE("a checksum is never zero", "[basebackup]") {
  for (std::uint32_t seed = 0; seed < 200; ++seed)
    CHECK(page_checksum(testing::random_bytes(1024, seed), seed) != 0);
}

TEST_CASE("the LSN of a page is its first field, the high half first", "[basebackup]") {
  Bytes page(kPageSize);
  page[0] = std::byte{0x0A};
  page[4] = std::byte{0x28};
  page[7] = std::byte{0x02};
  CHECK(page_lsn(page) == 0xA02000028);
}

TEST_CASE("PostgreSQL's own pages are valid, and no longer when a byte is changed",
          "[basebackup]") {
  const Bytes file = file_of_new_cluster("base/1/1259");
  if (file.empty()) {
    WARN("skipped: there is no initdb of version 15");
    return;
  }
  REQUIRE(file.size() % kPageSize == 0);
  REQUIRE(file.size() >= 4 * kPageSize);
  for (std::size_t offset = 0; offset < file.size(); offset += kPageSize) {
    const auto block = static_cast<std::uint32_t>(offset / kPageSize);
    const ByteSpan page = ByteSpan(file).subspan(offset, kPageSize);
    CAPTURE(block);
    CHECK(page_is_valid(page, block));
    CHECK(page_lsn(page) > 0);
    Bytes changed(page.begin(), page.end());
    for (std::size_t at = block % 7; at < kPageSize; at += 509) {
      changed[at] ^= std::byte{0x80};
      CHECK_FALSE(page_is_valid(changed, block));
      changed[at] ^= std::byte{0x80};
    }
  }
}

}  // namespace pitr
