// The fuzz targets, without libFuzzer, over inputs that are described here: WAL of every kind of
// record, damaged at chosen places, and what the fuzzers found.
//   fuzz_regressions              runs all; prints and fails at the first that breaks
//   fuzz_regressions --write READER DECODERS STORED   puts the undamaged ones into corpus folders
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fuzz/fuzz_input.h"
#include "fuzz/stored_cases.h"
#include "fuzz/wal_repair.h"
#include "harness/wal_builder.h"
#include "wal/segment_index.h"

// LLVMFuzzerTestOneInput() of record_reader_fuzz.cc, decoders_fuzz.cc, stored_fuzz.cc.
extern "C" int fuzz_record_reader(const std::uint8_t* data, std::size_t size);
extern "C" int fuzz_decoders(const std::uint8_t* data, std::size_t size);
extern "C" int fuzz_stored(const std::uint8_t* data, std::size_t size);

namespace pitr::fuzzing {

namespace {

using Bytes = std::vector<std::byte>;
using testing::main_data_body;
using testing::WalBuilder;
using testing::WalRecord;

constexpr Lsn kStart = 3 * kSmallSegment;
constexpr ClusterIdentity kCluster{.system_identifier = testing::kSystemIdentifier,
                                   .segment_size = kSmallSegment,
                                   .postgres_version = 15};
constexpr std::uint32_t kPgClass = 1259;

WalBuilder small_wal(unsigned version = 15) {
  ClusterIdentity cluster = kCluster;
  cluster.postgres_version = version;
  return WalBuilder(kStart, cluster);
}

Bytes random_looking(std::size_t count, std::uint32_t seed = 1) {
  Bytes bytes(count);
  for (std::byte& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<std::byte>(seed >> 24);
  }
  return bytes;
}

// Numbers of 32 bits one after the other: most records are nothing else.
Bytes numbers(std::initializer_list<std::uint32_t> values) {
  ByteWriter writer;
  for (const std::uint32_t value : values)
    writer.put(value);
  return writer.take();
}

Bytes joined(Bytes first, ByteSpan second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

WalRecord main_data_record(std::uint8_t manager, std::uint8_t info, ByteSpan data,
                           std::uint32_t xid = 700) {
  return {.manager = manager, .info = info, .xid = xid, .body = main_data_body(data)};
}

// A commit with everything that it can say: xl_xact_commit in xact.h.
WalRecord full_commit(std::uint32_t xid, std::uint32_t subtransactions, std::uint32_t files) {
  ByteWriter data;
  data.put(std::int64_t{5'000'000});
  data.put(std::uint32_t{0x11F});  // all arrays, and the id of a prepared transaction
  data.put_bytes(numbers({5, 1663}));
  data.put(subtransactions);
  for (std::uint32_t i = 0; i < subtransactions; ++i)
    data.put(xid + 1 + i);
  data.put(files);
  for (std::uint32_t i = 0; i < files; ++i)
    data.put_bytes(numbers({1663, 5, 16384 + i}));
  data.put_bytes(numbers({1, 2, 5, 16384}));       // dropped statistics
  data.put_bytes(numbers({1, 0xFF, 5, 1259, 0}));  // invalidation messages
  data.put(xid);
  return main_data_record(1, 0x30 | 0x80, data.bytes(), 0);
}

// One block's header: XLogRecordBlockHeader, and the image's if there is one.
void put_block(ByteWriter& body, std::uint8_t id, std::uint32_t file, std::size_t image_size,
               std::size_t data_size) {
  body.put(id);
  body.put(static_cast<std::uint8_t>((image_size > 0 ? 0x10 : 0) | (data_size > 0 ? 0x20 : 0)));
  body.put(static_cast<std::uint16_t>(data_size));
  if (image_size > 0) {
    body.put(static_cast<std::uint16_t>(image_size));
    body.put(std::uint16_t{64});   // hole_offset
    body.put(std::uint8_t{0x03});  // it has a hole, and is to be applied
  }
  body.put_bytes(numbers({1663, 5, file, id * 3U}));
}

// A tuple of pg_class behind t_hoff: FormData_pg_class.
Bytes pg_class_row() {
  Bytes row = joined(numbers({16400}), as_byte_span("a table"));
  row.resize(68);
  row = joined(std::move(row), numbers({2200, 0, 0, 10, 2, 16400}));
  row.resize(160);
  row[114] = static_cast<std::byte>('p');
  row[115] = static_cast<std::byte>('r');
  return row;
}

WalRecord insert_into_pg_class() {
  Bytes tuple(5, std::byte{0});
  tuple[4] = std::byte{32};  // t_hoff
  tuple.resize(5 + 32 - 23);
  tuple = joined(std::move(tuple), pg_class_row());
  ByteWriter body;
  put_block(body, 0, kPgClass, 0, tuple.size());
  body.put(std::uint8_t{255});
  body.put(std::uint8_t{3});
  body.put_bytes(tuple);
  body.put(std::uint16_t{1});
  body.put(std::uint8_t{0});
  return {.manager = 10, .info = 0x00, .xid = 700, .body = body.take()};
}

// The same in an image of the page: a line pointer behind the page's header, the tuple at its end.
WalRecord insert_into_pg_class_by_image() {
  Bytes tuple(32, std::byte{0});
  tuple[22] = std::byte{32};
  tuple = joined(std::move(tuple), pg_class_row());
  Bytes image(64);  // up to the hole
  const auto pointer = static_cast<std::uint32_t>((8192 - tuple.size()) | tuple.size() << 17);
  std::memcpy(image.data() + 24, &pointer, sizeof pointer);
  image = joined(std::move(image), tuple);
  ByteWriter body;
  put_block(body, 0, kPgClass, image.size(), 0);
  body.put(std::uint8_t{255});
  body.put(std::uint8_t{3});
  body.put_bytes(image);
  body.put(std::uint16_t{1});
  body.put(std::uint8_t{0});
  return {.manager = 10, .info = 0x00, .xid = 700, .body = body.take()};
}

WalRecord record_with_blocks(std::uint8_t blocks) {
  ByteWriter body;
  for (std::uint8_t id = 0; id < blocks; ++id)
    put_block(body, id, 16384U + id, id % 4 == 1 ? 100 : 0, id % 2 == 0 ? 10 : 0);
  body.put(std::uint8_t{253});  // origin
  body.put(std::uint16_t{1});
  body.put(std::uint8_t{252});  // top-level transaction
  body.put(std::uint32_t{699});
  for (std::uint8_t id = 0; id < blocks; ++id) {
    if (id % 4 == 1) body.put_bytes(random_looking(100));
    if (id % 2 == 0) body.put_bytes(random_looking(10));
  }
  return {.manager = 11, .info = 0x10, .xid = 700, .body = body.take()};
}

// Every kind of record that the reader looks into.
void add_every_kind(WalBuilder& wal) {
  wal.add_commit(700, 1'000'000);
  wal.add_abort(701, 2'000'000);
  wal.add_commit_prepared(702, 3'000'000);
  wal.add_abort_prepared(704, 3'000'000);
  wal.add(full_commit(706, 3, 2));
  wal.add_restore_point("a point", 4'000'000);
  wal.add_checkpoint(0x1'0000'0300);
  wal.add(main_data_record(0, 0x60, numbers({100, 8, 10, 0, 64, 1, 0})));  // parameters
  wal.add(main_data_record(0, 0x90, numbers({1, 2, 2, 1, 1})));            // end of recovery
  wal.add(main_data_record(2, 0x10, numbers({1663, 5, 16384, 0})));        // a file is made
  wal.add(main_data_record(2, 0x10, numbers({1663, 5, 16384, 2})));        // its other fork
  // The init fork of an unlogged table: it was read back as another fork.
  wal.add(main_data_record(2, 0x10, numbers({1663, 5, 16385, 3})));
  wal.add(main_data_record(2, 0x20, numbers({7, 1663, 5, 16384, 7})));  // and cut
  wal.add(main_data_record(4, 0x10, numbers({16500, 1663})));           // CREATE DATABASE
  wal.add(main_data_record(4, 0x20, numbers({16500, 1, 1663})));        // DROP DATABASE
  wal.add(main_data_record(5, 0x00, joined(numbers({16600}), as_byte_span("/a/space"))));
  wal.add(main_data_record(5, 0x10, numbers({16600})));                           // DROP TABLESPACE
  wal.add(main_data_record(8, 0x00, numbers({2, 700, 5, 16384, 701, 5, 1259})));  // locks
  wal.add(main_data_record(8, 0x10, numbers({2, 0, 1, 708, 700, 707, 700, 701})));
  wal.add(main_data_record(130, 0x00, numbers({1})));
  wal.add(insert_into_pg_class());
  wal.add(insert_into_pg_class_by_image());
  wal.add(record_with_blocks(6));
  wal.add(record_with_blocks(33));
}

struct Wal {
  std::string name;
  Bytes bytes;
  ReaderOptions options = {.scanner_pages = 0, .indexer_pages = 2, .segment_number = 3};
};

Wal every_kind(unsigned version) {
  WalBuilder wal = small_wal(version);
  add_every_kind(wal);
  wal.fill_segment();
  return {.name = fmt::format("every kind of record of version {}", version), .bytes = wal.bytes()};
}

Wal written_up_to_its_middle() {
  WalBuilder wal = small_wal();
  add_every_kind(wal);
  wal.add_filler(20'000);
  return {.name = "a segment not written to its end", .bytes = wal.bytes()};
}

// `gap` bytes before the segment's end begins a commit.
Wal commit_over_the_border(std::size_t gap) {
  WalBuilder wal = small_wal();
  wal.fill_segment(gap);
  wal.add(full_commit(706, 40, 2));
  add_every_kind(wal);
  wal.fill_segment();
  return {.name = fmt::format("a commit {} bytes before the border", gap), .bytes = wal.bytes()};
}

Wal commit_over_three_segments() {
  WalBuilder wal = small_wal();
  wal.fill_segment(3000);
  wal.add(full_commit(706, 20'000, 20));
  add_every_kind(wal);
  wal.fill_segment();
  return {.name = "a commit over three segments", .bytes = wal.bytes()};
}

Wal switched(std::size_t gap) {
  WalBuilder wal = small_wal();
  wal.add_commit(700, 1);
  wal.fill_segment(gap);
  wal.add_switch();
  wal.add_commit(701, 2);
  return {.name = fmt::format("a switch {} bytes before the border", gap), .bytes = wal.bytes()};
}

// The last eight or sixteen bytes of a record are the first of a segment, and look as those of an
// XLOG_SWITCH do: the rest of the segment was taken for what is behind a switch, and its commits
// were lost.
Wal looks_like_a_switch(std::size_t rest) {
  WalBuilder wal = small_wal();
  wal.add_commit(700, 1);
  WalRecord record = {.xid = 700, .body = Bytes(40)};
  record.body[record.body.size() - 8] = std::byte{0x40};
  wal.fill_segment(kRecordHeaderSize + record.body.size() - rest);
  wal.add(record);
  wal.add_commit(701, 2);
  wal.fill_segment();
  return {.name = fmt::format("no switch {} bytes behind the border", rest), .bytes = wal.bytes()};
}

Wal overwritten() {
  WalBuilder wal = small_wal();
  wal.add_commit(700, 1);
  wal.fill_page(200);
  wal.add_overwritten(5000);
  add_every_kind(wal);
  wal.fill_segment(100);
  wal.add_overwritten(5000);
  wal.add_commit(701, 1);
  return {.name = "records that crashes cut off", .bytes = wal.bytes()};
}

std::vector<Wal> undamaged_wals() {
  std::vector<Wal> wals = {written_up_to_its_middle(), commit_over_three_segments(), overwritten()};
  for (const unsigned version : {13U, 14U, 15U, 16U, 17U, 18U})
    wals.push_back(every_kind(version));
  for (const std::size_t gap : {8U, 16U, 24U, 32U, 200U})
    wals.push_back(commit_over_the_border(gap));
  for (const std::size_t gap : {8U, 16U, 24U, 2000U})
    wals.push_back(switched(gap));
  for (const std::size_t rest : {8U, 16U})
    wals.push_back(looks_like_a_switch(rest));
  return wals;
}

Case case_of(const Wal& wal, const std::string& what, ByteSpan bytes) {
  return {.name = wal.name + ", " + what, .input = reader_input(wal.options, bytes)};
}

template <std::integral Number>
void store(Bytes& bytes, std::size_t offset, Number number) {
  if (offset + sizeof number > bytes.size()) return;
  std::memcpy(bytes.data() + offset, &number, sizeof number);
}

// What the fuzzers' mutator makes right is what is right.
void require_unchanged_by_repair(const Wal& wal) {
  Bytes repaired = wal.bytes;
  repair(repaired, wal.options);
  require(repaired == wal.bytes, "repair() changes WAL that needs none");
}

using Run = std::function<void(const Case&)>;

// Cut at the borders of what is read as one: header, record, page, segment.
void run_truncated(const Wal& wal, const Run& run) {
  for (const std::size_t size : {0UL, 1UL, 23UL, 24UL, 39UL, 40UL, 44UL, 64UL, 70UL, 8191UL, 8192UL,
                                 8200UL, 8216UL, 32767UL, 32768UL, 32792UL, 32808UL, 65536UL}) {
    if (size < wal.bytes.size()) {
      run(case_of(wal, fmt::format("cut after {} bytes", size), ByteSpan(wal.bytes).first(size)));
    }
  }
}

// Of the first page's header, of the second's, and of the one behind the first border.
void run_damaged_page_headers(const Wal& wal, const Run& run) {
  for (const std::size_t page : {std::size_t{0}, kUsualWalPageSize, std::size_t{kSmallSegment}}) {
    for (std::size_t at = page; at < page + kLongPageHeaderSize && at < wal.bytes.size(); at += 2) {
      Bytes bytes = wal.bytes;
      bytes[at] ^= std::byte{0x04};
      run(case_of(wal, fmt::format("byte {} flipped", at), bytes));
    }
    for (const std::uint32_t remaining : {0U, 8U, 16U, 24U, 0xFFFF'FFFFU}) {
      for (const unsigned flags : {0x1U, 0x3U, 0xBU, 0x8U}) {
        Bytes bytes = wal.bytes;
        store(bytes, page + 2, static_cast<std::uint16_t>(flags));
        store(bytes, page + 16, remaining);
        run(case_of(wal, fmt::format("page {}: {} bytes remain, flags {}", page, remaining, flags),
                    bytes));
      }
    }
    for (const std::uint32_t page_size : {0U, 512U, 1024U, 4096U, 65536U, 131072U, 0xFFFF'FFFFU}) {
      Bytes bytes = wal.bytes;
      store(bytes, page + 36, page_size);
      run(case_of(wal, fmt::format("page {}: pages of {} bytes", page, page_size), bytes));
    }
  }
}

void run_damaged_records(const Wal& wal, const Run& run) {
  Bytes repaired = wal.bytes;
  const std::vector<WalkedRecord> records = repair(repaired, wal.options);
  for (const WalkedRecord& record : records) {
    const std::size_t step = std::max<std::size_t>(7, record.offsets.size() / 5);
    for (std::size_t i = 0; i < record.offsets.size(); i += step) {
      Bytes bytes = wal.bytes;
      bytes[record.offsets[i]] ^= std::byte{0x81};
      const std::string what = fmt::format("byte {} flipped", record.offsets[i]);
      if (i % 2 == 0) run(case_of(wal, what, bytes));
      repair(bytes, wal.options);
      run(case_of(wal, what + " under a right checksum", bytes));
    }
  }
}

// The lengths of records; and numbers in their bodies, which are lengths and counts for the most
// part.
void run_extreme_lengths(const Wal& wal, const Run& run) {
  Bytes repaired = wal.bytes;
  for (const WalkedRecord& record : repair(repaired, wal.options)) {
    if (record.offsets.size() > 1000) continue;
    for (const std::uint32_t length :
         {0U, 1U, 23U, 24U, 25U, 0xFFFFU, 0x3FC0'0000U, 0x3FC0'0001U, 0x7FFF'FFFFU, 0xFFFF'FFFFU}) {
      Bytes bytes = wal.bytes;
      store(bytes, record.offsets.front(), length);
      run(case_of(wal, fmt::format("the record at {} is {} long", record.start, length), bytes));
    }
    const std::size_t end = std::min<std::size_t>(record.offsets.size(), kRecordHeaderSize + 40);
    for (std::size_t i = kRecordHeaderSize; i + 4 <= end; i += 5) {
      Bytes bytes = wal.bytes;
      for (std::size_t byte = i; byte < i + 4; ++byte)
        bytes[record.offsets[byte]] = std::byte{0xFF};
      repair(bytes, wal.options);
      run(case_of(wal, fmt::format("ones at {} of the record at {}", i, record.start), bytes));
    }
  }
}

// A few bytes for each fork say that 2^20 blocks of it changed. There was a limit for one fork
// only, so that 1572 bytes took 3.8 GB.
Bytes runs_of_all_blocks() {
  ByteWriter section;
  section.put(std::uint16_t{1});
  section.put(std::uint16_t{0});
  section.put_bytes(numbers({0, 3}));
  for (const std::uint32_t file : {1U, 2U, 3U}) {
    section.put_bytes(numbers({1663, 5, file}));
    section.put(std::uint8_t{0});
    section.put_bytes(numbers({kNoBlock, 1}));
    section.put_varint(0);
    section.put_varint((1U << 20) - 1);
  }
  return section.take();
}

// What the encoders make of WAL that says much, and small files of PostgreSQL's.
std::vector<Case> undamaged_decoder_cases() {
  const Wal wal = commit_over_the_border(16);
  std::vector<Case> cases;
  const auto add = [&](std::string name, Decoder decoder, ByteSpan bytes) {
    cases.push_back({.name = std::move(name), .input = decoder_input(decoder, bytes)});
  };
  for (const std::size_t segment : {0U, 1U}) {
    SegmentIndexer indexer(kStart + segment * kSmallSegment, kSmallSegment);
    indexer.feed(ByteSpan(wal.bytes).subspan(segment * kSmallSegment, kSmallSegment));
    add("an index", Decoder::kIndex, encode_index(indexer.finish()));
    const SegmentDetails details = indexer.take_details();
    add("xids", Decoder::kXids, encode_xids(details.xids));
    add("changed blocks", Decoder::kChangedBlocks, encode_changed_blocks(details.changed_blocks));
    add("relation changes", Decoder::kRelationChanges, encode_relation_changes(details.relations));
  }
  add("runs of all blocks", Decoder::kChangedBlocks, runs_of_all_blocks());
  add("a history file", Decoder::kTimelineHistory,
      joined(numbers({3}), as_byte_span("1\t0/3000000\tno recovery target\n# a comment\n\n"
                                        "2\t1/A0000028\tbefore 2000-01-01\n")));
  add("a segment's name", Decoder::kWalFileName, as_byte_span("000000010000000A00000042"));
  add("a history file's name", Decoder::kWalFileName, as_byte_span("0000000A.history"));
  add("a backup's name", Decoder::kWalFileName,
      as_byte_span("000000010000000A00000042.00000028.backup"));
  Bytes control = numbers({1, 2, 1300, 202209061, 6});
  control.resize(300);
  store(control, 228, std::uint32_t{1} << 24);
  add("pg_control", Decoder::kControlFile, control);
  for (const WalRecord& record :
       {full_commit(700, 3, 2), insert_into_pg_class(), insert_into_pg_class_by_image(),
        record_with_blocks(4), main_data_record(8, 0x00, numbers({1, 700, 5, 16384}))}) {
    add("a record", Decoder::kRecord,
        joined(Bytes(1, std::byte{2}), testing::encode_record(record, 100)));
  }
  return cases;
}

// Cut everywhere, every byte changed, and every number an extreme one; of a long one's middle less.
void run_damaged_decoder_cases(const Case& whole, const Run& run) {
  for (std::size_t i = 1; i < whole.input.size(); i += i < 150 ? 1 : 29) {
    run({whole.name + fmt::format(", cut after {} bytes", i),
         Bytes(whole.input.begin(), whole.input.begin() + static_cast<std::ptrdiff_t>(i))});
    Case flipped = {whole.name + fmt::format(", byte {} flipped", i), whole.input};
    flipped.input[i] ^= std::byte{0x81};
    run(flipped);
    for (const std::uint32_t extreme : {0U, 1U, 0x7FFF'FFFFU, 0xFFFF'FFFFU}) {
      Case damaged = {whole.name + fmt::format(", {} at {}", extreme, i), whole.input};
      store(damaged.input, i, extreme);
      run(damaged);
    }
  }
}

void call(int (*target)(const std::uint8_t*, std::size_t), const Case& one) {
  // A copy of exactly this size, so that a sanitizer sees a byte too many.
  const auto* data = reinterpret_cast<const std::uint8_t*>(one.input.data());
  const std::vector<std::uint8_t> copy(data, data + one.input.size());
  try {
    target(copy.data(), copy.size());
  } catch (const std::exception& error) {
    throw std::runtime_error(one.name + ": " + error.what());
  }
}

std::size_t run_all() {
  std::size_t count = 0;
  const Run read_wal = [&](const Case& one) {
    ++count;
    call(fuzz_record_reader, one);
  };
  const Run decode = [&](const Case& one) {
    ++count;
    call(fuzz_decoders, one);
  };
  const Run read_stored = [&](const Case& one) {
    ++count;
    call(fuzz_stored, one);
  };
  for (const Wal& wal : undamaged_wals()) {
    require_unchanged_by_repair(wal);
    read_wal(case_of(wal, "undamaged", wal.bytes));
    run_truncated(wal, read_wal);
  }
  for (const Wal& wal : {every_kind(18), commit_over_the_border(16), overwritten()}) {
    run_damaged_page_headers(wal, read_wal);
    run_damaged_records(wal, read_wal);
  }
  run_extreme_lengths(every_kind(15), read_wal);
  for (const Case& one : undamaged_decoder_cases()) {
    decode(one);
    run_damaged_decoder_cases(one, decode);
  }
  for (const Case& one : found_stored_cases())
    read_stored(one);
  for (const Case& one : undamaged_stored_cases()) {
    read_stored(one);
    run_damaged_decoder_cases(one, read_stored);
  }
  return count;
}

void write_corpus(const std::string& reader_folder, const std::string& decoders_folder,
                  const std::string& stored_folder) {
  std::size_t number = 0;
  const auto write = [&](const std::string& folder, const Bytes& input) {
    std::ofstream file(fmt::format("{}/built-{:02}", folder, number++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(input.data()),
               static_cast<std::streamsize>(input.size()));
    if (!file.flush()) throw std::runtime_error("could not write to " + folder);
  };
  for (const Wal& wal : undamaged_wals())
    write(reader_folder, reader_input(wal.options, wal.bytes));
  for (const Case& one : undamaged_decoder_cases())
    write(decoders_folder, one.input);
  for (const auto& cases : {undamaged_stored_cases(), found_stored_cases()}) {
    for (const Case& one : cases)
      write(stored_folder, one.input);
  }
}

}  // namespace

}  // namespace pitr::fuzzing

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    if (arguments.size() == 4 && arguments[0] == "--write") {
      pitr::fuzzing::write_corpus(arguments[1], arguments[2], arguments[3]);
    } else {
      fmt::print("{} inputs\n", pitr::fuzzing::run_all());
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
