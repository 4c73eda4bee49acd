// Feeds any bytes to what reads back from a repository, the state directory, a server or an
// operator. Nothing but pitr::Error of the kind that is promised may be thrown, and what is decoded
// must be encoded and decoded to the same again.
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "basebackup/backup_contents.h"
#include "basebackup/backup_label.h"
#include "basebackup/backup_stream.h"
#include "basebackup/relation_map.h"
#include "catalog/backup_summary.h"
#include "catalog/journal.h"
#include "catalog/wal_rows.h"
#include "common/config.h"
#include "common/units.h"
#include "fuzz/fuzz_input.h"
#include "fuzz/stored_cases.h"
#include "fuzz/stored_repair.h"
#include "harness/memory_bytes.h"
#include "harness/temporary_directory.h"
#include "io/archive_reader.h"
#include "io/archive_writer.h"
#include "storage/file_identity.h"
#include "wal/crc32c.h"

namespace pitr::fuzzing {

namespace {

using testing::Bytes;

// What was stored is damaged, or what was given is wrong: that is the caller's whole answer.
template <typename Decode>
auto decoded_as(ErrorKind kind, const Decode& decode, std::size_t most_bytes = 1024) {
  return decoded(
      [&] {
        try {
          return decode();
        } catch (const Error& error) {
          require(error.report().kind == kind, "an error of another kind");
          throw;
        }
      },
      most_bytes);
}

template <typename Decode>
auto stored(const Decode& decode) {
  return decoded_as(ErrorKind::kCorrupt, decode);
}

// Names, and what an operator wrote, are repeated in full.
std::size_t longest_answer(ByteSpan input) { return 1024 + 3 * input.size(); }

template <typename Decode>
auto given(ByteSpan bytes, const Decode& decode) {
  return decoded_as(ErrorKind::kUsage, decode, longest_answer(bytes));
}

void read_identity(ByteSpan bytes) {
  const auto identity = stored([&] { return decode_identity(bytes); });
  if (!identity) return;
  const auto encoded = encode_identity(*identity);
  require(encode_identity(decode_identity(encoded)) == encoded, "an identity is another one");
  // Positions are divided by it.
  require(is_valid_segment_size(identity->cluster.segment_size), "an impossible segment size");
  to_utc_text(identity->created_at);
}

void read_backup_summary(ByteSpan bytes) {
  const auto summary = stored([&] { return decode_summary(bytes); });
  if (!summary) return;
  require(decode_summary(encode_summary(*summary)) == *summary, "a summary is another one");
  // What questions about a moment do with it.
  to_local_text(summary->finished_at);
  if (summary->last_commit_at) to_postgres_time(*summary->last_commit_at);
}

void read_journal_entry(ByteSpan bytes) {
  const auto entry = stored([&] { return decode_entry(bytes); });
  if (!entry) return;
  require(decode_entry(encode_entry(*entry)) == *entry, "an entry is another one");
  to_local_text(entry->archived_at);
}

std::vector<WalFileEntry> entries_of(const Journal& journal) {
  std::vector<WalFileEntry> entries;
  journal.visit([&](const WalFileEntry& entry) { entries.push_back(entry); });
  return entries;
}

void read_journal(ByteSpan bytes) {
  static const testing::TemporaryDirectory directory;
  const std::string path = directory / "journal";
  const Journal journal(directory.path());
  testing::write_file(path, bytes);
  const auto entries = entries_of(journal);
  unlink(path.c_str());
  for (const WalFileEntry& entry : entries)
    journal.append(entry);
  require(entries_of(journal) == entries, "a journal is read back as another");
  std::size_t taken = 0;
  journal.take([&](const WalFileEntry&) { ++taken; }, [] {});
  require(taken == entries.size() && !testing::exists(path), "a journal is not taken whole");
}

void read_log_summary(ByteSpan bytes) {
  const auto summary = stored([&] { return decode_log_summary(bytes); });
  if (!summary) return;
  require(decode_log_summary(encode_log_summary(*summary)) == *summary,
          "a log's summary is another one");
  for (const std::int64_t time : {summary->totals.min_time, summary->totals.max_time})
    to_local_text(from_postgres_time(time));
  WalTotals sum = summary->totals;
  sum.add(summary->totals);
}

void read_manifest_line(ByteSpan bytes) {
  const auto entry = stored([&] { return parse_json_line(as_text(bytes)); });
  if (!entry) return;
  check_relative_path(entry->path);
  require(entry->target.find('\0') == std::string::npos, "a link that ends before its text does");
  std::string line = to_json_line(*entry);
  require(line.find('\n') + 1 == line.size(), "a line that is several");
  line.pop_back();
  require(parse_json_line(line) == *entry, "a line is read back as another");
}

// The files come in any order, each whole or not at all.
class FileChecker {
 public:
  FileConsumer consumer() {
    return {.on_begin = [this](const ManifestEntry& file) { begin(file); },
            .on_bytes = [this](ByteSpan bytes, std::uint64_t offset) { take(bytes, offset); },
            .on_end = [this](const ManifestEntry& file, bool intact) { end(file, intact); }};
  }
  std::size_t ended() const { return ended_; }

 private:
  void begin(const ManifestEntry& file) {
    require(file_ == nullptr, "a file begins within another");
    file_ = &file;
    taken_ = 0;
    crc_ = Crc32c();
  }
  void take(ByteSpan bytes, std::uint64_t offset) {
    require(file_ != nullptr && offset == taken_, "bytes of another place");
    taken_ += bytes.size();
    crc_.update(bytes);
    require(taken_ <= file_->size, "more bytes than the file has");
  }
  void end(const ManifestEntry& file, bool intact) {
    require(file_ == &file && taken_ == file.size, "a file ends before its end");
    require(intact == (crc_.value() == file.crc32c), "a damaged file is said to be intact");
    file_ = nullptr;
    ++ended_;
  }

  const ManifestEntry* file_ = nullptr;
  std::uint64_t taken_ = 0;
  Crc32c crc_;
  std::size_t ended_ = 0;
};

void read_group(const FileGroup& group, ByteSpan input) {
  static const std::unique_ptr<Storage> storage = backup_objects();
  static const BackupContents contents(
      *storage, {.name = kClusterName, .system_identifier = kSystemIdentifier}, kBackupId);
  std::vector<const ManifestEntry*> files;
  std::uint64_t bytes = 0;
  for (const ManifestEntry& file : group) {
    files.push_back(&file);
    bytes += file.size;
  }
  constexpr std::uint64_t kMostRead = 1U << 20;  // a line may ask for an object any number of times
  if (bytes > kMostRead) return;
  FileChecker checker;
  const auto read = [&] {
    contents.read_files(files, checker.consumer());
    return true;
  };
  const auto whole = decoded_as(ErrorKind::kCorrupt, read, longest_answer(input));
  require(!whole || checker.ended() == files.size(), "a file was left out");
}

void read_backup_files(ByteSpan bytes) {
  FileGrouper grouper;
  LineSplitter lines;
  std::size_t files = 0;
  std::size_t grouped = 0;
  const auto read = [&](const FileGroup& group) {
    grouped += group.size();
    read_group(group, bytes);
  };
  lines.feed(bytes, [&](std::string_view line) {
    auto entry = stored([&] { return parse_json_line(line); });
    if (!entry || entry->type != ManifestEntry::Type::kFile) return;
    ++files;
    read(grouper.add(std::move(*entry)));
  });
  read(grouper.take_last());
  require(files == grouped, "a file is in no group");
}

void read_backup_label(ByteSpan bytes) {
  const auto label = stored([&] { return parse_backup_label(as_text(bytes)); });
  if (!label) return;
  require(label->timeline != 0, "a backup on no timeline");
  const SegmentName segment{.timeline = label->timeline};
  const BackupLabel again = parse_backup_label(
      fmt::format("START WAL LOCATION: {} (file {})\nCHECKPOINT LOCATION: {}\nSTART TIMELINE: {}\n",
                  format_lsn(label->start_lsn), segment.to_string(),
                  format_lsn(label->checkpoint_lsn), label->timeline));
  require(again.start_lsn == label->start_lsn && again.timeline == label->timeline &&
              again.checkpoint_lsn == label->checkpoint_lsn,
          "a label is read back as another");
}

void read_map_line(ByteSpan bytes) {
  RelationNames names;
  names.want(16384, 16386);
  stored([&] {
    add_map_line(as_text(bytes), Instant(), names);
    return true;
  });
  names.by_oid(16384, 16386, 1, Instant());
}

// What a reader of a tar archive says when it is fed pieces of a size.
Bytes tar_events(ByteSpan archive, std::size_t piece) {
  ByteWriter events;
  std::optional<std::uint64_t> left;  // of the file
  TarReader reader({.on_member =
                        [&](const TarReader::Member& member) {
                          require(!left, "a member begins within a file");
                          require(!member.path.empty(), "a member without a path");
                          if (!member.is_folder) left = member.size;
                          events.put_text(member.path);
                          events.put(member.size);
                          events.put(member.mode);
                          to_utc_text(member.modified_at);
                        },
                    .on_data =
                        [&](ByteSpan bytes) {
                          require(left && bytes.size() <= *left, "bytes of no file");
                          *left -= bytes.size();
                          events.put_bytes(bytes);
                        },
                    .on_end =
                        [&] {
                          require(left && *left == 0, "a file ends before its end");
                          left.reset();
                          events.put_text("end");
                        }});
  const auto whole = stored([&] {
    for (ByteSpan rest = archive; !rest.empty();) {
      const ByteSpan part = rest.first(std::min(piece, rest.size()));
      reader.feed(part);
      rest = rest.subspan(part.size());
    }
    reader.finish();
    return true;
  });
  require(!whole || !left, "an archive ends within a file");
  events.put(static_cast<std::uint8_t>(whole.has_value()));
  return events.take();
}

void read_tar(ByteSpan bytes) {
  if (bytes.empty()) return;
  const std::size_t piece = std::size_t{1} + load<std::uint8_t>(bytes, 0);
  const ByteSpan archive = bytes.subspan(1);
  require(tar_events(archive, piece) == tar_events(archive, archive.size()),
          "the size of the pieces changes an archive");
}

void read_repaired_tar(ByteSpan bytes) {
  if (bytes.empty()) return;
  Bytes archive(bytes.begin() + 1, bytes.end());
  repair_tar(archive);
  archive.insert(archive.begin(), bytes[0]);
  read_tar(archive);
}

// A configuration is read from a path, and must not be writable by others.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("configuration", MFD_CLOEXEC)) {
    require(descriptor_ >= 0 && fchmod(descriptor_, 0600) == 0, "no file in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  MemoryFile(MemoryFile&&) = delete;
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile() { close(descriptor_); }

  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }
  void write(std::string_view text) const {
    const auto written = pwrite(descriptor_, text.data(), text.size(), 0);
    require(written == static_cast<ssize_t>(text.size()) && ftruncate(descriptor_, written) == 0,
            "a file in memory cannot be written");
  }

 private:
  int descriptor_;
};

std::string toml_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const bool is_plain = c != '"' && c != '\\' && (c < 0 || c >= ' ') && c != '\x7f';
    result += is_plain ? std::string(1, c) : fmt::format("\\u{:04x}", static_cast<unsigned>(c));
  }
  return result + "\"";
}

std::string text_of(const Config& config) {
  std::string text =
      fmt::format("[cluster]\nname = {}\nconnection = {}\n", toml_string(config.cluster.name),
                  toml_string(config.cluster.connection));
  if (!config.cluster.data_directory.empty()) {
    text += fmt::format("data_directory = {}\n", toml_string(config.cluster.data_directory));
  }
  text +=
      fmt::format("[repository]\nurl = {}\ncompression = {}\n[state]\ndirectory = {}\n",
                  toml_string(config.repository.url), toml_string(config.repository.compression),
                  toml_string(config.state.directory));
  const bool stops = config.restore.standby_unreachable == StandbyUnreachable::kStop;
  text += fmt::format(
      "[archive]\njobs = {}\n[restore]\njobs = {}\nretry_time = \"{}ms\"\n"
      "standby_unreachable = \"{}\"\n",
      config.archive.jobs, config.restore.jobs, config.restore.retry_time.count(),
      stops ? "stop" : "wait");
  return text + fmt::format(
                    "[backup]\njobs = {}\nrate_limit = \"{}\"\nwal_timeout = \"{}ms\"\n"
                    "[io]\nring = \"{}\"\n",
                    config.backup.jobs, config.backup.rate_limit_bytes_per_second,
                    config.backup.wal_timeout.count(),
                    config.io.ring == RingMode::kOff ? "off" : "auto");
}

bool is_job_count(unsigned jobs) { return jobs >= 1 && jobs <= 64; }

void read_configuration(ByteSpan bytes) {
  static const MemoryFile file;
  file.write(as_text(bytes));
  const auto config = given(bytes, [&] { return load_config(file.path()); });
  if (!config) return;
  require(repository_path(*config).starts_with('/') && config->state.directory.starts_with('/'),
          "a folder that depends on where the program runs");
  require(is_job_count(config->archive.jobs) && is_job_count(config->restore.jobs) &&
              is_job_count(config->backup.jobs),
          "an impossible number of jobs");
  const std::string text = text_of(*config);
  // They become strings of C.
  require(text.find("\\u0000") == std::string::npos, "a text that ends before its end");
  const Compression compression = parse_compression(config->repository.compression);
  require(compression.level >= 1 && compression.level <= 19, "an impossible level");
  file.write(text);
  require(text_of(load_config(file.path())) == text, "a configuration is read back as another");
}

void read_time(ByteSpan bytes) {
  static const int zone = setenv("TZ", "Europe/Berlin", 1);
  require(zone == 0, "no zone");
  const Instant current{std::chrono::seconds(1'795'000'000)};
  const auto time = given(bytes, [&] { return parse_instant(as_text(bytes), current); });
  if (!time) return;
  using std::chrono::sys_days;
  constexpr sys_days kFirst = std::chrono::year(1) / 1 / 2;
  constexpr sys_days kLast = std::chrono::year(9999) / 12 / 30;
  if (*time < kFirst || *time > kLast) return;  // of five digits, or before Christ
  require(parse_instant(to_utc_text(*time), current) == *time, "a time is another one");
  require(parse_instant(to_local_text(*time), current) == *time, "a local time is another one");
  require(from_postgres_time(to_postgres_time(*time)) == *time, "PostgreSQL's time is another one");
}

void read_number(ByteSpan bytes) {
  const std::string_view text = as_text(bytes);
  if (const auto size = parse_bytes(text)) {
    format_bytes(*size);
    require(parse_bytes(std::to_string(*size)) == size, "a size is another one");
  }
  if (const auto duration = parse_duration(text)) {
    require(duration->count() >= 0, "a wait that ends before it begins");
    require(parse_duration(fmt::format("{}ms", duration->count())) == duration,
            "a duration is another one");
  }
  if (const auto lsn = parse_lsn(text)) {
    require(parse_lsn(format_lsn(*lsn)) == lsn, "an LSN is another one");
  }
  if (const auto cluster = ClusterKey::parse(text)) {
    require(ClusterKey::parse(cluster->to_string()) == cluster, "a cluster's key is another one");
  }
  if (const auto name = parse_wal_key(text)) {
    require(last_part(text).starts_with(name->segment.to_string()), "a key of another segment");
  }
  given(bytes, [&] {
    check_key(text);
    return true;
  });
}

// Stored anew it must have the same contents.
void write_again(const ArchiveReader& reader, const Bytes& raw) {
  constexpr std::uint32_t kMostBlock = 4096;  // buffers of it are made for every file
  const ArchiveContents& contents = reader.contents();
  if (contents.block_size > kMostBlock || raw.size() > 16 * kMostBlock) return;
  testing::MemorySink sink;
  EncodeBuffers buffers(
      {.compression = {.codec = contents.codec}, .block_size = contents.block_size});
  ArchiveWriter writer(sink, buffers);
  writer.append(raw);
  writer.finish({});
  const testing::MemorySource source(std::move(sink.bytes));
  const ArchiveReader again(source);
  require(again.contents().raw_hash == contents.raw_hash &&
              again.contents().raw_size == contents.raw_size &&
              again.contents().block_count == contents.block_count,
          "an archived file is read back as another");
}

void read_part(const ArchiveReader& reader, const Bytes& raw, std::size_t offset,
               std::size_t length) {
  Bytes part;
  reader.read_range(offset, length, [&](ByteSpan bytes, std::uint64_t at) {
    require(at == offset + part.size(), "a part of another place");
    part.insert(part.end(), bytes.begin(), bytes.end());
  });
  const ByteSpan expected = ByteSpan(raw).subspan(offset, length);
  require(std::equal(part.begin(), part.end(), expected.begin(), expected.end()),
          "a part is not what the whole has there");
}

void require_refused(const ArchiveReader& reader, std::uint64_t offset, std::uint64_t length) {
  const auto result = stored([&] {
    reader.read_range(offset, length, [](ByteSpan, std::uint64_t) {});
    return true;
  });
  require(!result, "bytes behind the end");
}

void read_blocks(const ArchiveReader& reader) {
  constexpr std::uint64_t kMostRead = 1U << 20;  // a short input may stand for very much
  const std::uint64_t size = reader.contents().raw_size;
  const auto ignore = [](ByteSpan, std::uint64_t) {};
  if (size > kMostRead) {
    stored([&] { return reader.read_range(size - 1, 1, ignore), true; });
    return;
  }
  Bytes raw;
  const auto whole = stored([&] {
    reader.read_all(1, [&](ByteSpan bytes, std::uint64_t offset) {
      require(offset == raw.size(), "a block of another place");
      raw.insert(raw.end(), bytes.begin(), bytes.end());
    });
    return true;
  });
  require(raw.size() <= size, "more bytes than the file has");
  require_refused(reader, size, 1);
  require_refused(reader, 1, UINT64_MAX);
  require_refused(reader, UINT64_MAX, 2);
  if (!whole) return;
  require(raw.size() == size && hash_of(raw) == reader.contents().raw_hash,
          "other contents than the file's hash says");
  read_part(reader, raw, 0, raw.size());
  read_part(reader, raw, raw.size() / 3, raw.size() / 2);
  read_part(reader, raw, raw.size(), 0);
  write_again(reader, raw);
}

void read_archive(ByteSpan bytes) {
  const testing::MemorySource source(Bytes(bytes.begin(), bytes.end()));
  const auto reader = stored([&] { return std::make_unique<ArchiveReader>(source); });
  if (!reader) return;
  for (std::uint32_t id = 0; id < 12; ++id) {
    const auto section = stored([&] { return (*reader)->section(id); });
    if (!section || !*section) continue;
    require((*section)->size() < bytes.size(), "a section is larger than its file");
    if (id == kIdentitySection) read_identity(**section);
    if (id == kBackupSummarySection) read_backup_summary(**section);
  }
  read_blocks(**reader);
}

template <typename Repair, typename Read>
void read_repaired(ByteSpan bytes, const Repair& repair, const Read& read) {
  Bytes file(bytes.begin(), bytes.end());
  repair(file);
  read(file);
}

void read_any(StoredDecoder decoder, ByteSpan bytes) {
  switch (decoder) {
    case StoredDecoder::kArchive:
      return read_repaired(bytes, repair_archive, read_archive);
    case StoredDecoder::kRawArchive:
      return read_archive(bytes);
    case StoredDecoder::kIdentity:
      return read_identity(bytes);
    case StoredDecoder::kBackupSummary:
      return read_backup_summary(bytes);
    case StoredDecoder::kJournalEntry:
      return read_journal_entry(bytes);
    case StoredDecoder::kJournal:
      return read_repaired(bytes, repair_journal, read_journal);
    case StoredDecoder::kRawJournal:
      return read_journal(bytes);
    case StoredDecoder::kLogSummary:
      return read_log_summary(bytes);
    case StoredDecoder::kManifestLine:
      return read_manifest_line(bytes);
    case StoredDecoder::kBackupFiles:
      return read_backup_files(bytes);
    case StoredDecoder::kBackupLabel:
      return read_backup_label(bytes);
    case StoredDecoder::kMapLine:
      return read_map_line(bytes);
    case StoredDecoder::kTar:
      return read_repaired_tar(bytes);
    case StoredDecoder::kRawTar:
      return read_tar(bytes);
    case StoredDecoder::kConfiguration:
      return read_configuration(bytes);
    case StoredDecoder::kTime:
      return read_time(bytes);
    case StoredDecoder::kNumber:
      return read_number(bytes);
  }
}

}  // namespace

}  // namespace pitr::fuzzing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pitr::fuzzing;
  if (size == 0) return 0;
  read_any(static_cast<StoredDecoder>(data[0] % kStoredDecoders),
           std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}
