#include "archive_cmd/archive_file.h"

#include <optional>

#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "io/copy.h"
#include "io/file.h"
#include "wal/segment_index.h"

namespace pitr {

namespace {

constexpr std::uint64_t kLargestTextFile = 64ULL << 20;  // history files grow with each timeline

WalFileName parse_name(const std::string& path) {
  const std::string_view text = last_part(path);
  const auto name = WalFileName::parse(text);
  if (name) return *name;
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("\"{}\" is not the name of a WAL file", text),
               .hint = "Set archive_command = 'pitr-archive %p'."});
}

// Refuses what is not whole or not of this cluster before a byte of it leaves the machine.
void check_source(const File& source, const WalFileName& name, const ClusterIdentity& cluster) {
  struct stat status {};
  if (fstat(source.descriptor(), &status) != 0) {
    throw_file_error("read size of file", source.path(), errno);
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error({.kind = ErrorKind::kMismatch,
                 .message = fmt::format("\"{}\" is not a regular file", source.path())});
  }
  const std::uint64_t size = source.size();
  if (name.has_pages()) {
    std::array<std::byte, kLongPageHeaderSize> header{};
    const std::size_t count = source.read_at(0, header);
    check_segment_header(ByteSpan(header).first(count), size, name.segment, cluster);
  } else if (size == 0 || size > kLargestTextFile) {
    throw Error(
        {.kind = ErrorKind::kMismatch,
         .message = fmt::format("WAL file \"{}\" has {} bytes", name.text, size),
         .detail = size == 0 ? "It is empty." : "A file of this kind is never that large."});
  }
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

// One WAL file on its way: what the steps of archive_file() share.
class Passage {
 public:
  Passage(const ArchiveRequest& request, Storage& storage, const WalFileName& name,
          const File& source)
      : request_(request), storage_(storage), name_(name), source_(source), ring_(request.ring) {}

  // Copies the first `length` bytes under `key`. False: the key exists, nothing was stored.
  // With `only_complete` an incomplete segment is not stored either; index() then says so.
  bool store(const std::string& key, FileKind kind, std::uint64_t length, bool only_complete) {
    EncodeBuffers buffers({.compression = request_.compression, .jobs = request_.jobs});
    const auto destination = storage_.create(key);
    ArchiveWriter writer(*destination, buffers);
    std::optional<SegmentIndexer> indexer = make_indexer();
    const std::uint64_t copied = copy(source_, 0, length, ring_, writer, [&](ByteSpan raw) {
      if (indexer) indexer->feed(raw);
    });
    require_unchanged(copied, length);
    const FileIdentity file_identity = identity(kind, key, length);
    std::vector<Section> sections = identity_sections(file_identity);
    if (indexer) finish_index(*indexer);
    if (only_complete && is_incomplete()) return false;
    if (index_) append_index_sections(sections);
    const ArchiveContents contents = writer.finish(std::move(sections));
    if (!destination->commit()) return false;
    // Beyond this point the file survives a crash, so PostgreSQL may remove its own copy.
    entry_ = {.cluster = request_.cluster.key,
              .key = key,
              .raw_bytes = contents.raw_size,
              .stored_bytes = writer.stored_size(),
              .archived_at = file_identity.created_at,
              .index = index_ ? encode_index(*index_) : std::vector<std::byte>()};
    return true;
  }

  // Compares the first `length` bytes with the stored file: every stored block is read again and
  // verified. When they are the same, the stored file is durable on return.
  bool is_stored_as(const std::string& key, std::uint64_t length) {
    const auto stored = open_stored_file(storage_, key, request_.cluster.key, last_part(key));
    if (!stored) return false;
    if (stored->reader->contents().raw_size != length ||
        stored->reader->contents().raw_hash != source_hash(length)) {
      return false;
    }
    stored->reader->read_all(request_.jobs, [](ByteSpan, std::uint64_t) {});
    storage_.make_durable(key);
    return true;
  }

  // XXH3-128 of the first `length` bytes; in the first pass the index is computed, too.
  Hash128 source_hash(std::uint64_t length) {
    Xxh3Stream hash;
    std::optional<SegmentIndexer> indexer = make_indexer();
    BufferPool pool(1, kUsualBlockSize);
    Buffer buffer = pool.acquire();
    std::uint64_t offset = 0;
    while (offset < length) {
      const std::size_t wanted = std::min<std::uint64_t>(buffer.capacity(), length - offset);
      const std::size_t count = source_.read_at(offset, buffer.space().first(wanted));
      if (count == 0) break;
      buffer.set_size(count);
      hash.update(buffer.bytes());
      if (indexer) indexer->feed(buffer.bytes());
      offset += count;
    }
    require_unchanged(offset, length);
    if (indexer) finish_index(*indexer);
    return hash.value();
  }

  bool is_incomplete() const { return index_ && !index_->complete && !index_->damaged; }
  const std::optional<SegmentIndex>& index() const { return index_; }
  const std::optional<WalFileEntry>& entry() const { return entry_; }

 private:
  // The index is made in the first pass, which is over the whole file: of a tail's bytes alone it
  // could not be told where their WAL ends.
  std::optional<SegmentIndexer> make_indexer() const {
    if (!name_.has_pages() || index_) return std::nullopt;
    const SegmentSize size = request_.cluster.identity.segment_size;
    return std::make_optional<SegmentIndexer>(name_.segment.start(size), size);
  }

  void finish_index(SegmentIndexer& indexer) {
    index_ = indexer.finish();
    details_ = indexer.take_details();
  }

  // Least wanted first, so that what is asked for at every question lies at the file's end.
  void append_index_sections(std::vector<Section>& sections) const {
    sections.push_back(
        {.id = kChangedBlocksSection, .bytes = encode_changed_blocks(details_.changed_blocks)});
    if (!details_.relations.empty()) {
      sections.push_back(
          {.id = kRelationChangesSection, .bytes = encode_relation_changes(details_.relations)});
    }
    sections.push_back({.id = kTransactionsSection, .bytes = encode_xids(details_.xids)});
    sections.push_back({.id = kWalIndexSection, .bytes = encode_index(*index_)});
  }

  FileIdentity identity(FileKind kind, const std::string& key, std::uint64_t length) const {
    FileIdentity identity{.kind = kind,
                          .name = std::string(last_part(key)),
                          .cluster_name = request_.cluster.key.name,
                          .cluster = request_.cluster.identity,
                          .timeline = name_.segment.timeline,
                          .created_at = now()};
    if (name_.has_pages()) {
      identity.start_lsn = name_.segment.start(request_.cluster.identity.segment_size);
      identity.end_lsn = identity.start_lsn + length;
    }
    return identity;
  }

  void require_unchanged(std::uint64_t found, std::uint64_t expected) const {
    if (found == expected) return;
    throw Error(
        {.kind = ErrorKind::kSystem,
         .message = fmt::format("WAL file \"{}\" became shorter while it was read", name_.text)});
  }

  const ArchiveRequest& request_;
  Storage& storage_;
  const WalFileName& name_;
  const File& source_;
  Ring ring_;
  std::optional<SegmentIndex> index_;
  SegmentDetails details_;
  std::optional<WalFileEntry> entry_;
};

[[noreturn]] void throw_differs(const WalFileName& name) {
  throw Error(
      {.kind = ErrorKind::kMismatch,
       .message = fmt::format("WAL file \"{}\" is stored already with other contents", name.text),
       .detail = "The stored file was kept, the new one was refused.",
       .hint = "Two servers may be archiving under one name: check that no clone or second "
               "primary uses this repository."});
}

// An incomplete segment under a full name: a standby marks the one it was receiving when its
// primary went away. Its name stays free for the complete one.
void store_tail(Passage& passage, const ArchiveRequest& request, const WalFileName& name) {
  const SegmentSize size = request.cluster.identity.segment_size;
  const std::uint64_t length = passage.index()->valid_end - name.segment.start(size);
  const std::uint64_t hash = load<std::uint64_t>(passage.source_hash(length), 0);
  const std::string key = tail_key(request.cluster.key, name.segment, length, hash);
  log_warning(
      fmt::format("WAL segment \"{}\" is not written to its end; its first {} bytes are "
                  "stored as a tail",
                  name.text, length));
  if (passage.is_stored_as(key, length)) return;
  if (!passage.store(key, FileKind::kTail, length, false) && !passage.is_stored_as(key, length)) {
    throw_differs(name);
  }
}

// The name exists: the same file again (PostgreSQL offers one again after a crash), or another.
void settle_existing(Passage& passage, const ArchiveRequest& request, const WalFileName& name,
                     const std::string& key, std::uint64_t length) {
  if (passage.is_stored_as(key, length)) return;
  if (name.kind == WalFileKind::kSegment) {
    passage.source_hash(length);
    if (!passage.is_incomplete()) throw_differs(name);
    store_tail(passage, request, name);
  } else if (name.kind == WalFileKind::kPartialSegment) {
    const std::uint64_t hash = load<std::uint64_t>(passage.source_hash(length), 0);
    const std::string beside = partial_key(request.cluster.key, name, hash);
    if (!passage.is_stored_as(beside, length) &&
        !passage.store(beside, FileKind::kPartialSegment, length, false) &&
        !passage.is_stored_as(beside, length)) {
      throw_differs(name);
    }
  } else {
    throw_differs(name);
  }
}

}  // namespace

void archive_file(const ArchiveRequest& request, Storage& storage, const Journal& journal) {
  const WalFileName name = parse_name(request.path);
  // O_NONBLOCK: a pipe under a segment's name is refused, not waited for.
  const File source = File::open(request.path, O_RDONLY | O_NONBLOCK);
  check_source(source, name, request.cluster.identity);

  const std::string key = wal_key(request.cluster.key, name);
  const std::uint64_t length = source.size();
  Passage passage(request, storage, name, source);

  if (storage.open(key)) {
    settle_existing(passage, request, name, key, length);
  } else if (!passage.store(key, kind_of(name), length, name.kind == WalFileKind::kSegment)) {
    // Not stored: the segment is incomplete, or somebody else was faster.
    if (passage.is_incomplete()) {
      store_tail(passage, request, name);
    } else {
      settle_existing(passage, request, name, key, length);
    }
  }
  // Beyond this point the file is durable in the repository: acknowledged.

  if (passage.index() && passage.index()->damaged) {
    log_warning(
        fmt::format("WAL segment \"{}\" holds an invalid record at {}; it was archived as it "
                    "is, and a recovery cannot go beyond it",
                    name.text, format_lsn(passage.index()->valid_end)));
  }
  if (!passage.entry()) return;
  try {
    journal.append(*passage.entry());
  } catch (const Error& error) {
    // The catalog only indexes the repository and finds the file there by itself.
    log_warning(fmt::format("could not note \"{}\" for the catalog: {}", name.text, error.what()));
  }
}

}  // namespace pitr
