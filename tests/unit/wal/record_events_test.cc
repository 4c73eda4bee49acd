#include "wal/record_events.h"

#include <catch2/catch.hpp>

#include "harness/memory_bytes.h"
#include "harness/wal_builder.h"

namespace pitr {

using testing::Bytes;
using testing::encode_record;
using testing::main_data_body;
using testing::WalClassRow;
using testing::WalRecord;
using testing::WalTransactionEnd;

namespace {

constexpr Lsn kStart = 0x5000028;
constexpr Lsn kEnd = 0x5000100;
constexpr RelationFile kFile{.tablespace = 1663, .database = 5, .number = 16384};

// Everything that a record said.
struct Said {
  std::vector<TransactionEnd> transactions;
  std::vector<RestorePoint> points;
  std::vector<TablespaceChange> tablespaces;
  std::vector<DatabaseChange> databases;
  std::vector<Checkpoint> checkpoints;
  std::vector<EndOfRecovery> recoveries;
  std::vector<ParameterChange> parameters;
  std::vector<RunningTransactions> running;
  std::vector<RelationLock> locks;
  std::vector<FileCreation> creations;
  std::vector<FileTruncation> truncations;
  std::vector<RelationName> names;
  std::vector<std::uint8_t> managers;
  std::size_t count = 0;
};

Said said_by(ByteSpan record, unsigned version, Lsn end = kEnd) {
  Said said;
  RecordVisitor visitor;
  const auto into = [&said](auto& list) {
    return [&](const auto& one) { list.push_back(one), ++said.count; };
  };
  visitor.on_transaction_end = into(said.transactions);
  visitor.on_restore_point = into(said.points);
  visitor.on_tablespace = into(said.tablespaces);
  visitor.on_database = into(said.databases);
  visitor.on_checkpoint = into(said.checkpoints);
  visitor.on_end_of_recovery = into(said.recoveries);
  visitor.on_parameters = into(said.parameters);
  visitor.on_running_transactions = into(said.running);
  visitor.on_lock = into(said.locks);
  visitor.on_file_creation = into(said.creations);
  visitor.on_file_truncation = into(said.truncations);
  visitor.on_relation_name = into(said.names);
  visitor.on_custom_manager = into(said.managers);
  RecordView view;
  if (view.parse(record, version)) visit_record(view, kStart, end, version, visitor);
  return said;
}

Said said_by(const WalRecord& record, unsigned version) {
  return said_by(encode_record(record, 1), version);
}

// A record of only main data.
WalRecord plain(ResourceManager manager, std::uint8_t info, const ByteWriter& data,
                std::uint32_t xid = 7) {
  return {.manager = static_cast<std::uint8_t>(manager),
          .info = info,
          .xid = xid,
          .body = main_data_body(data.bytes())};
}

template <typename... Numbers>
ByteWriter numbers(Numbers... values) {
  ByteWriter writer;
  (writer.put(values), ...);
  return writer;
}

unsigned any_version() { return GENERATE(13U, 14U, 15U, 16U, 17U, 18U); }

WalTransactionEnd full_end(bool is_commit) {
  return {.time = 123,
          .is_commit = is_commit,
          .database = 5,
          .subtransactions = {701, 702, 703},
          .dropped_files = {kFile, {1663, 5, 16390}},
          .dropped_statistics = 3,
          .invalidations = 4,
          .has_origin = true};
}

// Whatever the record said of itself must be a beginning of what the whole one says.
void check_cut_at_every_byte(const WalRecord& whole, unsigned version) {
  const Bytes record = encode_record(whole, 1);
  const std::size_t most = said_by(record, version).count;
  for (std::size_t length = kRecordHeaderSize; length < record.size(); ++length) {
    // A copy of its own, so that a sanitizer sees what is read behind it.
    const Bytes cut(record.begin(), record.begin() + static_cast<std::ptrdiff_t>(length));
    if (said_by(cut, version).count > most) FAIL("cut at " << length);
  }
}

}  // namespace

TEST_CASE("a plain commit or abort says its time and transaction", "[wal]") {
  const unsigned version = any_version();
  const bool is_commit = GENERATE(true, false);
  const Said said = said_by(
      testing::transaction_end_record({.time = -9, .is_commit = is_commit}, 700, version), version);
  REQUIRE(said.transactions.size() == 1);
  CHECK(said.count == 1);
  CHECK(
      said.transactions[0] ==
      TransactionEnd{.start = kStart, .end = kEnd, .time = -9, .xid = 700, .is_commit = is_commit});
}

TEST_CASE("a transaction's end with any of its optional parts is understood", "[wal]") {
  const unsigned version = GENERATE(13U, 15U, 17U, 18U);
  const bool is_commit = GENERATE(true, false);
  for (unsigned parts = 0; parts < 256; ++parts) {
    const auto has = [parts](unsigned bit) { return (parts & (1U << bit)) != 0; };
    WalTransactionEnd end = full_end(is_commit);
    if (!has(0)) end.database.reset();
    if (!has(1)) end.subtransactions.clear();
    if (!has(2)) end.dropped_files.clear();
    if (!has(3)) end.invalidations = 0;
    if (!has(4)) end.dropped_statistics = 0;
    if (!has(5)) end.has_origin = false;
    if (has(6)) end.prepared_xid = 650;
    if (has(7)) end.prepared_name = "a name";
    const Said said =
        said_by(testing::transaction_end_record(end, end.prepared_xid ? 0 : 700, version), version);
    CAPTURE(version, is_commit, parts);
    REQUIRE(said.transactions.size() == 1);
    CHECK(said.transactions[0] == TransactionEnd{.start = kStart,
                                                 .end = kEnd,
                                                 .time = 123,
                                                 .xid = has(6) ? 650U : 700U,
                                                 .is_commit = is_commit,
                                                 .was_prepared = has(6),
                                                 .subtransactions = end.subtransactions,
                                                 .dropped_files = end.dropped_files});
  }
}

TEST_CASE("a prepared transaction's end is told, its preparation is not", "[wal]") {
  const unsigned version = any_version();
  ByteWriter data;
  data.put_bytes(Bytes(200));
  CHECK(said_by(plain(ResourceManager::kTransaction, 0x10, data), version).count == 0);
  CHECK(said_by(plain(ResourceManager::kTransaction, 0x50, data), version).count == 0);
  CHECK(said_by(plain(ResourceManager::kTransaction, 0x60, data), version).count == 0);
}

TEST_CASE("a transaction's end cut at any byte says no more than the whole one", "[wal]") {
  const unsigned version = GENERATE(13U, 15U, 18U);
  WalTransactionEnd end = full_end(true);
  end.prepared_xid = 650;
  end.prepared_name = "a name";
  check_cut_at_every_byte(testing::transaction_end_record(end, 0, version), version);
}

TEST_CASE("counts in a transaction's end that cannot be there take no memory", "[wal]") {
  const unsigned version = GENERATE(13U, 15U, 18U);
  for (const unsigned bit : {1U, 2U, 3U, 8U}) {
    CAPTURE(version, bit);
    ByteWriter data = numbers(std::int64_t{5}, std::uint32_t{1U << bit}, std::uint32_t{0xFFFFFFFF},
                              std::uint64_t{1});
    CHECK(said_by(plain(ResourceManager::kTransaction, 0x80, data), version).transactions.size() <=
          1);
    data = numbers(std::int64_t{5}, std::uint32_t{1U << bit}, std::uint32_t{0x80000000});
    CHECK(said_by(plain(ResourceManager::kTransaction, 0xA0, data), version).transactions.size() <=
          1);
  }
}

TEST_CASE("every lock of a record is told under its own transaction", "[wal]") {
  const unsigned version = any_version();
  const std::vector<RelationLock> locks = {
      {.xid = 7, .database = 5, .relation = 16384},
      {.xid = 8, .database = 0, .relation = 1213},
      {.xid = 0xFFFFFFFF, .database = 6, .relation = 0xFFFFFFFF}};
  CHECK(said_by(testing::lock_record(locks), version).locks == locks);
  CHECK(said_by(testing::lock_record({}), version).count == 0);
}

TEST_CASE("locks are told as far as they are at hand", "[wal]") {
  const std::vector<RelationLock> locks = {{7, 5, 16384}, {8, 5, 16385}};
  const Bytes record = encode_record(testing::lock_record(locks), 1);
  CHECK(said_by(ByteSpan(record).first(record.size() - 1), 15).locks ==
        std::vector<RelationLock>{locks[0]});
  ByteWriter data = numbers(std::uint32_t{0xFFFFFFFF}, 7U, 5U, 16384U);
  CHECK(said_by(plain(ResourceManager::kStandby, 0x00, data), 15).locks.size() == 1);
}

TEST_CASE("running transactions say how many, whether all, and the oldest", "[wal]") {
  const unsigned version = any_version();
  const bool overflowed = GENERATE(true, false);
  ByteWriter data = numbers(3U, 1U);
  data.put(static_cast<std::uint8_t>(overflowed));
  for (const unsigned padding : {0xAAU, 0xBBU, 0xCCU})  // whatever the memory held
    data.put(static_cast<std::uint8_t>(padding));
  for (const std::uint32_t number : {900U, 850U, 899U, 850U, 860U, 870U, 880U})
    data.put(number);
  const Said said = said_by(plain(ResourceManager::kStandby, 0x10, data, 0), version);
  REQUIRE(said.running.size() == 1);
  CHECK(said.running[0] == RunningTransactions{.start = kStart,
                                               .count = 3,
                                               .overflowed = overflowed,
                                               .next_xid = 900,
                                               .oldest_running = 850});
}

TEST_CASE("a change of parameters is read in their order", "[wal]") {
  const unsigned version = any_version();
  ByteWriter data = numbers(100, 8, 10, 64, 128, 1);
  data.put(std::uint16_t{0x0100});  // wal_log_hints, track_commit_timestamp
  data.put(std::uint16_t{0});
  const Said said = said_by(plain(ResourceManager::kXlog, 0x60, data, 0), version);
  REQUIRE(said.parameters.size() == 1);
  CHECK(said.parameters[0] == ParameterChange{.start = kStart,
                                              .max_connections = 100,
                                              .max_worker_processes = 8,
                                              .max_wal_senders = 10,
                                              .max_prepared_transactions = 64,
                                              .max_locks_per_transaction = 128,
                                              .wal_level = 1});
}

TEST_CASE("the end of a recovery names both timelines, in every version's length", "[wal]") {
  const unsigned version = any_version();
  ByteWriter data = numbers(std::int64_t{987}, 3U, 2U);
  if (version >= 17) {
    data.put(1);  // wal_level
    data.put(0);
  }
  const Said said = said_by(plain(ResourceManager::kXlog, 0x90, data, 0), version);
  REQUIRE(said.recoveries.size() == 1);
  CHECK(said.recoveries[0] ==
        EndOfRecovery{.start = kStart, .time = 987, .timeline = 3, .previous_timeline = 2});
}

TEST_CASE("a checkpoint says its redo position and the next transaction", "[wal]") {
  const unsigned version = any_version();
  const bool is_shutdown = GENERATE(true, false);
  ByteWriter data = numbers(Lsn{0x4000028}, 1U, 1U, std::uint64_t{0x0000000100000001},
                            std::uint64_t{0x7'0000'0010});
  data.put_bytes(Bytes(60));
  const std::uint8_t info = is_shutdown ? 0x00 : 0x10;
  const Said said = said_by(plain(ResourceManager::kXlog, info, data, 0), version);
  REQUIRE(said.checkpoints.size() == 1);
  CHECK(said.checkpoints[0] == Checkpoint{.start = kStart,
                                          .redo = 0x4000028,
                                          .next_xid = 0x7'0000'0010,
                                          .is_shutdown = is_shutdown});
}

TEST_CASE("a restore point has a name of at most 63 bytes", "[wal]") {
  const unsigned version = any_version();
  for (const std::size_t length : {0U, 1U, 6U, 63U}) {
    ByteWriter data = numbers(std::int64_t{55});
    data.put_bytes(Bytes(length, std::byte{'n'}));
    data.put_bytes(Bytes(64 - length));
    const Said said = said_by(plain(ResourceManager::kXlog, 0x70, data, 0), version);
    REQUIRE(said.points.size() == 1);
    CHECK(said.points[0] ==
          RestorePoint{.start = kStart, .end = kEnd, .time = 55, .name = std::string(length, 'n')});
  }
}

TEST_CASE("what a name leaves behind its end is not part of it", "[wal]") {
  ByteWriter data = numbers(std::int64_t{55});
  data.put_bytes(as_byte_span(std::string_view("name\0garbage", 12)));
  data.put_bytes(Bytes(52, std::byte{'x'}));
  const Said said = said_by(plain(ResourceManager::kXlog, 0x70, data, 0), 15);
  REQUIRE(said.points.size() == 1);
  CHECK(said.points[0].name == "name");
}

TEST_CASE("databases come and go before 15: CREATE is 0x00, DROP is 0x10", "[wal]") {
  const unsigned version = GENERATE(13U, 14U);
  const Said created =
      said_by(plain(ResourceManager::kDatabase, 0x00, numbers(16500U, 1663U, 1U, 1663U)), version);
  REQUIRE(created.databases.size() == 1);
  CHECK(created.databases[0] == DatabaseChange{.start = kStart, .xid = 7, .oid = 16500});
  const Said dropped =
      said_by(plain(ResourceManager::kDatabase, 0x10, numbers(16500U, 1U, 1663U)), version);
  REQUIRE(dropped.databases.size() == 1);
  CHECK(dropped.databases[0] ==
        DatabaseChange{.start = kStart, .xid = 7, .oid = 16500, .is_drop = true});
}

TEST_CASE("databases come and go from 15 on: two ways to CREATE, DROP is 0x20", "[wal]") {
  const unsigned version = GENERATE(15U, 16U, 17U, 18U);
  const Said copied =
      said_by(plain(ResourceManager::kDatabase, 0x00, numbers(16500U, 1663U, 1U, 1663U)), version);
  REQUIRE(copied.databases.size() == 1);
  CHECK_FALSE(copied.databases[0].is_drop);
  const Said logged =
      said_by(plain(ResourceManager::kDatabase, 0x10, numbers(16501U, 1663U)), version);
  REQUIRE(logged.databases.size() == 1);
  CHECK(logged.databases[0] == DatabaseChange{.start = kStart, .xid = 7, .oid = 16501});
  const Said dropped =
      said_by(plain(ResourceManager::kDatabase, 0x20, numbers(16500U, 2U, 1663U, 16700U)), version);
  REQUIRE(dropped.databases.size() == 1);
  CHECK(dropped.databases[0].is_drop);
}

TEST_CASE("a tablespace comes with its path and goes without one", "[wal]") {
  const unsigned version = any_version();
  ByteWriter data = numbers(16700U);
  const std::string path = "/srv/fast disk/" + std::string(900, 'p');
  data.put_bytes(as_byte_span(path));
  data.put(std::uint8_t{0});
  const Said created = said_by(plain(ResourceManager::kTablespace, 0x00, data), version);
  REQUIRE(created.tablespaces.size() == 1);
  CHECK(created.tablespaces[0] ==
        TablespaceChange{.start = kStart, .xid = 7, .oid = 16700, .path = path});
  const Said dropped = said_by(plain(ResourceManager::kTablespace, 0x10, numbers(16700U)), version);
  REQUIRE(dropped.tablespaces.size() == 1);
  CHECK(dropped.tablespaces[0] ==
        TablespaceChange{.start = kStart, .xid = 7, .oid = 16700, .is_drop = true});
}

TEST_CASE("a file's creation says its transaction and fork", "[wal]") {
  const unsigned version = any_version();
  for (const Fork fork : {Fork::kMain, Fork::kFreeSpaceMap, Fork::kVisibilityMap, Fork::kInit}) {
    const Said said = said_by(testing::file_creation_record(kFile, fork, 700), version);
    REQUIRE(said.creations.size() == 1);
    CHECK(said.creations[0] ==
          FileCreation{.start = kStart, .xid = 700, .file = kFile, .fork = fork});
  }
}

TEST_CASE("a file's truncation says from where, and which forks", "[wal]") {
  const unsigned version = any_version();
  for (std::uint32_t flags = 0; flags < 8; ++flags) {
    const Said said = said_by(testing::file_truncation_record(kFile, 12, flags), version);
    REQUIRE(said.truncations.size() == 1);
    CHECK(said.truncations[0].file == kFile);
    CHECK(said.truncations[0].block == 12);
    CHECK(said.truncations[0].of_main_fork == ((flags & 1U) != 0));
    CHECK(said.truncations[0].of_visibility_map == ((flags & 2U) != 0));
    CHECK(said.truncations[0].of_free_space_map == ((flags & 4U) != 0));
  }
}

TEST_CASE("managers of extensions are told, PostgreSQL's own are not", "[wal]") {
  for (unsigned manager = 0; manager < 256; ++manager) {
    const WalRecord record{.manager = static_cast<std::uint8_t>(manager),
                           .info = 0x70,
                           .body = main_data_body(testing::random_bytes(4))};
    const Said said = said_by(record, 15);
    CHECK(said.managers.size() == (manager >= 128 ? 1U : 0U));
    if (manager >= 128) CHECK(said.managers[0] == manager);
  }
}

TEST_CASE("a row of pg_class is read from the block's data", "[wal]") {
  const unsigned version = any_version();
  const WalClassRow row{
      .oid = 16384, .name = "orders", .schema_oid = 16380, .file_number = 16390, .kind = 'm'};
  const Said said = said_by(testing::class_insert_record(5, row, 700, version), version);
  REQUIRE(said.names.size() == 1);
  CHECK(said.names[0] == RelationName{.start = kStart,
                                      .xid = 700,
                                      .database = 5,
                                      .oid = 16384,
                                      .schema_oid = 16380,
                                      .file_number = 16390,
                                      .kind = 'm',
                                      .name = "orders"});
}

TEST_CASE("a row of pg_class is read from a new page's data, too", "[wal]") {
  WalRecord record = testing::class_insert_record(5, {.oid = 1, .name = "first"}, 700, 15);
  record.info = 0x80;  // XLOG_HEAP_INIT_PAGE
  CHECK(said_by(record, 15).names.size() == 1);
}

TEST_CASE("a row of pg_class is read from an image of its page with a hole", "[wal]") {
  const unsigned version = any_version();
  std::vector<WalClassRow> rows;
  for (std::uint32_t i = 0; i < 1 + version % 3 * 10; ++i)
    rows.push_back({.oid = 16384 + i, .name = "t" + std::to_string(i), .file_number = 20'000 + i});
  const Said said = said_by(testing::class_image_record(5, rows, 700, version), version);
  REQUIRE(said.names.size() == 1);  // the last one, which the record is about
  CHECK(said.names[0].oid == rows.back().oid);
  CHECK(said.names[0].name == rows.back().name);
  CHECK(said.names[0].file_number == rows.back().file_number);
  CHECK(said.names[0].kind == 'r');
  CHECK(said.names[0].xid == 700);
  CHECK(said.names[0].database == 5);
}

TEST_CASE("the row of a temporary relation is no name, that of an unlogged one is", "[wal]") {
  const unsigned version = any_version();
  WalClassRow row{.oid = 16384, .name = "t", .persistence = 't'};
  CHECK(said_by(testing::class_insert_record(5, row, 700, version), version).count == 0);
  CHECK(said_by(testing::class_image_record(5, {row}, 700, version), version).count == 0);
  row.persistence = 'u';
  CHECK(said_by(testing::class_insert_record(5, row, 700, version), version).names.size() == 1);
}

TEST_CASE("a name of 63 bytes is told in full", "[wal]") {
  const std::string name(63, 'n');
  const Said said = said_by(testing::class_insert_record(5, {.oid = 1, .name = name}, 700, 15), 15);
  REQUIRE(said.names.size() == 1);
  CHECK(said.names[0].name == name);
}

TEST_CASE("rows of other relations and other operations on pg_class are no names", "[wal]") {
  const WalClassRow row{.oid = 16384, .name = "t"};
  for (const unsigned type : {0x10U, 0x20U, 0x30U, 0x40U, 0x50U, 0x60U, 0x70U}) {
    WalRecord record = testing::class_insert_record(5, row, 700, 15);
    record.info = static_cast<std::uint8_t>(type);
    CHECK(said_by(record, 15).names.empty());
  }
  WalRecord other = testing::class_insert_record(5, row, 700, 15);
  std::uint32_t number = 1249;  // pg_attribute
  std::memcpy(other.body.data() + 4 + 8, &number, sizeof number);
  CHECK(said_by(other, 15).names.empty());
}

TEST_CASE("a row of pg_class cut or damaged anywhere reads nothing outside", "[wal]") {
  const unsigned version = GENERATE(13U, 18U);
  const WalClassRow row{.oid = 16384, .name = "t"};
  const WalRecord with_image = testing::class_image_record(5, {row, row, row}, 700, version);
  check_cut_at_every_byte(testing::class_insert_record(5, row, 700, version), version);
  check_cut_at_every_byte(with_image, version);
  for (std::size_t offset = 0; offset < with_image.body.size(); ++offset) {
    for (const unsigned value : {0x00U, 0x01U, 0x7FU, 0x80U, 0xFFU}) {
      WalRecord damaged = with_image;
      damaged.body[offset] = static_cast<std::byte>(value);
      said_by(damaged, version);
    }
  }
}

TEST_CASE("every record that says something is one whose body is needed", "[wal]") {
  const unsigned version = any_version();
  const WalClassRow row{.oid = 16384, .name = "t"};
  const std::vector<WalRecord> telling = {
      testing::transaction_end_record(full_end(true), 7, version),
      testing::transaction_end_record(full_end(false), 7, version),
      testing::lock_record({{1, 2, 3}}),
      testing::file_creation_record(kFile, Fork::kMain, 7),
      testing::file_truncation_record(kFile, 1, 7),
      testing::class_insert_record(5, row, 7, version),
      testing::class_image_record(5, {row}, 7, version),
      plain(ResourceManager::kDatabase, 0x00, numbers(1U, 2U, 3U, 4U)),
      plain(ResourceManager::kTablespace, 0x10, numbers(1U)),
      plain(ResourceManager::kXlog, 0x60, numbers(1, 2, 3, 4, 5, 1, 0)),
      plain(ResourceManager::kXlog, 0x90, numbers(std::int64_t{1}, 2U, 1U))};
  for (const WalRecord& record : telling) {
    CAPTURE(int{record.manager}, int{record.info});
    const Bytes bytes = encode_record(record, 1);
    REQUIRE(said_by(bytes, version).count > 0);
    CHECK(is_telling(ByteSpan(bytes).first(kRecordHeaderSize)));
  }
}

TEST_CASE("a heap's deletions and an index's records need no body", "[wal]") {
  const Bytes deletion = encode_record({.manager = 10, .info = 0x10}, 1);
  const Bytes index = encode_record({.manager = 11, .info = 0x00}, 1);
  const Bytes image = encode_record({.manager = 0, .info = 0xB0}, 1);  // XLOG_FPI
  CHECK_FALSE(is_telling(deletion));
  CHECK_FALSE(is_telling(index));
  CHECK_FALSE(is_telling(image));
}

TEST_CASE("functions that are not there are not called", "[wal]") {
  const WalClassRow row{.oid = 16384, .name = "t"};
  for (const WalRecord& record :
       {testing::transaction_end_record(full_end(true), 7, 15), testing::lock_record({{1, 2, 3}}),
        testing::class_insert_record(5, row, 7, 15), WalRecord{.manager = 200},
        testing::file_creation_record(kFile, Fork::kMain, 7)}) {
    const Bytes bytes = encode_record(record, 1);
    RecordView view;
    REQUIRE(view.parse(bytes, 15));
    CHECK_NOTHROW(visit_record(view, kStart, kEnd, 15, {}));
  }
}

}  // namespace pitr
