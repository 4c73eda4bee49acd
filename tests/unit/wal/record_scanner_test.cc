#include "wal/record_scanner.h"

#include <cstring>
#include <random>

#include <catch2/catch.hpp>

#include "harness/wal_builder.h"

namespace pitr {

using testing::k1MiB;
using testing::WalBuilder;

namespace {

constexpr Lsn kStart = 3 * k1MiB;

// Everything that a scan reports, to be compared as a whole.
struct Scan {
  std::vector<TransactionEnd> transactions;
  std::vector<RestorePoint> restore_points;
  std::vector<std::uint64_t> checkpoints;
  Lsn first = 0;
  Lsn last = 0;
  Lsn end = 0;
  bool broke = false;
  Lsn broke_at = 0;
  bool valid_pages_follow = false;
  bool ends_in_switch = false;
  bool open = false;
  Lsn open_start = 0;
  std::vector<std::byte> open_head;
  std::uint32_t continuation = 0;
  std::vector<std::byte> continuation_head;

  bool operator==(const Scan&) const = default;
};

Scan scan(ByteSpan bytes, std::size_t chunk_size = 256 * 1024, Lsn start = kStart) {
  Scan result;
  RecordScanner scanner(
      start, k1MiB,
      {.on_transaction_end = [&](const TransactionEnd& t) { result.transactions.push_back(t); },
       .on_restore_point = [&](const RestorePoint& p) { result.restore_points.push_back(p); },
       .on_checkpoint = [&](const Checkpoint& c) { result.checkpoints.push_back(c.next_xid); }});
  while (!bytes.empty()) {
    const std::size_t count = std::min(chunk_size, bytes.size());
    scanner.feed(bytes.first(count));
    bytes = bytes.subspan(count);
  }
  result.first = scanner.first_record();
  result.last = scanner.last_record();
  result.end = scanner.end_of_records();
  result.broke = scanner.chain_broke();
  if (result.broke) result.broke_at = scanner.broke_at();
  result.valid_pages_follow = scanner.valid_pages_follow();
  result.ends_in_switch = scanner.ends_in_switch();
  result.open = scanner.record_is_open();
  if (result.open) {
    result.open_start = scanner.open_record_start();
    const ByteSpan head = scanner.open_record_head();
    result.open_head.assign(head.begin(), head.end());
  }
  result.continuation = scanner.continuation_bytes();
  result.continuation_head = scanner.continuation_head();
  return result;
}

std::size_t offset_of(Lsn lsn) { return lsn - kStart; }

// xl_xact_commit of COMMIT PREPARED up to the prepared transaction's id, as ParseCommitRecord() in
// xactdesc.c reads it: database, subtransactions, relations, dropped statistics, invalidations.
std::vector<std::byte> commit_prepared_with_everything(std::size_t statistics_item,
                                                       std::uint32_t xid) {
  ByteWriter data;
  data.put(std::int64_t{77});
  data.put(std::uint32_t{0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100});
  data.put_bytes(std::vector<std::byte>(8, std::byte{1}));
  for (const std::size_t item :
       {std::size_t{4}, std::size_t{12}, statistics_item, std::size_t{16}}) {
    constexpr std::int32_t kItems = 3;
    data.put(kItems);
    data.put_bytes(std::vector<std::byte>(kItems * item, std::byte{0x55}));
  }
  data.put(xid);
  return testing::encode_record(
      {.manager = 1, .info = 0x30 | 0x80, .body = testing::main_data_body(data.bytes())}, 100);
}

// What a record that begins with these bytes says of a transaction's end.
std::optional<TransactionEnd> transaction_end_of(ByteSpan record, unsigned version) {
  std::optional<TransactionEnd> found;
  RecordView view;
  if (record.size() < kRecordHeaderSize) return found;
  view.parse(record, version);
  visit_record(view, 1, 2, version,
               {.on_transaction_end = [&](const TransactionEnd& t) { found = t; }});
  return found;
}

}  // namespace

TEST_CASE("commits and aborts are reported in the order of the WAL", "[wal]") {
  WalBuilder wal(kStart);
  const Lsn commit = wal.add_commit(700, 5'000'000);
  const Lsn abort = wal.add_abort(701, 4'000'000);
  wal.fill_segment();

  const Scan found = scan(wal.bytes());
  REQUIRE(found.transactions.size() == 2);
  CHECK(found.transactions[0] ==
        TransactionEnd{
            .start = commit, .end = abort, .time = 5'000'000, .xid = 700, .is_commit = true});
  CHECK(found.transactions[1].start == abort);
  CHECK(found.transactions[1].time == 4'000'000);
  CHECK(found.transactions[1].xid == 701);
  CHECK_FALSE(found.transactions[1].is_commit);
  CHECK_FALSE(found.broke);
  CHECK(found.first == commit);
  CHECK(found.end == kStart + k1MiB);
}

TEST_CASE("COMMIT PREPARED and ABORT PREPARED count for the prepared transaction", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit_prepared(900, 1);
  wal.add_abort_prepared(901, 2);
  wal.fill_segment();

  const Scan found = scan(wal.bytes());
  REQUIRE(found.transactions.size() == 2);
  CHECK(found.transactions[0].xid == 900);
  CHECK(found.transactions[0].is_commit);
  CHECK(found.transactions[1].xid == 901);
  CHECK_FALSE(found.transactions[1].is_commit);
}

TEST_CASE("PREPARE TRANSACTION ends no transaction", "[wal]") {
  ByteWriter data;
  data.put(std::int64_t{7});
  WalBuilder wal(kStart);
  wal.add({.manager = 1, .info = 0x10, .xid = 900, .body = testing::main_data_body(data.bytes())});
  wal.fill_segment();
  CHECK(scan(wal.bytes()).transactions.empty());
}

TEST_CASE("a commit that names its origin and top-level transaction is understood", "[wal]") {
  ByteWriter body;
  body.put(std::uint8_t{253});  // XLR_BLOCK_ID_ORIGIN
  body.put(std::uint16_t{4});
  body.put(std::uint8_t{252});  // XLR_BLOCK_ID_TOPLEVEL_XID
  body.put(std::uint32_t{699});
  body.put(std::uint8_t{255});
  body.put(std::uint8_t{8});
  body.put(std::int64_t{42});
  WalBuilder wal(kStart);
  wal.add({.manager = 1, .info = 0, .xid = 700, .body = body.take()});
  wal.fill_segment();

  const Scan found = scan(wal.bytes());
  REQUIRE(found.transactions.size() == 1);
  CHECK(found.transactions[0].time == 42);
}

TEST_CASE("restore points and checkpoints are reported", "[wal]") {
  WalBuilder wal(kStart);
  const Lsn point = wal.add_restore_point("before the upgrade", 77);
  const Lsn checkpoint = wal.add_checkpoint(0x2'0000'0123);
  wal.fill_segment();

  const Scan found = scan(wal.bytes());
  REQUIRE(found.restore_points.size() == 1);
  CHECK(found.restore_points[0] ==
        RestorePoint{.start = point, .end = checkpoint, .time = 77, .name = "before the upgrade"});
  CHECK(found.checkpoints == std::vector<std::uint64_t>{0x2'0000'0123});
}

TEST_CASE("a restore point's name of full length is read whole", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_restore_point(std::string(63, 'n'), 77);
  wal.fill_segment();
  CHECK(scan(wal.bytes()).restore_points.at(0).name == std::string(63, 'n'));
}

TEST_CASE("a segment that ends in a switch is whole although zeros follow", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  const Lsn last = wal.add_switch();

  const Scan found = scan(wal.bytes());
  CHECK(found.ends_in_switch);
  CHECK_FALSE(found.broke);
  CHECK(found.last == last);
  CHECK(found.end == kStart + k1MiB);
}

TEST_CASE("behind a switch the WAL goes on in the next segment", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_switch();
  const Lsn commit = wal.add_commit(701, 1);
  wal.fill_segment();

  const Scan found = scan(wal.bytes());
  CHECK_FALSE(found.broke);
  CHECK_FALSE(found.ends_in_switch);
  REQUIRE(found.transactions.size() == 1);
  CHECK(found.transactions[0].start == commit);
}

TEST_CASE("zeros behind the last record are the end, not damage", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  wal.add_filler(20'000);
  const Lsn end = wal.position();

  const Scan found = scan(wal.bytes());
  CHECK(found.broke);
  CHECK(found.broke_at == end);
  CHECK(found.end == end);
  CHECK_FALSE(found.valid_pages_follow);
}

TEST_CASE("WAL that ends with a page is the end, not damage", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  wal.fill_page();

  const Scan found = scan(wal.bytes());
  CHECK(found.broke);
  CHECK(found.broke_at == kStart + kUsualWalPageSize);
  CHECK_FALSE(found.valid_pages_follow);
}

TEST_CASE("the old pages of a recycled segment are the end, not damage", "[wal]") {
  WalBuilder old(kStart - k1MiB);
  old.fill_segment();
  std::vector<std::byte> bytes = old.bytes();
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  wal.add_filler(20'000);
  const Lsn end = wal.position();
  const std::vector<std::byte> fresh = wal.bytes();

  SECTION("where a primary cleared the rest of the last page") {
    const std::size_t pages = (offset_of(end) / kUsualWalPageSize + 1) * kUsualWalPageSize;
    std::copy_n(fresh.begin(), pages, bytes.begin());
  }
  SECTION("where a standby received up to the middle of a page") {
    std::copy_n(fresh.begin(), offset_of(end), bytes.begin());
  }
  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.broke_at == end);
  CHECK_FALSE(found.valid_pages_follow);
  CHECK(found.transactions.size() == 1);
}

TEST_CASE("a record that the end of what was written cuts is not reported", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_filler(1000);
  const Lsn commit = wal.add_commit(700, 1);
  std::vector<std::byte> bytes = wal.bytes();
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(offset_of(commit) + 26), bytes.end(),
            std::byte{0});

  const Scan found = scan(bytes);
  CHECK(found.transactions.empty());
  CHECK(found.broke);
  CHECK(found.end == commit);
}

TEST_CASE("a damaged record with WAL behind it is damage", "[wal]") {
  WalBuilder wal(kStart);
  const Lsn good = wal.add_commit(700, 1);
  const Lsn bad = wal.add_commit(701, 2);
  wal.add_commit(702, 3);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  const std::size_t which = GENERATE(0U, 4U, 8U, 16U, 17U, 20U, 26U, 30U);
  CAPTURE(which);
  bytes[offset_of(bad) + which] ^= std::byte{0x04};

  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.broke_at == bad);
  CHECK(found.valid_pages_follow);
  CHECK(found.last == good);
  CHECK(found.transactions.size() == 1);
}

TEST_CASE("a damaged page header with WAL behind it is damage", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  const std::size_t page = 3 * kUsualWalPageSize;
  const std::size_t which = GENERATE(0U, 2U, 3U, 8U, 16U);  // magic, flags, address, remaining
  CAPTURE(which);
  bytes[page + which] ^= std::byte{0x01};

  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.broke_at == kStart + page);
  CHECK(found.valid_pages_follow);
}

TEST_CASE("a page of zeros in the middle is damage", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  std::fill_n(bytes.begin() + 5 * kUsualWalPageSize, kUsualWalPageSize, std::byte{0});
  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.valid_pages_follow);
}

TEST_CASE("a commit over the boundary of pages is read, wherever it is cut", "[wal]") {
  // A commit record has 34 bytes; records begin at multiples of eight.
  const std::size_t on_first_page = GENERATE(8U, 16U, 24U, 32U);
  WalBuilder wal(kStart);
  wal.fill_page(on_first_page);
  const Lsn commit = wal.add_commit(700, 123);
  wal.fill_segment();
  CAPTURE(on_first_page);

  const Scan found = scan(wal.bytes());
  CHECK_FALSE(found.broke);
  REQUIRE(found.transactions.size() == 1);
  CHECK(found.transactions[0].start == commit);
  CHECK(found.transactions[0].time == 123);
}

TEST_CASE("a record that starts on a page starts behind the page's header", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_page();
  wal.add_commit(700, 123);
  wal.fill_segment();
  CHECK(scan(wal.bytes()).transactions.at(0).start ==
        kStart + kUsualWalPageSize + kShortPageHeaderSize);
}

TEST_CASE("a segment's first and last bytes may belong to its neighbours' records", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(400);
  const Lsn open = wal.add_filler(3000);
  const Lsn next = wal.add_commit(700, 1);
  wal.fill_segment();

  const Scan first = scan(wal.segment(0));
  CHECK_FALSE(first.broke);
  CHECK(first.open);
  CHECK(first.open_start == open);
  CHECK(first.open_head.size() >= kRecordHeaderSize);

  const Scan second = scan(wal.segment(1), k1MiB, kStart + k1MiB);
  CHECK_FALSE(second.broke);
  CHECK(second.continuation == 3000 - 400);
  CHECK(second.continuation_head.size() == RecordScanner::kContinuationKept);
  CHECK(second.first == next);

  const Scan both = scan(wal.bytes());
  CHECK_FALSE(both.broke);
  CHECK_FALSE(both.open);
  CHECK(both.transactions.size() == 1);
}

TEST_CASE("a whole segment may lie inside one record", "[wal]") {
  WalBuilder wal(kStart);
  wal.fill_segment(4096);
  wal.add_filler(2 * k1MiB);
  wal.add_commit(700, 1);
  wal.fill_segment();
  REQUIRE(wal.bytes().size() == 4 * k1MiB);

  const Scan inside = scan(wal.segment(1), k1MiB, kStart + k1MiB);
  CHECK_FALSE(inside.broke);
  CHECK(inside.first == 0);
  CHECK_FALSE(inside.open);
  CHECK(inside.continuation == 2 * k1MiB - 4096);

  const Scan all = scan(wal.bytes());
  CHECK_FALSE(all.broke);
  CHECK(all.transactions.size() == 1);
}

TEST_CASE("a record that a crash cut off is passed over where the WAL says so", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  SECTION("in the middle of a segment") { wal.add_overwritten(50'000); }
  SECTION("at the end of a segment") {
    wal.fill_segment(4096);
    wal.add_overwritten(50'000);
  }
  wal.add_commit(701, 2);
  wal.fill_segment();

  const Scan found = scan(wal.bytes());
  CHECK_FALSE(found.broke);
  CHECK(found.transactions.size() == 2);
}

TEST_CASE("a continued record can be overwritten in the middle of its segment", "[wal]") {
  WalBuilder second(kStart + k1MiB);
  second.add_filler(kUsualWalPageSize - kLongPageHeaderSize);  // becomes the continuation
  second.fill_page(2000);
  second.add_overwritten(50'000);
  second.add_commit(701, 2);
  second.fill_segment();
  std::vector<std::byte> bytes = second.segment(0);
  // The whole first page and what was written of the next belong to an older record.
  const std::uint16_t flags = kPageHasLongHeader | kPageStartsInsideRecord;
  const std::uint32_t remaining = 45'904;
  std::memcpy(bytes.data() + 2, &flags, sizeof flags);
  std::memcpy(bytes.data() + 16, &remaining, sizeof remaining);
  const std::uint32_t later = remaining - (kUsualWalPageSize - kLongPageHeaderSize);
  const std::uint16_t continued = kPageStartsInsideRecord;
  std::memcpy(bytes.data() + kUsualWalPageSize + 2, &continued, sizeof continued);
  std::memcpy(bytes.data() + kUsualWalPageSize + 16, &later, sizeof later);

  const Scan found = scan(bytes, k1MiB, kStart + k1MiB);
  CHECK(found.continuation == remaining);
  CHECK(found.transactions.size() == 1);
  CHECK_FALSE(found.broke);
}

TEST_CASE("a page that continues another record than the open one breaks the chain", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_filler(30'000);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  SECTION("another remaining length") { bytes[kUsualWalPageSize + 16] ^= std::byte{8}; }
  SECTION("no continuation flag") { bytes[kUsualWalPageSize + 2] = std::byte{0}; }
  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.valid_pages_follow);
}

TEST_CASE("the size of the pieces that are fed changes nothing", "[wal]") {
  WalBuilder wal(kStart);
  wal.add_commit(700, 9);
  wal.add_restore_point("x", 3);
  wal.fill_segment(4096);
  wal.add_filler(k1MiB + 5000);
  wal.add_abort(701, 8);
  wal.add_filler(70'000);
  wal.add_switch();
  wal.add_commit_prepared(702, 7);
  wal.add_filler(12'000);  // the last segment ends in zeros
  const std::vector<std::byte> bytes = wal.bytes();

  const Scan whole = scan(bytes, bytes.size());
  REQUIRE(whole.transactions.size() == 3);
  const std::size_t pages = GENERATE(1U, 2U, 3U, 7U, 32U, 128U);
  CAPTURE(pages);
  CHECK(scan(bytes, pages * kUsualWalPageSize) == whole);
}

TEST_CASE("damaged segments never crash the scanner", "[wal]") {
  const std::vector<std::byte> whole = testing::complete_segment(kStart);
  const std::size_t kKept = 8 * kUsualWalPageSize;  // enough pages, and fast
  std::mt19937 random(20261122);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kKept));
    // Near headers, where it hurts: of the first page's records and of each page.
    for (unsigned i = 0; i <= random() % 4; ++i) {
      const std::size_t base = random() % 2 == 0 ? 0 : random() % 8 * kUsualWalPageSize;
      const std::size_t offset = base + random() % (random() % 4 == 0 ? kUsualWalPageSize : 160);
      bytes[offset] = static_cast<std::byte>(random() & 0xFFU);
    }
    const Scan found = scan(bytes, (1 + random() % 4) * kUsualWalPageSize);
    if (found.broke) CHECK(found.broke_at < kStart + kKept);
    CHECK(found.end <= kStart + k1MiB);
  }
}

TEST_CASE("random bytes never crash the scanner", "[wal]") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> bytes(2 * kUsualWalPageSize);
    for (std::byte& byte : bytes)
      byte = static_cast<std::byte>(random() & 0xFFU);
    CHECK(scan(bytes).transactions.empty());
  }
}

TEST_CASE("the prepared transaction's id is found behind everything that may precede it", "[wal]") {
  // xl_xact_stats_item grew from 12 to 16 bytes with version 18.
  const auto [version, item] = GENERATE(table<unsigned, std::size_t>({
      {15, 12},
      {16, 12},
      {17, 12},
      {18, 16},
  }));
  const auto record = commit_prepared_with_everything(item, 900);
  const auto transaction = transaction_end_of(record, version);
  REQUIRE(transaction);
  CHECK(transaction->xid == 900);
  CHECK(transaction->time == 77);
  CHECK(transaction->is_commit);
}

TEST_CASE("where the prepared transaction's id is cut off the record's own is given", "[wal]") {
  const auto record = commit_prepared_with_everything(12, 900);
  const std::size_t time_ends = kRecordHeaderSize + 2 + 8;
  for (std::size_t length = time_ends; length < record.size(); ++length) {
    const auto transaction = transaction_end_of(ByteSpan(record).first(length), 15);
    REQUIRE(transaction);
    CHECK(transaction->xid == 0);
    CHECK(transaction->time == 77);
  }
}

TEST_CASE("impossible counts in a transaction record are not followed", "[wal]") {
  const auto count = GENERATE(std::int32_t{-1}, std::int32_t{0x7FFFFFFF}, std::int32_t{1 << 30});
  ByteWriter data;
  data.put(std::int64_t{77});
  data.put(std::uint32_t{0x2 | 0x10});
  data.put(count);
  const auto record = testing::encode_record(
      {.manager = 1, .info = 0x30 | 0x80, .xid = 5, .body = testing::main_data_body(data.bytes())},
      100);
  const auto transaction = transaction_end_of(record, 15);
  REQUIRE(transaction);
  CHECK(transaction->xid == 5);
}

TEST_CASE("restore points and checkpoints too short for what they say are passed over", "[wal]") {
  WalBuilder wal(kStart);
  for (const std::uint8_t info : {std::uint8_t{0x70}, std::uint8_t{0x10}, std::uint8_t{0x00}}) {
    for (const std::size_t length : {0U, 1U, 7U, 8U, 20U, 31U}) {
      const std::vector<std::byte> data(length, std::byte{'x'});
      wal.add({.manager = 0, .info = info, .body = testing::main_data_body(data)});
    }
    wal.add({.manager = 0, .info = info});  // no body at all
  }
  const Lsn last = wal.add_commit(700, 1);
  wal.fill_segment();
  const Scan found = scan(wal.bytes());
  CHECK_FALSE(found.broke);
  CHECK(found.restore_points.empty());
  CHECK(found.checkpoints.empty());
  REQUIRE(found.transactions.size() == 1);
  CHECK(found.transactions[0].start == last);
}

TEST_CASE("a restore point's name without an end is read to its full width", "[wal]") {
  ByteWriter data;
  data.put(std::int64_t{7});
  data.put_bytes(std::vector<std::byte>(64, std::byte{'n'}));
  WalBuilder wal(kStart);
  wal.add({.manager = 0, .info = 0x70, .body = testing::main_data_body(data.bytes())});
  wal.fill_segment();
  CHECK(scan(wal.bytes()).restore_points.at(0).name == std::string(64, 'n'));
}

TEST_CASE("a length that no record can have is where the chain breaks", "[wal]") {
  // xl_tot_len: less than a header, zero, and more than XLogRecordMaxSize (1020 MiB).
  const std::uint32_t length = GENERATE(0U, 1U, 23U, 1020U * 1024 * 1024 + 1, 0xFFFFFFFFU);
  CAPTURE(length);
  WalBuilder wal(kStart);
  wal.add_commit(700, 1);
  const Lsn bad = wal.add_filler(100);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  std::memcpy(bytes.data() + offset_of(bad), &length, sizeof length);
  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.broke_at == bad);
  CHECK(found.valid_pages_follow);
}

TEST_CASE("a record of another place with a right checksum does not continue the chain", "[wal]") {
  // Left by an earlier use of a recycled segment: whole by itself, but its xl_prev is another.
  WalBuilder wal(kStart);
  const Lsn first = wal.add_commit(700, 1);
  const Lsn second = wal.add_commit(701, 2);
  wal.add_filler(100);
  wal.fill_segment();
  std::vector<std::byte> bytes = wal.bytes();
  const auto foreign = testing::encode_record(
      {.manager = 1,
       .xid = 701,
       .body = std::vector<std::byte>(
           bytes.begin() + static_cast<std::ptrdiff_t>(offset_of(second) + kRecordHeaderSize),
           bytes.begin() + static_cast<std::ptrdiff_t>(offset_of(second) + 34))},
      first - 8);
  std::copy(foreign.begin(), foreign.end(),
            bytes.begin() + static_cast<std::ptrdiff_t>(offset_of(second)));
  const Scan found = scan(bytes);
  CHECK(found.broke);
  CHECK(found.broke_at == second);
  CHECK(found.transactions.size() == 1);
}

TEST_CASE("nothing, or less than a page header, breaks the chain at its start", "[wal]") {
  CHECK_FALSE(scan({}).broke);
  const std::vector<std::byte> segment = testing::complete_segment(kStart);
  for (const std::size_t length : {1U, 23U, 24U, 39U}) {
    const Scan found = scan(ByteSpan(segment).first(length));
    CHECK(found.broke);
    CHECK(found.broke_at == kStart);
    CHECK(found.first == 0);
  }
}

TEST_CASE("a segment of another position is no WAL of this one", "[wal]") {
  const Scan found = scan(testing::complete_segment(kStart + k1MiB));
  CHECK(found.broke);
  CHECK(found.broke_at == kStart);
  CHECK_FALSE(found.valid_pages_follow);
  CHECK(found.transactions.empty());
}

TEST_CASE("a transaction record cut short tells what it still can", "[wal]") {
  ByteWriter data;
  data.put(std::int64_t{55});
  const auto record = testing::encode_record(
      {.manager = 1, .info = 0, .xid = 7, .body = testing::main_data_body(data.bytes())}, 100);
  const ByteSpan bytes(record);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    CHECK_FALSE(transaction_end_of(bytes.first(length), 15));
  const auto whole = transaction_end_of(bytes, 15);
  REQUIRE(whole);
  CHECK(whole->time == 55);
  CHECK(whole->xid == 7);
}

}  // namespace pitr
