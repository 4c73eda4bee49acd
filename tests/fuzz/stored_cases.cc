#include "fuzz/stored_cases.h"

#include <string>

#include <fmt/format.h>

#include "basebackup/backup_manifest.h"
#include "catalog/backup_summary.h"
#include "catalog/journal.h"
#include "catalog/wal_rows.h"
#include "fuzz/stored_repair.h"
#include "harness/memory_bytes.h"
#include "io/archive_writer.h"
#include "storage/memory_storage.h"
#include "storage/repository.h"
#include "wal/crc32c.h"

namespace pitr::fuzzing {

namespace {

using testing::Bytes;
using testing::bytes_of;

constexpr std::size_t kBundleSize = 3000;
constexpr std::size_t kChunkSize = 1000;

Instant moment(int second = 0) { return Instant(std::chrono::seconds(1'795'000'000 + second)); }

FileIdentity identity(FileKind kind, std::string name) {
  return {.kind = kind,
          .name = std::move(name),
          .cluster_name = kClusterName,
          .cluster = {.system_identifier = kSystemIdentifier,
                      .segment_size = kSmallestSegment,
                      .postgres_version = 15},
          .timeline = 1,
          .start_lsn = 0x3000000,
          .end_lsn = 0x3100000,
          .created_at = moment()};
}

Bytes archived(ByteSpan raw, Compression compression, std::uint32_t block_size,
               std::vector<Section> more = {}) {
  testing::MemorySink sink;
  EncodeBuffers buffers({.compression = compression, .block_size = block_size});
  ArchiveWriter writer(sink, buffers);
  writer.append(raw);
  std::vector<Section> sections =
      identity_sections(identity(FileKind::kSegment, "000000010000000000000030"));
  for (Section& section : more)
    sections.push_back(std::move(section));
  writer.finish(std::move(sections));
  return std::move(sink.bytes);
}

BackupSummary summary() {
  BackupSummary summary{.id = kBackupId, .label = "nightly \xFF", .method = "files"};
  summary.timeline = 3;
  summary.start_lsn = 0x2000028;
  summary.stop_lsn = 0x2000100;
  summary.started_at = moment();
  summary.finished_at = moment(3);
  summary.last_commit_at = moment(1);
  summary.size_bytes = 1ULL << 43;
  summary.postgres_version = 15;
  summary.block_size = 8192;
  summary.data_directory = "/var/lib/postgresql/15/main";
  summary.settings.max_connections = 100;
  summary.tablespaces = {{.oid = 16384, .path = "/fast"}};
  summary.side_files = {{.purpose = "hba_file", .path = "/etc/hba", .object = "side-00000001"}};
  summary.page_errors = {{.path = "base/1/1259", .block = 4294967295}};
  return summary;
}

WalFileEntry journal_entry(int number) {
  const ClusterKey cluster{.name = kClusterName, .system_identifier = kSystemIdentifier};
  return {.cluster = cluster,
          .key = fmt::format("{}/00000000/0000000100000000000000{:02}", timeline_folder(cluster, 1),
                             number),
          .raw_bytes = kSmallestSegment,
          .stored_bytes = 12'345,
          .archived_at = moment(number),
          .index = testing::random_bytes(20)};
}

// As Journal::append() writes it.
Bytes journal() {
  ByteWriter writer;
  for (const int number : {3, 4, 5}) {
    const auto payload = encode_entry(journal_entry(number));
    writer.put(std::uint32_t{0});
    writer.put(static_cast<std::uint32_t>(payload.size()));
    writer.put(std::uint64_t{0});
    writer.put_bytes(payload);
  }
  Bytes file = writer.take();
  repair_journal(file);
  return file;
}

LogSummary log_summary() {
  LogSummary summary{.timeline = 1, .log = 2, .segments = 3, .first = 4, .last = 6};
  summary.unbroken = true;
  summary.stored_bytes = 40'000;
  summary.last_archived_at = moment();
  summary.last_archived = 6;
  summary.last_record = 0x2'0060'0028;
  summary.totals = {.commits = 5,
                    .aborts = 1,
                    .min_time = to_postgres_time(moment()),
                    .max_time = to_postgres_time(moment(9)),
                    .first_commit = to_postgres_time(moment(1)),
                    .last_commit = to_postgres_time(moment(9)),
                    .min_xid = 700,
                    .max_xid = 720,
                    .next_xid = 1ULL << 32};
  summary.totals.databases = true;
  return summary;
}

// `extents` lie one behind the other in the file.
ManifestEntry file_entry(std::string path, std::vector<Extent> extents) {
  ManifestEntry entry{.path = std::move(path), .mode = 0600, .user = 26, .group = 26};
  entry.modified_at = moment();
  for (Extent& extent : extents) {
    extent.file_offset = entry.size;
    entry.size += extent.length;
  }
  entry.hash = hash_of(as_byte_span(entry.path));
  entry.extents = std::move(extents);
  return entry;
}

std::vector<ManifestEntry> manifest() {
  const ManifestEntry folder{
      .type = ManifestEntry::Type::kDirectory, .path = "base", .mode = 02700, .user = 26};
  const ManifestEntry link{.type = ManifestEntry::Type::kTablespace,
                           .path = "pg_tblspc/16384",
                           .target = "/fast/\xFF",
                           .mode = 0777};
  ManifestEntry first = file_entry("base/1/\"1259\"\n", {{.object = kBundle, .length = 700}});
  first.crc32c = crc32c(ByteSpan(testing::compressible_bytes(kBundleSize)).first(700));
  return {folder,
          link,
          first,
          file_entry("base/1/empty", {}),
          file_entry("base/1/\xFF", {{.object = kBundle, .position = 700, .length = 1500}}),
          file_entry("base/1/large",
                     {{.object = kChunk, .position = 0, .length = kChunkSize},
                      {.object = kBundle, .position = 2500, .length = 300},
                      {.object = fmt::format("{}/{}", kBackupId, kChunk), .length = kChunkSize}})};
}

// Every object of a server that sends them is of this kind: tarCreateHeader() in tar.c.
void put_member(Bytes& archive, std::string_view name, char type, std::string_view size,
                ByteSpan contents) {
  Bytes header(512);
  const auto put = [&](std::size_t offset, std::string_view text) {
    std::memcpy(header.data() + offset, text.data(), text.size());
  };
  put(0, name);
  put(100, "0000600");
  put(108, "0000032");
  put(116, "0000032");
  put(124, size);
  put(136, "15277130400");
  header[156] = static_cast<std::byte>(type);
  put(257, std::string_view("ustar\00000", 8));
  archive.insert(archive.end(), header.begin(), header.end());
  archive.insert(archive.end(), contents.begin(), contents.end());
  archive.resize((archive.size() + 511) / 512 * 512);
}

Bytes tar() {
  Bytes archive;
  const Bytes contents = testing::compressible_bytes(700);
  const std::string_view binary_size("\200\0\0\0\0\0\0\0\0\0\0\3", 12);
  put_member(archive, "backup_label", '0', "00000001274", contents);
  put_member(archive, "./base/", '5', "00000000000", {});
  put_member(archive, "base/1259", '0', binary_size, as_byte_span("abc"));
  put_member(archive, "pg_tblspc/16384", '2', "00000000000", {});
  put_member(archive, "base/empty", '0', "00000000000", {});
  archive.resize(archive.size() + 1024);
  repair_tar(archive);
  return archive;
}

constexpr std::string_view kConfigurationText = R"(# every key
[cluster]
name = "main"
data_directory = "/var/lib/postgresql/15/main"
connection = 'host=/var/run/postgresql dbname=postgres'
[repository]
url = "file:///srv/pitr"
compression = "zstd:3"
[state]
directory = "/var/lib/pitr"
[archive]
jobs = 2
[restore]
jobs = 64
retry_time = "10s"
standby_unreachable = "stop"
[backup]
jobs = 4
rate_limit = "100MiB"
wal_timeout = "10min"
[io]
ring = "off"
[retention]
)";

constexpr std::string_view kShortConfigurationText =
    "repository = { url = \"file:///\\u00e9\" }\narchive.jobs = 0x10\n";

constexpr std::string_view kLabel =
    "START WAL LOCATION: A/2000028 (file 000000030000000A00000002)\n"
    "CHECKPOINT LOCATION: A/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: primary\n"
    "START TIME: 2026-11-23 15:39:36 UTC\n"
    "LABEL: nightly\n"
    "START TIMELINE: 3\n";

class Cases {
 public:
  void add(std::string name, StoredDecoder decoder, ByteSpan bytes) {
    cases_.push_back({.name = std::move(name), .input = decoder_input(decoder, bytes)});
  }
  void add(std::string name, StoredDecoder decoder, std::string_view text) {
    add(std::move(name), decoder, as_byte_span(text));
  }
  std::vector<Case> take() { return std::move(cases_); }

 private:
  std::vector<Case> cases_;
};

void add_archives(Cases& cases) {
  const auto add = [&](const std::string& name, const Bytes& file) {
    cases.add(name, StoredDecoder::kArchive, file);
    cases.add(name + ", raw", StoredDecoder::kRawArchive, file);
  };
  const Bytes raw = testing::compressible_bytes(700);
  for (const Codec codec : {Codec::kNone, Codec::kLz4, Codec::kZstd})
    add("an archived file", archived(raw, {.codec = codec}, 256));
  add("an empty archived file", archived({}, {}, 32 * 1024));
  add("an archived file in one block", archived(raw, {}, 32 * 1024));
  add("a file with more sections",
      archived(raw, {}, 512, {{.id = 8, .bytes = encode_summary(summary())}, {.id = 77}}));
}

void add_texts(Cases& cases) {
  for (const std::string_view text :
       {"2026-11-22 14:03:27.5+01", "2026-11-22T13:03:27Z", "20261122T140327-0330",
        "2026-10-25 02:30:00", "2026-03-29 02:30:00 Europe/Berlin", "2026-06-30 23:59:60",
        "10 minutes ago", "1 week 2 days 3h ago", "now", "2026-11-22",
        "0000-01-01 00:00:00+15:59:59"}) {
    cases.add(fmt::format("the time \"{}\"", text), StoredDecoder::kTime, text);
  }
  for (const std::string_view text :
       {"100MiB", "64 kB", "1048576TB", "5min", "1000d", "500ms", "2/40000000", "FFFFFFFF/FFFFFFFF",
        "main-7289450113274518899",
        "wal/main-1/00000001/0000000A/000000010000000A00000042.tail-00001000-0123456789abcdef"}) {
    cases.add(fmt::format("the number \"{}\"", text), StoredDecoder::kNumber, text);
  }
  for (const std::string_view line :
       {R"({"database":16384,"name":"shop"})", R"({"in":16384,"name":"sales","schema":16385})",
        R"({"file":16386,"in":16384,"kind":"r","name":"c","of":"public","relation":16386})"}) {
    cases.add("a line of a map", StoredDecoder::kMapLine, line);
  }
  cases.add("a configuration", StoredDecoder::kConfiguration, kConfigurationText);
  cases.add("a short configuration", StoredDecoder::kConfiguration, kShortConfigurationText);
  cases.add("a backup label", StoredDecoder::kBackupLabel, kLabel);
}

void put_object(Storage& storage, const std::string& name, ByteSpan raw) {
  constexpr std::uint32_t kSmallBlock = 256;
  const ClusterKey cluster{.name = kClusterName, .system_identifier = kSystemIdentifier};
  const auto destination = storage.create(backup_object_key(cluster, kBackupId, name));
  EncodeBuffers buffers({.block_size = kSmallBlock});
  ArchiveWriter writer(*destination, buffers);
  writer.append(raw);
  writer.finish(
      identity_sections(identity(FileKind::kBackupData, fmt::format("{}/{}", kBackupId, name))));
  require(destination->commit(), "an object exists already");
}

// Moments that no instant can be, and the first and the last one that can: sums overflowed.
void add_extreme_times(Cases& cases) {
  for (const std::int64_t extreme : {INT64_MIN, INT64_MAX}) {
    const Instant instant{std::chrono::microseconds(extreme)};
    const std::string name = fmt::format(" at {} microseconds", extreme);
    LogSummary log = log_summary();
    log.totals.min_time = log.totals.max_time = extreme;
    cases.add("a log" + name, StoredDecoder::kLogSummary, encode_log_summary(log));
    BackupSummary backup = summary();
    backup.last_commit_at = backup.finished_at = instant;
    cases.add("a backup" + name, StoredDecoder::kBackupSummary, encode_summary(backup));
    WalFileEntry entry = journal_entry(3);
    entry.archived_at = instant;
    cases.add("an entry" + name, StoredDecoder::kJournalEntry, encode_entry(entry));
  }
  // Seconds in binary.
  Bytes archive = tar();
  std::memcpy(archive.data() + 136, "\x80\0\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12);
  archive.insert(archive.begin(), std::byte{255});
  cases.add("a file of the far future", StoredDecoder::kTar, archive);
  // Berlin's clocks were 53 minutes and 28 seconds ahead; the seconds were not written.
  cases.add("a time before there were zones", StoredDecoder::kTime, "1880-01-01 12:00:00");
}

void add_damaged_files(Cases& cases) {
  const auto add = [&](std::string name, const std::vector<ManifestEntry>& files) {
    std::string lines;
    for (const ManifestEntry& file : files)
      lines += to_json_line(file);
    cases.add(std::move(name), StoredDecoder::kBackupFiles, lines);
  };
  // The second file's bytes were gone when it was its turn: an assertion of std::span.
  add("files that overlap", {file_entry("a", {{.object = kBundle, .length = 600}}),
                             file_entry("b", {{.object = kBundle, .length = 50}})});
  // Refused as if an operator had written the name: no finding of a verification.
  for (const std::string& object : {std::string("../x"), std::string(), std::string(3000, 'x')})
    add("an impossible object", {file_entry("a", {{.object = object, .length = 5}})});
  // A fraction was converted to a number of microseconds that it does not fit in.
  std::string line = to_json_line(file_entry("a", {}));
  line.replace(line.find("1795000000000000"), 16, "1e300");
  line.pop_back();
  cases.add("a file of an impossible moment", StoredDecoder::kManifestLine, line);
  // The link would have led to /fast.
  line = to_json_line({.type = ManifestEntry::Type::kTablespace,
                       .path = "pg_tblspc/1",
                       .target = std::string("/fast\0/x", 8)});
  line.pop_back();
  cases.add("a zero in a tablespace's place", StoredDecoder::kManifestLine, line);
}

}  // namespace

std::unique_ptr<Storage> backup_objects() {
  auto storage = make_memory_storage();
  put_object(*storage, kBundle, testing::compressible_bytes(kBundleSize));
  put_object(*storage, kChunk, testing::random_bytes(kChunkSize));
  return storage;
}

std::vector<Case> undamaged_stored_cases() {
  Cases cases;
  add_archives(cases);
  cases.add("an identity", StoredDecoder::kIdentity,
            encode_identity(identity(FileKind::kSegment, "000000010000000000000030")));
  cases.add("a backup's summary", StoredDecoder::kBackupSummary, encode_summary(summary()));
  cases.add("an entry", StoredDecoder::kJournalEntry, encode_entry(journal_entry(3)));
  cases.add("a journal", StoredDecoder::kJournal, journal());
  cases.add("a journal, raw", StoredDecoder::kRawJournal, journal());
  cases.add("a log's summary", StoredDecoder::kLogSummary, encode_log_summary(log_summary()));
  std::string lines;
  for (const ManifestEntry& entry : manifest()) {
    const std::string line = to_json_line(entry);
    cases.add("a line of a manifest", StoredDecoder::kManifestLine,
              std::string_view(line).substr(0, line.size() - 1));
    lines += line;
  }
  cases.add("files of a backup", StoredDecoder::kBackupFiles, lines);
  for (const std::byte piece : {std::byte{255}, std::byte{6}}) {
    Bytes input = tar();
    input.insert(input.begin(), piece);
    cases.add("a tar archive", StoredDecoder::kTar, input);
    cases.add("a tar archive, raw", StoredDecoder::kRawTar, input);
  }
  add_texts(cases);
  return cases.take();
}

std::vector<Case> found_stored_cases() {
  Cases cases;
  // Positions are divided by the segment size: a cluster record with none ended every program.
  FileIdentity no_size = identity(FileKind::kClusterRecord, "main-1");
  no_size.cluster.segment_size = 0;
  cases.add("a segment size of 0", StoredDecoder::kIdentity, encode_identity(no_size));
  add_extreme_times(cases);
  add_damaged_files(cases);
  // A letter beyond ASCII outside of quotes reached what toml++ says cannot be reached.
  cases.add("a letter in a configuration", StoredDecoder::kConfiguration, "[archive]\njobs = é\n");
  // libpq took the text up to the zero.
  cases.add("a zero in a connection", StoredDecoder::kConfiguration,
            "repository.url = \"file:///x\"\ncluster.connection = \"host=x\\u0000 port=1\"\n");
  // The library turned any number into an OID: a large one into another, a fraction into anything.
  for (const std::string_view number : {"1e300", "-1", "4294967296", "true"}) {
    cases.add(fmt::format("a map with the OID {}", number), StoredDecoder::kMapLine,
              fmt::format(R"({{"database":{},"name":"shop"}})", number));
  }
  return cases.take();
}

}  // namespace pitr::fuzzing
