#include "archive_cmd/passage.h"

#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "common/error.h"
#include "io/copy.h"
#include "wal/timeline_history.h"

namespace pitr {

namespace {

constexpr std::uint64_t kLargestTextFile = 16ULL << 20;  // history files grow with each timeline

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
  } else if (name.kind == WalFileKind::kHistory) {
    // It can never be taken back, and a damaged one stands in the way of every recovery.
    parse_timeline_history(name.segment.timeline, read_whole_file(source.path()));
  }
}

}  // namespace

File open_source(const std::string& path, const WalFileName& name, const ClusterIdentity& cluster) {
  // O_NONBLOCK: a pipe under a segment's name is refused, not waited for.
  File source = File::open(path, O_RDONLY | O_NONBLOCK);
  check_source(source, name, cluster);
  return source;
}

std::unique_ptr<Destination> Passage::write(Workspace& workspace,
                                            std::unique_ptr<Destination> destination,
                                            const std::string& key, FileKind kind,
                                            std::uint64_t length, bool only_complete) {
  ArchiveWriter writer(*destination, workspace.buffers());
  std::optional<SegmentIndexer> indexer = make_indexer();
  const std::uint64_t copied =
      copy({source_}, 0, length, workspace.ring(), writer, [&](ByteSpan raw) {
        if (indexer) indexer->feed(raw);
      });
  require_unchanged(copied, length);
  const FileIdentity file_identity = identity(kind, key, length);
  std::vector<Section> sections = identity_sections(file_identity);
  if (indexer) finish_index(*indexer);
  if (only_complete && is_incomplete()) return nullptr;
  if (index_) append_index_sections(sections);
  const ArchiveContents contents = writer.finish(std::move(sections));
  entry_ = {.cluster = request_.cluster.key,
            .key = key,
            .raw_bytes = contents.raw_size,
            .stored_bytes = writer.stored_size(),
            .archived_at = file_identity.created_at,
            .index = index_ ? encode_index(*index_) : std::vector<std::byte>()};
  return destination;
}

bool Passage::store(Workspace& workspace, const std::string& key, FileKind kind,
                    std::uint64_t length) {
  return write(workspace, storage_.create(key), key, kind, length, false)->commit();
}

bool Passage::is_stored_as(const std::string& key, std::uint64_t length) {
  const auto stored = open_stored_file(storage_, key, request_.cluster.key, last_part(key));
  if (!stored || stored->reader->contents().raw_size != length) return false;
  try {
    if (!has_same_bytes(*stored->reader)) return false;
  } catch (const Error&) {
    // A stored file that cannot be read to its end may still be known to be another one.
    if (stored->reader->contents().raw_hash != source_hash(length)) return false;
    throw;
  }
  storage_.make_durable(key);
  return true;
}

// Each thread reads of the source what it has just decompressed: one pass over both.
bool Passage::has_same_bytes(const ArchiveReader& stored) const {
  BufferPool pool(request_.jobs, stored.contents().block_size);
  std::atomic<bool> same{true};
  stored.inspect_all(request_.jobs, [&](ByteSpan raw, std::uint64_t offset) {
    if (!same) return;
    Buffer space = pool.acquire();
    const std::span<std::byte> bytes = space.space().first(raw.size());
    require_unchanged(offset + source_.read_at(offset, bytes), offset + raw.size());
    if (std::memcmp(bytes.data(), raw.data(), raw.size()) != 0) same = false;
  });
  return same;
}

Hash128 Passage::source_hash(std::uint64_t length) {
  Xxh3Stream hash;
  read_source(length, [&](ByteSpan raw) { hash.update(raw); });
  return hash.value();
}

void Passage::read_index() {
  std::optional<SegmentIndexer> indexer = make_indexer();
  if (!indexer) return;
  read_source(request_.cluster.identity.segment_size, [&](ByteSpan raw) { indexer->feed(raw); });
  finish_index(*indexer);
}

void Passage::read_source(std::uint64_t length, const BytesVisitor& visitor) const {
  BufferPool pool(1, kUsualBlockSize);
  Buffer buffer = pool.acquire();
  std::uint64_t offset = 0;
  while (offset < length) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.capacity(), length - offset);
    const std::size_t count = source_.read_at(offset, buffer.space().first(wanted));
    if (count == 0) break;
    buffer.set_size(count);
    visitor(buffer.bytes());
    offset += count;
  }
  require_unchanged(offset, length);
}

// The index is made of the whole file: of a tail's bytes alone it could not be told where their WAL
// ends.
std::optional<SegmentIndexer> Passage::make_indexer() const {
  if (!name_.has_pages() || index_) return std::nullopt;
  const SegmentSize size = request_.cluster.identity.segment_size;
  return std::make_optional<SegmentIndexer>(name_.segment.start(size), size);
}

void Passage::finish_index(SegmentIndexer& indexer) {
  index_ = indexer.finish();
  details_ = indexer.take_details();
}

// Least wanted first, so that what is asked for at every question lies at the file's end.
void Passage::append_index_sections(std::vector<Section>& sections) const {
  sections.push_back(
      {.id = kChangedBlocksSection, .bytes = encode_changed_blocks(details_.changed_blocks)});
  if (!details_.relations.empty()) {
    sections.push_back(
        {.id = kRelationChangesSection, .bytes = encode_relation_changes(details_.relations)});
  }
  sections.push_back({.id = kTransactionsSection, .bytes = encode_xids(details_.xids)});
  sections.push_back({.id = kWalIndexSection, .bytes = encode_index(*index_)});
}

FileIdentity Passage::identity(FileKind kind, const std::string& key, std::uint64_t length) const {
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

void Passage::require_unchanged(std::uint64_t found, std::uint64_t expected) const {
  if (found == expected) return;
  throw Error(
      {.kind = ErrorKind::kSystem,
       .message = fmt::format("WAL file \"{}\" became shorter while it was read", name_.text)});
}

}  // namespace pitr
