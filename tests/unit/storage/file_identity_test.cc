#include "storage/file_identity.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/wal_builder.h"

namespace pitr {

namespace {

FileIdentity identity() {
  return {.kind = FileKind::kTail,
          .name = "000000010000000000000003.tail-00001000-0123456789abcdef",
          .cluster_name = "main",
          .cluster = testing::kCluster,
          .timeline = 1,
          .start_lsn = 0x300000,
          .end_lsn = 0x301000,
          .created_at = Instant(std::chrono::microseconds(1'795'000'000'123'456))};
}

}  // namespace

TEST_CASE("an identity is read back as it was written", "[storage]") {
  const FileIdentity found = decode_identity(encode_identity(identity()));
  CHECK(found.kind == FileKind::kTail);
  CHECK(found.name == identity().name);
  CHECK(found.cluster_name == "main");
  CHECK(found.cluster.system_identifier == testing::kSystemIdentifier);
  CHECK(found.cluster.segment_size == testing::k1MiB);
  CHECK(found.cluster.postgres_version == 15);
  CHECK(found.timeline == 1);
  CHECK(found.start_lsn == 0x300000);
  CHECK(found.end_lsn == 0x301000);
  CHECK(found.created_at == identity().created_at);
}

TEST_CASE("an identity of a later version is refused, not misread", "[storage]") {
  auto bytes = encode_identity(identity());
  bytes[0] = std::byte{2};
  CHECK(testing::error_kind_of([&] { decode_identity(bytes); }) == ErrorKind::kCorrupt);
}

TEST_CASE("an identity with a name that cannot be there takes no memory", "[storage]") {
  auto bytes = encode_identity(identity());
  const std::size_t length_of_name = bytes.size() - identity().name.size() - 4;
  for (std::size_t i = 0; i < 4; ++i)
    bytes[length_of_name + i] = std::byte{0xFF};
  CHECK(testing::error_kind_of([&] { decode_identity(bytes); }) == ErrorKind::kCorrupt);
}

TEST_CASE("an identity with an impossible segment size is damaged", "[storage]") {
  FileIdentity impossible = identity();
  impossible.cluster.segment_size = GENERATE(0U, 1U, 3U << 20, 1U << 31);
  CHECK(testing::error_kind_of([&] { decode_identity(encode_identity(impossible)); }) ==
        ErrorKind::kCorrupt);
}

TEST_CASE("an identity cut short or with something behind it is damaged", "[storage]") {
  const auto bytes = encode_identity(identity());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK(testing::error_kind_of([&] { decode_identity(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(testing::error_kind_of([&] { decode_identity(longer); }) == ErrorKind::kCorrupt);
}

}  // namespace pitr
