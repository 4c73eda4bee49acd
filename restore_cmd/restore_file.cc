#include "restore_cmd/restore_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/file.h"
#include "wal/control_file.h"
#include "wal/segment_index.h"
#include "wal/timeline_history.h"

namespace pitr {

namespace {

// Writes beside the destination and hands over by rename: PostgreSQL never sees half a file.
class HandOver {
 public:
  explicit HandOver(const std::string& destination)
      : destination_(destination),
        temporary_(destination + ".pitr"),
        file_(File::open(temporary_, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600)) {}
  HandOver(const HandOver&) = delete;
  HandOver& operator=(const HandOver&) = delete;
  HandOver(HandOver&&) = delete;
  HandOver& operator=(HandOver&&) = delete;
  ~HandOver() {
    if (file_.is_open()) unlink(temporary_.c_str());
  }

  void write(std::uint64_t offset, ByteSpan bytes) { file_.write_at(offset, bytes); }

  // The rest of a segment that was not written to its end reads as zeros.
  void extend(std::uint64_t size) {
    if (ftruncate(file_.descriptor(), static_cast<off_t>(size)) != 0) {
      throw_file_error("extend file", temporary_, errno);
    }
  }

  void finish() {
    // PostgreSQL makes the file durable itself before it relies on it (xlogarchive.c).
    if (rename(temporary_.c_str(), destination_.c_str()) != 0) {
      throw_file_error("rename file to", destination_, errno);
    }
    file_.close();
  }

 private:
  std::string destination_;
  std::string temporary_;
  File file_;
};

[[noreturn]] void throw_wrong_size(const std::string& key, std::uint64_t found) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("stored file \"{}\" has the wrong size", key),
               .detail = fmt::format("It holds {} bytes.", found)});
}

// An invalid record in the middle of a segment ends recovery there, and outside standby mode the
// server would open with everything after it gone.
void refuse_damaged_wal(const StoredFile& stored, const std::string& key) {
  const auto section = stored.reader->section(kWalIndexSection);
  if (!section || !decode_index(*section).damaged) return;
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("WAL segment \"{}\" holds an invalid record at {}",
                                      last_part(key), format_lsn(decode_index(*section).valid_end)),
               .detail = "It was archived like this. Recovery would end there and the server would "
                         "open without what was committed later.",
               .hint = "Choose an earlier recovery target or a later base backup."});
}

// Where replay of the data directory that we are called in begins; nothing where we are not.
std::optional<Lsn> start_of_replay() {
  std::string contents;
  constexpr std::string_view kStart = "START WAL LOCATION: ";
  if (try_read_whole_file("backup_label", contents) && contents.starts_with(kStart)) {
    return parse_lsn(
        contents.substr(kStart.size(), contents.find(' ', kStart.size()) - kStart.size()));
  }
  if (!try_read_whole_file("global/pg_control", contents)) return std::nullopt;
  return ControlFile::parse(as_byte_span(contents)).redo;
}

// The record that ends in a segment and began in an earlier one, by what the trailers before keep;
// nothing where they do not tell.
std::optional<JoinedRecord> record_that_ends_in(const RestoreRequest& request, Storage& storage,
                                                const SegmentIndex& last) {
  const SegmentSize size = request.cluster.identity.segment_size;
  std::vector<SegmentIndex> parts = {last};
  Lsn start = request.name.segment.start(size);
  while (parts.back().open_record == 0 || parts.size() == 1) {
    const SegmentIndex& part = parts.back();
    const bool goes_back = part.continuation_bytes > 0;
    if (!goes_back || start == 0) return std::nullopt;
    start -= size;
    const auto name = WalFileName::parse(
        SegmentName::containing(request.name.segment.timeline, start, size).to_string());
    const auto stored = open_stored_file(storage, wal_key(request.cluster.key, *name),
                                         request.cluster.key, name->text);
    const auto section = stored ? stored->reader->section(kWalIndexSection) : std::nullopt;
    if (!section) return std::nullopt;
    parts.push_back(decode_index(*section));
  }
  JoinedRecord record(parts.back());
  for (auto part = parts.rbegin() + 1; part != parts.rend(); ++part) {
    if (!record.join(*part)) return std::nullopt;  // a crash cut it short
  }
  return record;
}

// Neither segment alone shows that a record over their border is invalid.
void refuse_damaged_record_over_the_border(const RestoreRequest& request, Storage& storage,
                                           const StoredFile& stored) {
  std::optional<JoinedRecord> record;
  std::optional<Lsn> replay;
  try {
    const auto section = stored.reader->section(kWalIndexSection);
    if (!section) return;
    const SegmentIndex index = decode_index(*section);
    if (index.continuation_bytes == 0 || index.continuation_taken < index.continuation_bytes)
      return;
    record = record_that_ends_in(request, storage, index);
    if (!record || !record->is_whole() || record->is_valid()) return;
    replay = start_of_replay();
  } catch (const Error& error) {
    log_debug(error.what());  // of other files: this one is whole by itself
    return;
  }
  // Replay that begins behind it never reads it.
  if (replay && *replay > record->start()) return;
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("WAL segment \"{}\" ends an invalid record that begins at {}",
                                      request.name.text, format_lsn(record->start())),
               .detail = "It was archived like this. Recovery would end there and the server would "
                         "open without what was committed later.",
               .hint = "Choose an earlier recovery target or a later base backup."});
}

// Verifies everything before the file is handed over. False: certainly not stored.
bool fetch(const RestoreRequest& request, Storage& storage, const std::string& key) {
  const auto stored = open_wal_file(request, storage, key);
  if (!stored) return false;
  HandOver hand_over(request.destination);
  read_wal_file(request, *stored,
                [&](ByteSpan raw, std::uint64_t offset) { hand_over.write(offset, raw); });
  if (request.name.has_pages()) hand_over.extend(request.cluster.identity.segment_size);
  hand_over.finish();
  return true;
}

struct Neighbours {
  std::vector<std::string> beginnings;  // tails and partials of the wanted segment itself
  std::string later;                    // the first later segment of its timeline that is stored
};

Neighbours look_around(const RestoreRequest& request, Storage& storage) {
  Neighbours neighbours;
  const std::string key = wal_key(request.cluster.key, request.name);
  storage.list(timeline_folder(request.cluster.key, request.name.segment.timeline), key,
               [&](const std::string& found) {
                 const auto name = parse_wal_key(found);
                 if (!name || name->kind == StoredWalName::Kind::kBackupHistory) return true;
                 if (name->segment == request.name.segment) {
                   neighbours.beginnings.push_back(found);
                   return true;
                 }
                 neighbours.later = last_part(found);
                 return false;
               });
  return neighbours;
}

// Timelines that forked off behind the wanted segment: their WAL goes on from it, and a recovery to
// one of them asks for it here. The first segment that is stored of such a timeline; empty: none.
std::string later_on_another_timeline(const RestoreRequest& request, Storage& storage) {
  const SegmentName& wanted = request.name.segment;
  const Lsn end =
      wanted.start(request.cluster.identity.segment_size) + request.cluster.identity.segment_size;
  std::vector<std::string> keys;
  storage.list(history_folder(request.cluster.key), "", [&](const std::string& key) {
    keys.push_back(key);
    return true;
  });
  for (const std::string& key : keys) {
    const auto name = WalFileName::parse(last_part(key));
    if (!name || name->segment.timeline == wanted.timeline) continue;
    const auto text = fetch_text(storage, key, request.cluster.key, last_part(key));
    if (!text) continue;
    const auto path = parse_timeline_history(name->segment.timeline, *text);
    const bool forked_behind =
        std::any_of(path.begin(), path.end(), [&](const TimelineStretch& stretch) {
          return stretch.timeline == wanted.timeline && stretch.begin < end && stretch.end >= end;
        });
    if (!forked_behind) continue;
    std::string later;
    storage.list(timeline_folder(request.cluster.key, name->segment.timeline), "",
                 [&](const std::string& found) {
                   const auto stored = parse_wal_key(found);
                   if (!stored || stored->kind == StoredWalName::Kind::kBackupHistory) return true;
                   later = last_part(found);
                   return false;
                 });
    if (!later.empty()) return later;
  }
  return {};
}

// How many bytes a tail holds, by its key; nothing for a partial segment.
std::optional<std::uint64_t> length_of_beginning(std::string_view key) {
  constexpr std::string_view kTail = ".tail-";
  constexpr std::size_t kDigits = 8;
  const std::size_t tail = key.rfind(kTail);
  if (tail == std::string_view::npos) return std::nullopt;
  return parse_number(key.substr(tail + kTail.size(), kDigits), 16);
}

struct Beginning {
  std::string key;
  Lsn end = 0;  // of its WAL
};

// PostgreSQL puts what it is given over its own copy in pg_wal. A standby may have received more of
// a segment than anybody could store: that copy may be the only one of the newest commits.
bool has_as_much_in_place(const RestoreRequest& request, Lsn stored_end) {
  const SegmentSize size = request.cluster.identity.segment_size;
  const std::string path = parent_directory(request.destination) + "/" + request.name.text;
  try {
    if (access(path.c_str(), R_OK) != 0) return false;
    const File file = File::open_for_read(path);
    if (file.size() != size) return false;
    SegmentIndexer indexer(request.name.segment.start(size), size);
    std::vector<std::byte> buffer(std::min<std::uint64_t>(size, 256ULL * 1024));
    for (std::uint64_t offset = 0; offset < size; offset += buffer.size()) {
      if (file.read_at(offset, buffer) < buffer.size()) return false;
      indexer.feed(buffer);
    }
    return indexer.finish().valid_end >= stored_end;
  } catch (const Error& error) {
    log_debug(error.what());
    return false;
  }
}

// Which of the stored beginnings holds the most WAL. Throws kCorrupt where that one is damaged.
std::optional<Beginning> longest_beginning(const RestoreRequest& request, Storage& storage,
                                           const std::vector<std::string>& keys) {
  const SegmentSize size = request.cluster.identity.segment_size;
  std::optional<Beginning> longest;
  std::optional<Error> damaged;
  Lsn longest_end = 0;
  Lsn damaged_end = 0;
  for (const std::string& key : keys) {
    try {
      const auto stored = open_stored_file(storage, key, request.cluster.key, last_part(key));
      if (!stored) continue;
      const auto section = stored->reader->section(kWalIndexSection);
      if (!section) continue;
      const auto length = length_of_beginning(key);
      const Lsn end =
          length ? request.name.segment.start(size) + *length : decode_index(*section).valid_end;
      stored->reader->read_all(request.jobs, [](ByteSpan, std::uint64_t) {});
      if (end > longest_end) {
        longest = Beginning{.key = key, .end = end};
        longest_end = end;
      }
    } catch (const Error& error) {
      if (error.report().kind != ErrorKind::kCorrupt) throw;
      log_warning(error.what());
      const Lsn end = request.name.segment.start(size) + length_of_beginning(key).value_or(size);
      if (end > damaged_end) damaged.emplace(error);
      damaged_end = std::max(damaged_end, end);
    }
  }
  // A damaged one that went further was acknowledged, too: without it commits would be gone.
  if (damaged && damaged_end > longest_end) throw Error(damaged->report());
  return longest;
}

}  // namespace

std::optional<StoredFile> open_wal_file(const RestoreRequest& request, Storage& storage,
                                        const std::string& key) {
  auto stored = open_stored_file(storage, key, request.cluster.key, last_part(key));
  if (!stored) return std::nullopt;
  const std::uint64_t raw_size = stored->reader->contents().raw_size;
  if (request.name.has_pages() && raw_size > request.cluster.identity.segment_size) {
    throw_wrong_size(key, raw_size);
  }
  if (request.name.kind == WalFileKind::kSegment) {
    refuse_damaged_wal(*stored, key);
    refuse_damaged_record_over_the_border(request, storage, *stored);
  }
  return stored;
}

void read_wal_file(const RestoreRequest& request, const StoredFile& stored,
                   const ArchiveReader::Consumer& consumer) {
  const ClusterIdentity& cluster = request.cluster.identity;
  stored.reader->inspect_all(request.jobs, [&](ByteSpan raw, std::uint64_t offset) {
    if (request.name.has_pages() && offset == 0) {
      check_segment_header(raw, cluster.segment_size, request.name.segment, cluster);
    }
    consumer(raw, offset);
  });
}

RestoreAnswer restore_file(const RestoreRequest& request, Storage& storage) {
  if (fetch(request, storage, wal_key(request.cluster.key, request.name))) {
    return {.outcome = RestoreOutcome::kRestored};
  }
  if (request.name.kind != WalFileKind::kSegment) return {.outcome = RestoreOutcome::kAbsent};

  // "Absent" ends a recovery, so it must also be harmless: nothing later may be waiting.
  const Neighbours neighbours = look_around(request, storage);
  if (!neighbours.later.empty()) {
    return {.outcome = RestoreOutcome::kGap, .present = neighbours.later};
  }
  if (!request.standby) {
    std::string later = later_on_another_timeline(request, storage);
    if (!later.empty()) return {.outcome = RestoreOutcome::kGap, .present = std::move(later)};
  }
  const auto beginning = longest_beginning(request, storage, neighbours.beginnings);
  if (beginning && has_as_much_in_place(request, beginning->end)) {
    log_info(fmt::format("WAL segment \"{}\" is stored only up to {}, and pg_wal holds as much",
                         request.name.text, format_lsn(beginning->end)));
    return {.outcome = RestoreOutcome::kAbsent};
  }
  if (beginning && fetch(request, storage, beginning->key)) {
    log_warning(fmt::format("WAL segment \"{}\" is stored only up to where it was written: \"{}\"",
                            request.name.text, last_part(beginning->key)));
    return {.outcome = RestoreOutcome::kRestored};
  }
  return {.outcome = RestoreOutcome::kAbsent};
}

}  // namespace pitr
