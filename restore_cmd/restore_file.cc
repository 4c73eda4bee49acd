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
#include "wal/segment_index.h"

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

// Verifies everything before the file is handed over. False: certainly not stored.
bool fetch(const RestoreRequest& request, Storage& storage, const std::string& key) {
  const auto stored = open_stored_file(storage, key, request.cluster.key, last_part(key));
  if (!stored) return false;
  const ClusterIdentity& cluster = request.cluster.identity;
  const std::uint64_t raw_size = stored->reader->contents().raw_size;
  const bool has_pages = request.name.has_pages();
  if (has_pages && raw_size > cluster.segment_size) throw_wrong_size(key, raw_size);
  if (request.name.kind == WalFileKind::kSegment) refuse_damaged_wal(*stored, key);

  HandOver hand_over(request.destination);
  stored->reader->read_all(request.jobs, [&](ByteSpan raw, std::uint64_t offset) {
    if (has_pages && offset == 0) {
      check_segment_header(raw, cluster.segment_size, request.name.segment, cluster);
    }
    hand_over.write(offset, raw);
  });
  if (has_pages) hand_over.extend(cluster.segment_size);
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

// How many bytes a tail holds, by its key; nothing for a partial segment.
std::optional<std::uint64_t> length_of_beginning(std::string_view key) {
  constexpr std::string_view kTail = ".tail-";
  constexpr std::size_t kDigits = 8;
  const std::size_t tail = key.rfind(kTail);
  if (tail == std::string_view::npos) return std::nullopt;
  return parse_number(key.substr(tail + kTail.size(), kDigits), 16);
}

// Which of the stored beginnings holds the most WAL. Throws kCorrupt where that one is damaged.
std::optional<std::string> longest_beginning(const RestoreRequest& request, Storage& storage,
                                             const std::vector<std::string>& keys) {
  const SegmentSize size = request.cluster.identity.segment_size;
  std::optional<std::string> longest;
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
        longest = key;
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
  const auto beginning = longest_beginning(request, storage, neighbours.beginnings);
  if (beginning && fetch(request, storage, *beginning)) {
    log_warning(fmt::format("WAL segment \"{}\" is stored only up to where it was written: \"{}\"",
                            request.name.text, last_part(*beginning)));
    return {.outcome = RestoreOutcome::kRestored};
  }
  return {.outcome = RestoreOutcome::kAbsent};
}

}  // namespace pitr
