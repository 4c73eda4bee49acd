#include "wal/page_header.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"
#include "harness/wal_builder.h"

namespace pitr {

using testing::error_of;
using testing::k1MiB;
using testing::kCluster;
using testing::words;

namespace {

constexpr Lsn kStart = 5 * k1MiB;

SegmentName name_of(Lsn start, TimelineId timeline = 1) {
  return SegmentName::containing(timeline, start, k1MiB);
}

std::vector<std::byte> first_page(const ClusterIdentity& cluster = kCluster,
                                  TimelineId timeline = 1) {
  testing::WalBuilder wal(kStart, cluster, timeline);
  wal.add_filler(100);
  std::vector<std::byte> bytes = wal.bytes();
  bytes.resize(kUsualWalPageSize);
  return bytes;
}

ErrorReport refusal(ByteSpan page, std::uint64_t size = k1MiB,
                    const SegmentName& name = name_of(kStart)) {
  return error_of([&] { check_segment_header(page, size, name, kCluster); });
}

}  // namespace

TEST_CASE("the first page of a segment says whose it is and where it lies", "[wal]") {
  const auto header = parse_page_header(first_page()).value();
  CHECK(header.magic == 0xD110);
  CHECK(header.is_long());
  CHECK(header.size() == kLongPageHeaderSize);
  CHECK(header.timeline == 1);
  CHECK(header.address == kStart);
  CHECK(header.system_identifier == testing::kSystemIdentifier);
  CHECK(header.segment_size == k1MiB);
  CHECK(header.page_size == kUsualWalPageSize);
}

TEST_CASE("a page too short for its header has none", "[wal]") {
  const auto page = first_page();
  CHECK(parse_page_header(ByteSpan(page).first(kLongPageHeaderSize)));
  CHECK_FALSE(parse_page_header(ByteSpan(page).first(kLongPageHeaderSize - 1)));
  CHECK_FALSE(parse_page_header(ByteSpan(page).first(kShortPageHeaderSize)));
  CHECK_FALSE(parse_page_header(ByteSpan{}));
}

TEST_CASE("each release from 13 to 18 has its page magic", "[wal]") {
  CHECK(version_of_page_magic(0xD106) == 13U);
  CHECK(version_of_page_magic(0xD10D) == 14U);
  CHECK(version_of_page_magic(0xD110) == 15U);
  CHECK(version_of_page_magic(0xD113) == 16U);
  CHECK(version_of_page_magic(0xD116) == 17U);
  CHECK(version_of_page_magic(0xD118) == 18U);
  CHECK_FALSE(version_of_page_magic(0xD101));  // 12
  CHECK_FALSE(version_of_page_magic(0));
}

TEST_CASE("a segment of this cluster is accepted, whichever release wrote it", "[wal]") {
  ClusterIdentity cluster = kCluster;
  cluster.postgres_version = GENERATE(13U, 14U, 15U, 16U, 17U, 18U);
  CHECK_NOTHROW(check_segment_header(first_page(cluster), k1MiB, name_of(kStart), cluster));
}

TEST_CASE("the first segment of a new timeline begins with its parent's pages", "[wal]") {
  CHECK_NOTHROW(check_segment_header(first_page(), k1MiB, name_of(kStart, 2), kCluster));
}

TEST_CASE("a segment of a later timeline than its name is refused", "[wal]") {
  const ErrorReport report = refusal(first_page(kCluster, 3), k1MiB, name_of(kStart, 2));
  CHECK(report.kind == ErrorKind::kMismatch);
  CHECK_THAT(words(report), Catch::Contains("timeline 3"));
}

TEST_CASE("a segment of another cluster is refused with both identifiers", "[wal]") {
  ClusterIdentity other = kCluster;
  other.system_identifier = 7289450113274518899;
  const ErrorReport report = refusal(first_page(other));
  CHECK(report.kind == ErrorKind::kMismatch);
  CHECK_THAT(report.message, Catch::Contains("\"000000010000000000000005\"") &&
                                 Catch::Contains("another database cluster"));
  CHECK_THAT(report.detail,
             Catch::Contains("7289450113274518899") && Catch::Contains("7301122034409873321"));
  CHECK_FALSE(report.hint.empty());
}

TEST_CASE("a segment of another PostgreSQL version is refused", "[wal]") {
  ClusterIdentity other = kCluster;
  other.postgres_version = 16;
  const ErrorReport report = refusal(first_page(other));
  CHECK(report.kind == ErrorKind::kMismatch);
  CHECK_THAT(words(report), Catch::Contains("16") && Catch::Contains("15"));
}

TEST_CASE("a file that is too short or too long is refused", "[wal]") {
  const std::uint64_t size = GENERATE(std::uint64_t{0}, k1MiB - 1, k1MiB + 1, 16 * k1MiB);
  const ErrorReport report = refusal(first_page(), size);
  CHECK(report.kind == ErrorKind::kMismatch);
  CHECK_THAT(report.message, Catch::Contains("wrong size"));
  CHECK_THAT(report.detail, Catch::Contains(std::to_string(size)));
}

TEST_CASE("a segment whose header tells another segment size is refused", "[wal]") {
  ClusterIdentity other = kCluster;
  other.segment_size = 2 * k1MiB;
  testing::WalBuilder wal(4 * k1MiB, other);
  wal.add_filler(100);
  const ErrorReport report = refusal(wal.bytes(), k1MiB, name_of(4 * k1MiB));
  CHECK(report.kind == ErrorKind::kMismatch);
  CHECK_THAT(words(report), Catch::Contains(std::to_string(2 * k1MiB)));
}

TEST_CASE("a segment under another segment's name is refused", "[wal]") {
  const ErrorReport report = refusal(first_page(), k1MiB, name_of(kStart + k1MiB));
  CHECK(report.kind == ErrorKind::kMismatch);
  CHECK_THAT(words(report), Catch::Contains("0/500000") && Catch::Contains("0/600000"));
}

TEST_CASE("a name that no segment of this size can have is refused", "[wal]") {
  const ErrorReport report =
      refusal(first_page(), k1MiB, {.timeline = 1, .log = 0, .segment = 0x1000});
  CHECK(report.kind == ErrorKind::kMismatch);
}

TEST_CASE("no magic but those of the releases is known", "[wal]") {
  int known = 0;
  for (std::uint32_t magic = 0; magic <= 0xFFFF; ++magic) {
    if (version_of_page_magic(static_cast<std::uint16_t>(magic))) ++known;
  }
  CHECK(known == 6);
}

TEST_CASE("the header of a segment cut anywhere is refused", "[wal]") {
  const auto page = first_page();
  for (std::size_t length = 0; length < kLongPageHeaderSize; ++length)
    CHECK(refusal(ByteSpan(page).first(length)).kind == ErrorKind::kCorrupt);
}

TEST_CASE("a header of random bytes is refused", "[wal]") {
  for (std::uint32_t seed = 0; seed < 200; ++seed)
    CHECK_THROWS_AS(check_segment_header(testing::random_bytes(kUsualWalPageSize, seed), k1MiB,
                                         name_of(kStart), kCluster),
                    Error);
}

TEST_CASE("a file that does not begin like a segment is refused as damaged", "[wal]") {
  std::vector<std::byte> page = first_page();
  SECTION("zeros") { std::fill(page.begin(), page.end(), std::byte{0}); }
  SECTION("an unknown magic") { page[0] = std::byte{0x77}; }
  SECTION("a short header") { page[2] = std::byte{0}; }
  SECTION("nothing") { page.clear(); }
  CHECK(refusal(page).kind == ErrorKind::kCorrupt);
}

}  // namespace pitr
