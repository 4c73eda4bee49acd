#include "basebackup/backup_stream.h"

#include <cstring>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/errors.h"

namespace pitr {

namespace {

constexpr std::size_t kBlock = 512;

// The header of a file; `fields` are texts by their offset.
std::vector<std::byte> header(const std::vector<std::pair<std::size_t, std::string_view>>& fields) {
  std::vector<std::byte> block(kBlock);
  std::memcpy(block.data(), "base/1259", 9);
  block[156] = static_cast<std::byte>('0');
  for (const auto& [offset, text] : fields)
    std::memcpy(block.data() + offset, text.data(), text.size());
  std::fill_n(block.begin() + 148, 8, static_cast<std::byte>(' '));
  unsigned sum = 0;
  for (const std::byte byte : block)
    sum += std::to_integer<unsigned>(byte);
  const std::string checksum = fmt::format("{:06o}", sum);
  std::memcpy(block.data() + 148, checksum.data(), checksum.size());
  return block;
}

TarReader::Member read(ByteSpan archive) {
  TarReader::Member found;
  TarReader reader({.on_member = [&](const TarReader::Member& member) { found = member; },
                    .on_data = [](ByteSpan) {},
                    .on_end = [] {}});
  reader.feed(archive);
  reader.finish();
  return found;
}

}  // namespace

TEST_CASE("the header of a file in a backup stream is read", "[basebackup]") {
  const TarReader::Member file = read(
      header({{100, "0000600"}, {108, "0000032"}, {124, "00000000000"}, {136, "00000000144"}}));
  CHECK(file.path == "base/1259");
  CHECK(file.mode == 0600);
  CHECK(file.user == 26);
  CHECK(file.modified_at == Instant(std::chrono::seconds(100)));
}

// tmpfs and others keep any 64 bits: such a file must not end the backup, nor be undefined.
TEST_CASE("a file of a moment that no instant can be has the nearest one", "[basebackup]") {
  const std::string_view far("\x80\0\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12);
  const std::string_view past("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12);
  CHECK(read(header({{136, far}})).modified_at == Instant::max());
  CHECK(read(header({{136, past}})).modified_at == Instant::min());
}

}  // namespace pitr
