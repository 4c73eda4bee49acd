#include "wal/segment_index.h"

#include <random>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/wal_builder.h"

namespace pitr {

using testing::error_kind_of;
using testing::k1MiB;
using testing::WalBuilder;

namespace {

constexpr Lsn kStart = 3 * k1MiB;

SegmentIndex index_of(ByteSpan segment, Lsn start = kStart) {
  SegmentIndexer indexer(start, k1MiB);
  indexer.feed(segment);
  return indexer.finish();
}

SegmentDetails details_of(ByteSpan segment, Lsn start = kStart) {
  SegmentIndexer indexer(start, k1MiB);
  indexer.feed(segment);
  indexer.finish();
  return indexer.take_details();
}

// The transaction that ends in a record which begins in one segment and ends in the other.
std::optional<TransactionEnd> joined_transaction(const SegmentIndex& first,
                                                 const SegmentIndex& second) {
  JoinedRecord record(first);
  std::optional<TransactionEnd> joined;
  if (!record.is_open() || !record.join(second)) return joined;
  record.visit(15, {.on_transaction_end = [&](const TransactionEnd& t) { joined = t; }});
  return joined;
}

void check_same(const SegmentIndex& a, const SegmentIndex& b) {
  CHECK(encode_index(a) == encode_index(b));
  CHECK(a.complete == b.complete);
  CHECK(a.damaged == b.damaged);
  CHECK(a.ends_in_switch == b.ends_in_switch);
  CHECK(a.xids_omitted == b.xids_omitted);
  CHECK(a.first_record == b.first_record);
  CHECK(a.last_record == b.last_record);
  CHECK(a.end_of_records == b.end_of_records);
  CHECK(a.valid_end == b.valid_end);
  CHECK(a.commits == b.commits);
  CHECK(a.aborts == b.aborts);
  CHECK(a.min_time == b.min_time);
  CHECK(a.max_time == b.max_time);
  CHECK(a.first_commit == b.first_commit);
  CHECK(a.last_commit == b.last_commit);
  CHECK(a.next_xid() == b.next_xid());
  CHECK(a.open_record_taken == b.open_record_taken);
  CHECK(a.open_record_body_crc == b.open_record_body_crc);
  CHECK(a.continuation_crc == b.continuation_crc);
  CHECK(a.restore_points == b.restore_points);
  CHECK(a.open_record == b.open_record);
  CHECK(a.open_record_head == b.open_record_head);
  CHECK(a.continuation_bytes == b.continuation_bytes);
  CHECK(a.continuation_head == b.continuation_head);
}

// Two segments with one commit record of 34 bytes over their boundary.
WalBuilder wal_with_commit_over_boundary(std::size_t in_first) {
  WalBuilder wal(kStart);
  wal.fill_segment(in_first);
  wal.add_commit(700, 123);
  wal.fill_segment();
  return wal;
}

}  // namespace

TEST_CASE("commit times are not monotonic: least and greatest are kept", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 500);
  wal.add_abort(701, 100);
  wal.add_commit(702, 300);
  wal.add_abort(703, 900);
  wal.add_commit(704, 400);
  wal.fill_segment();

  const SegmentIndex index = index_of(wal.bytes());
  CHECK(index.complete);
  CHECK_FALSE(index.damaged);
  CHECK(index.commits == 3);
  CHECK(index.aborts == 2);
  CHECK(index.min_time == 100);
  CHECK(index.max_time == 900);
  CHECK(index.first_commit == 300);
  CHECK(index.last_commit == 500);
  CHECK(index.valid_end == kStart + k1MiB);
}

TEST_CASE("times before 2000 are negative and count as any other", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, -500);
  wal.fill_segment();
  const SegmentIndex index = index_of(wal.bytes());
  CHECK(index.min_time == -500);
  CHECK(index.max_time == -500);
  CHECK(index.last_commit == -500);
}

TEST_CASE("a segment with aborts only has no commit time", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_abort(700, 100);
  wal.fill_segment();
  const SegmentIndex index = index_of(wal.bytes());
  CHECK(index.has_transactions());
  CHECK_FALSE(index.first_commit);
  CHECK_FALSE(index.last_commit);
}

TEST_CASE("transaction ids are sorted, prepared ones under their own id, with subtransactions",
          "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(900, 1);
  wal.add_commit_prepared(800, 2);  // with the subtransaction 801
  wal.add_abort(850, 3);
  wal.fill_segment();
  CHECK(details_of(wal.bytes()).xids == std::vector<std::uint32_t>{800, 801, 850, 900});
}

TEST_CASE("the last checkpoint of a segment gives the next transaction id", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_checkpoint(0x1'0000'0010);
  wal.add_checkpoint(0x1'0000'0020);
  wal.fill_segment();
  CHECK(index_of(wal.bytes()).next_xid() == 0x1'0000'0020);
}

TEST_CASE("a segment not written to its end is incomplete, not damaged", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  wal.add_filler(20'000);
  const SegmentIndex index = index_of(wal.bytes());
  CHECK_FALSE(index.complete);
  CHECK_FALSE(index.damaged);
  CHECK(index.valid_end == wal.position());
}

TEST_CASE("a segment with a damaged record is marked", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  const Lsn bad = wal.add_filler(5000);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  bytes[bad - kStart + 100] ^= std::byte{1};
  const SegmentIndex index = index_of(bytes);
  CHECK(index.damaged);
  CHECK(index.valid_end == bad);
  CHECK(index.commits == 1);
}

TEST_CASE("a switched segment is complete", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  wal.add_switch();
  const SegmentIndex index = index_of(wal.bytes());
  CHECK(index.complete);
  CHECK(index.ends_in_switch);
  CHECK(index.valid_end == kStart + k1MiB);
}

TEST_CASE("the open record's head is bounded", "[wal]") {
  ByteWriter data;
  data.put(std::int64_t{55});
  while (data.bytes().size() < 200'000)
    data.put(std::uint8_t{0});
  WalBuilder wal(kStart);
  wal.fill_segment(120'000);
  wal.add({.manager = 1, .info = 0, .xid = 7, .body = testing::main_data_body(data.bytes())});
  wal.fill_segment();
  const SegmentIndex index = index_of(wal.segment(0));
  CHECK(index.open_record != 0);
  CHECK(index.open_record_head.size() == RecordScanner::kBodyKept);
}

TEST_CASE("an index is read back as it was written", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 500);
  wal.add_restore_point("before", 7);
  wal.add_restore_point("", 8);
  wal.add_checkpoint(99);
  wal.fill_segment(400);
  wal.add_filler(5000);
  wal.add_abort(701, 100);
  const SegmentIndex first = index_of(wal.segment(0));
  check_same(decode_index(encode_index(first)), first);
  const SegmentIndex second = index_of(wal.segment(1), kStart + k1MiB);
  CHECK(second.continuation_bytes > 0);
  check_same(decode_index(encode_index(second)), second);
  check_same(decode_index(encode_index({})), {});
}

TEST_CASE("an index cut short or with something behind it is damaged", "[wal]") {
  SegmentIndex index;
  index.restore_points.push_back({.start = 1, .end = 2, .time = 3, .name = "x"});
  index.open_record_head.resize(5);
  const std::vector<std::byte> bytes = encode_index(index);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    CHECK(error_kind_of([&] { decode_index(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  }
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_index(longer); }) == ErrorKind::kCorrupt);
}

TEST_CASE("an index of a later version is refused, not misread", "[wal]") {
  std::vector<std::byte> bytes = encode_index({});
  bytes[0] = std::byte{3};
  CHECK(error_kind_of([&] { decode_index(bytes); }) == ErrorKind::kCorrupt);
}

TEST_CASE("lengths and counts in an index that cannot be there take no memory", "[wal]") {
  std::vector<std::byte> bytes = encode_index({});
  // The last twelve bytes are two lengths and the number of restore points.
  const std::size_t back = GENERATE(4U, 8U, 12U);
  for (std::size_t i = 0; i < 4; ++i)
    bytes[bytes.size() - back + i] = std::byte{0xFF};
  CHECK(error_kind_of([&] { decode_index(bytes); }) == ErrorKind::kCorrupt);
}

// Hidden, since a million records take seconds to build: `unit_wal "[slow]"`, in ctest
// unit.wal_slow.
TEST_CASE("a segment with more transactions than are kept says so", "[.][slow]") {
  constexpr SegmentSize k64MiB = SegmentSize{1} << 26;
  ClusterIdentity cluster = testing::kCluster;
  cluster.segment_size = k64MiB;
  WalBuilder wal(k64MiB, cluster);
  for (std::uint32_t xid = 0; xid <= SegmentDetails::kMostXids; ++xid)
    wal.add_commit(3 + xid, xid);
  SegmentIndexer indexer(k64MiB, k64MiB);
  indexer.feed(wal.bytes());
  const SegmentIndex index = indexer.finish();
  CHECK(index.commits == SegmentDetails::kMostXids + 1);
  CHECK(index.max_time == SegmentDetails::kMostXids);
  CHECK(index.xids_omitted);
  CHECK(indexer.take_details().xids.empty());
}

TEST_CASE("random bytes are no index", "[wal]") {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes = encode_index({});
    bytes[random() % bytes.size()] = static_cast<std::byte>(random() & 0xFFU);
    try {
      decode_index(bytes);
    } catch (const Error& error) {
      CHECK(error.report().kind == ErrorKind::kCorrupt);
    }
  }
}

TEST_CASE("sorted transaction ids are read back as they were written", "[wal]") {
  std::mt19937 random(11);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::uint32_t> xids(random() % 500);
    for (std::uint32_t& xid : xids)
      xid = static_cast<std::uint32_t>(round % 2 == 0 ? random() : random() % 5000);
    std::sort(xids.begin(), xids.end());
    CHECK(decode_xids(encode_xids(xids)) == xids);
  }
  const std::vector<std::uint32_t> ends = {0, 0, 127, 128, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};
  CHECK(decode_xids(encode_xids(ends)) == ends);
}

TEST_CASE("neighbouring transaction ids take a byte each", "[wal]") {
  std::vector<std::uint32_t> xids;
  for (std::uint32_t xid = 5'000'000; xid < 5'001'000; ++xid)
    xids.push_back(xid);
  CHECK(encode_xids(xids).size() < 1100);
}

TEST_CASE("transaction ids cut short or with something behind them are damaged", "[wal]") {
  const std::vector<std::uint32_t> xids = {700, 701, 100'000, 0xFFFFFFFF};
  const std::vector<std::byte> bytes = encode_xids(xids);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    CHECK(error_kind_of([&] { decode_xids(ByteSpan(bytes).first(length)); }) ==
          ErrorKind::kCorrupt);
  std::vector<std::byte> longer = bytes;
  longer.push_back(std::byte{0});
  CHECK(error_kind_of([&] { decode_xids(longer); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a count of transaction ids that cannot be there reserves no memory", "[wal]") {
  ByteWriter writer;
  writer.put(std::uint32_t{0xFFFFFFFF});
  CHECK(error_kind_of([&] { decode_xids(writer.bytes()); }) == ErrorKind::kCorrupt);
}

TEST_CASE("an empty set of transaction ids is read back", "[wal]") {
  CHECK(decode_xids(encode_xids({})).empty());
  CHECK(error_kind_of([] { decode_xids({}); }) == ErrorKind::kCorrupt);
}

// Five bytes of seven bits hold 35: the fifth may use four of them only.
TEST_CASE("a transaction id with bits beyond the 32nd is damaged", "[wal]") {
  ByteWriter writer;
  writer.put(std::uint32_t{1});
  for (const unsigned byte : {0x80U, 0x80U, 0x80U, 0x80U, 0x10U})
    writer.put(static_cast<std::uint8_t>(byte));
  CHECK(error_kind_of([&] { decode_xids(writer.bytes()); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a transaction id of more than 32 bits is damaged", "[wal]") {
  ByteWriter writer;
  writer.put(std::uint32_t{1});
  for (int i = 0; i < 5; ++i)
    writer.put(std::uint8_t{0xFF});
  CHECK(error_kind_of([&] { decode_xids(writer.bytes()); }) == ErrorKind::kCorrupt);
}

TEST_CASE("a commit over the boundary of two segments is found by joining them", "[wal]") {
  const std::size_t in_first = GENERATE(8U, 16U, 24U, 32U);
  CAPTURE(in_first);
  const WalBuilder wal = wal_with_commit_over_boundary(in_first);
  const SegmentIndex first = index_of(wal.segment(0));
  const SegmentIndex second = index_of(wal.segment(1), kStart + k1MiB);
  CHECK(first.commits + second.commits == 0);

  const auto joined = joined_transaction(first, second);
  REQUIRE(joined);
  CHECK(joined->start == first.open_record);
  CHECK(joined->xid == 700);
  CHECK(joined->time == 123);
  CHECK(joined->is_commit);
}

TEST_CASE("a COMMIT PREPARED over the boundary gives the prepared transaction's id", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(32);
  wal.add_commit_prepared(900, 123);
  wal.fill_segment();
  const auto joined =
      joined_transaction(index_of(wal.segment(0)), index_of(wal.segment(1), kStart + k1MiB));
  REQUIRE(joined);
  CHECK(joined->xid == 900);
}

TEST_CASE("a long commit that covers a whole segment is joined from its beginning", "[wal]") {
  ByteWriter data;
  data.put(std::int64_t{55});
  data.put_bytes(std::vector<std::byte>(k1MiB + 100'000));
  WalBuilder wal(kStart);
  wal.fill_segment(12'000);
  const Lsn commit =
      wal.add({.manager = 1, .info = 0, .xid = 7, .body = testing::main_data_body(data.bytes())});
  wal.fill_segment();
  const SegmentIndex first = index_of(wal.segment(0));
  const SegmentIndex second = index_of(wal.segment(1), kStart + k1MiB);
  const SegmentIndex third = index_of(wal.segment(2), kStart + 2 * k1MiB);
  JoinedRecord record(first);
  REQUIRE(record.is_open());
  REQUIRE(record.join(second));
  CHECK_FALSE(record.is_whole());
  REQUIRE(record.join(third));
  REQUIRE(record.is_whole());
  CHECK(record.is_valid());
  CHECK(record.start() == commit);
  std::optional<TransactionEnd> joined;
  record.visit(15, {.on_transaction_end = [&](const TransactionEnd& t) { joined = t; }});
  REQUIRE(joined);
  CHECK(joined->time == 55);
  CHECK_FALSE(joined_transaction(second, third));

  // The index of one segment in between belongs to other contents: the checksum says so.
  SegmentIndex foreign = second;
  foreign.continuation_crc ^= 1;
  JoinedRecord wrong(first);
  REQUIRE(wrong.join(foreign));
  REQUIRE(wrong.join(third));
  CHECK(wrong.is_whole());
  CHECK_FALSE(wrong.is_valid());
}

TEST_CASE("heads that are damaged or cut short join to nothing", "[wal]") {
  const WalBuilder wal = wal_with_commit_over_boundary(24);
  const SegmentIndex first = index_of(wal.segment(0));
  const SegmentIndex second = index_of(wal.segment(1), kStart + k1MiB);
  REQUIRE(joined_transaction(first, second));
  SegmentIndex empty = first;
  empty.open_record_head.clear();
  CHECK_FALSE(joined_transaction(empty, second));
  SegmentIndex shorter = second;
  shorter.continuation_head.resize(1);
  CHECK_FALSE(joined_transaction(first, shorter));
  SegmentIndex garbage = first;
  std::fill(garbage.open_record_head.begin(), garbage.open_record_head.end(), std::byte{0xFF});
  CHECK_FALSE(joined_transaction(garbage, second));
}

TEST_CASE("no transaction is joined where none is open", "[wal]") {
  const SegmentIndex complete = index_of(testing::complete_segment(kStart));
  const SegmentIndex next = index_of(testing::complete_segment(kStart + k1MiB), kStart + k1MiB);
  CHECK_FALSE(joined_transaction(complete, next));
}

TEST_CASE("a commit that a crash cut off at the segment's end is not joined", "[wal]") {
  WalBuilder cut = wal_with_commit_over_boundary(24);
  const SegmentIndex first = index_of(cut.segment(0));
  const SegmentIndex next = index_of(testing::complete_segment(kStart + k1MiB), kStart + k1MiB);
  REQUIRE(first.open_record != 0);
  CHECK_FALSE(joined_transaction(first, next));
}

TEST_CASE("another record over the boundary is no transaction", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(24);
  wal.add_filler(500);
  wal.fill_segment();
  CHECK_FALSE(
      joined_transaction(index_of(wal.segment(0)), index_of(wal.segment(1), kStart + k1MiB)));
}

}  // namespace pitr
