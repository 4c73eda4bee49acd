#include "catalog/backup_summary.h"

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/memory_bytes.h"

namespace pitr {

using testing::error_kind_of;

namespace {

BackupSummary full_summary() {
  BackupSummary summary{.id = "20261123T153936Z-F", .label = "nightly \xFF", .method = "files"};
  summary.timeline = 3;
  summary.start_lsn = 0x2000028;
  summary.stop_lsn = 0x2000100;
  summary.started_at = Instant(std::chrono::microseconds(1'795'000'000'123'456));
  summary.finished_at = summary.started_at + std::chrono::seconds(3);
  summary.last_commit_at = summary.started_at - std::chrono::seconds(1);
  summary.size_bytes = 1ULL << 43;
  summary.stored_bytes = 1ULL << 42;
  summary.file_count = 1'000'000;
  summary.postgres_version = 15;
  summary.block_size = 8192;
  summary.data_checksums = true;
  summary.host = "db1";
  summary.data_directory = "/var/lib/postgresql/15/main";
  summary.settings = {.max_connections = 100,
                      .max_worker_processes = 8,
                      .max_wal_senders = 10,
                      .max_prepared_transactions = 0,
                      .max_locks_per_transaction = 64};
  summary.tablespaces = {{.oid = 16384, .path = "/fast"}, {.oid = 4294967295, .path = ""}};
  summary.side_files = {{.purpose = "backup_label", .path = "", .object = "backup_label"},
                        {.purpose = "hba_file", .path = "/etc/hba", .object = "side-00000001"}};
  summary.page_errors = {{.path = "base/1/1259", .block = 4294967295}};
  return summary;
}

}  // namespace

TEST_CASE("a summary is read back as it was written", "[catalog]") {
  CHECK(decode_summary(encode_summary(full_summary())) == full_summary());
  CHECK(decode_summary(encode_summary(BackupSummary{})) == BackupSummary{});
}

TEST_CASE("a summary cut short or with something behind it is damaged", "[catalog]") {
  const auto bytes = encode_summary(full_summary());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK(error_kind_of([&] { decode_summary(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_summary(longer); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a summary of another version is damaged", "[catalog]") {
  auto bytes = encode_summary(full_summary());
  bytes[0] ^= std::byte{0x40};
  CHECK(error_kind_of([&] { decode_summary(bytes); }) == ErrorKind::kCorrupt);
}

TEST_CASE("foreign and damaged bytes never make a summary of enormous lists", "[catalog]") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const auto bytes = testing::random_bytes(300, seed);
    CHECK(error_kind_of([&] { decode_summary(bytes); }) == ErrorKind::kCorrupt);
  }
  // Any byte may have been changed: an answer or kCorrupt, and not a gigabyte of elements.
  const auto whole = encode_summary(full_summary());
  for (std::size_t offset = 0; offset < whole.size(); ++offset) {
    auto damaged = whole;
    damaged[offset] = std::byte{0xFF};
    try {
      (void)decode_summary(damaged);
    } catch (const Error& error) {
      CHECK(error.report().kind == ErrorKind::kCorrupt);
    }
  }
}

}  // namespace pitr
