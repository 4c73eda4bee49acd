#include "archive_cmd/archive_file.h"

#include <fmt/format.h>

#include "archive_cmd/look_ahead.h"
#include "archive_cmd/passage.h"
#include "common/error.h"
#include "common/log.h"

namespace pitr {

namespace {

WalFileName parse_name(const std::string& path) {
  const std::string_view text = last_part(path);
  const auto name = WalFileName::parse(text);
  if (name) return *name;
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("\"{}\" is not the name of a WAL file", text),
               .hint = "Set archive_command = 'pitr-archive %p'."});
}

FileKind kind_of(const WalFileName& name) {
  switch (name.kind) {
    case WalFileKind::kSegment:
      return FileKind::kSegment;
    case WalFileKind::kPartialSegment:
      return FileKind::kPartialSegment;
    case WalFileKind::kHistory:
      return FileKind::kHistory;
    case WalFileKind::kBackupHistory:
      return FileKind::kBackupHistory;
  }
  return FileKind::kSegment;
}

[[noreturn]] void throw_differs(const WalFileName& name) {
  throw Error(
      {.kind = ErrorKind::kMismatch,
       .message = fmt::format("WAL file \"{}\" is stored already with other contents", name.text),
       .detail = "The stored file was kept, the new one was refused.",
       .hint = "Two servers may be archiving under one name: check that no clone or second "
               "primary uses this repository."});
}

// What the steps below need of a call.
struct Call {
  const ArchiveRequest& request;
  Storage& storage;
  const Journal& journal;
  Workspace workspace;
};

// The catalog only indexes the repository and finds the file there by itself.
void note_for_catalog(const Journal& journal, const WalFileEntry& entry) {
  try {
    journal.append(entry);
  } catch (const Error& error) {
    log_warning(fmt::format("could not note \"{}\" for the catalog: {}", last_part(entry.key),
                            error.what()));
  }
}

// An incomplete segment under a full name: a standby marks the one it was receiving when its
// primary went away. Its name stays free for the complete one.
void store_tail(Call& call, Passage& passage, const WalFileName& name) {
  const ClusterRecord& cluster = call.request.cluster;
  const std::uint64_t length =
      passage.index()->valid_end - name.segment.start(cluster.identity.segment_size);
  const std::uint64_t hash = load<std::uint64_t>(passage.source_hash(length), 0);
  const std::string key = tail_key(cluster.key, name.segment, length, hash);
  log_warning(
      fmt::format("WAL segment \"{}\" is not written to its end; its first {} bytes are "
                  "stored as a tail",
                  name.text, length));
  if (passage.is_stored_as(key, length)) return;
  if (passage.store(call.workspace, key, FileKind::kTail, length)) {
    note_for_catalog(call.journal, passage.entry());
  } else if (!passage.is_stored_as(key, length)) {
    throw_differs(name);
  }
}

// The name exists: the same file again (PostgreSQL offers one again after a crash), one that an
// earlier call looked ahead to, or another.
void settle_existing(Call& call, Passage& passage, const WalFileName& name, const std::string& key,
                     std::uint64_t length) {
  if (passage.is_stored_as(key, length)) return;
  if (name.kind == WalFileKind::kSegment) {
    passage.read_index();
    if (!passage.is_incomplete()) throw_differs(name);
    store_tail(call, passage, name);
  } else if (name.kind == WalFileKind::kPartialSegment) {
    const std::uint64_t hash = load<std::uint64_t>(passage.source_hash(length), 0);
    const std::string beside = partial_key(call.request.cluster.key, name, hash);
    if (passage.is_stored_as(beside, length)) return;
    if (passage.store(call.workspace, beside, FileKind::kPartialSegment, length)) {
      note_for_catalog(call.journal, passage.entry());
    } else if (!passage.is_stored_as(beside, length)) {
      throw_differs(name);
    }
  } else {
    throw_differs(name);
  }
}

// False: the name exists, and nothing was stored.
bool store_new(Call& call, Passage& passage, const WalFileName& name, const std::string& key,
               std::uint64_t length) {
  const bool is_segment = name.kind == WalFileKind::kSegment;
  LookAhead look_ahead(call.request, call.storage, call.workspace);
  const auto destination = passage.write(call.workspace, call.storage.create(key), key,
                                         kind_of(name), length, is_segment);
  if (!destination) {
    store_tail(call, passage, name);
    return true;
  }
  destination->begin_commit();
  // While the disk is busy with this file, the processors are with the following ones.
  if (is_segment) look_ahead.write_after(name.segment, *destination);
  if (!destination->commit()) return false;
  // Beyond this point the file survives a crash, so PostgreSQL may remove its own copy.
  note_for_catalog(call.journal, passage.entry());
  for (const WalFileEntry& entry : look_ahead.commit())
    note_for_catalog(call.journal, entry);
  return true;
}

}  // namespace

void archive_file(const ArchiveRequest& request, Storage& storage, const Journal& journal) {
  const WalFileName name = parse_name(request.path);
  const File source = open_source(request.path, name, request.cluster.identity);
  const std::string key = wal_key(request.cluster.key, name);
  const std::uint64_t length = source.size();

  Call call{request, storage, journal, Workspace(request)};
  Passage passage(request, storage, name, source);
  if (storage.open(key) || !store_new(call, passage, name, key, length)) {
    settle_existing(call, passage, name, key, length);
  }
  // Beyond this point the file is durable in the repository: acknowledged.

  if (passage.is_damaged()) {
    log_warning(
        fmt::format("WAL segment \"{}\" holds an invalid record at {}; it was archived as it "
                    "is, and a recovery cannot go beyond it",
                    name.text, format_lsn(passage.index()->valid_end)));
  }
}

}  // namespace pitr
