// One WAL file on its way into the repository: the steps that archive_file() and its look-ahead
// share.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "archive_cmd/archive_file.h"
#include "io/archive_reader.h"
#include "io/archive_writer.h"
#include "io/file.h"
#include "io/uring.h"
#include "wal/file_name.h"
#include "wal/segment_index.h"

namespace pitr {

// The memory and the ring of a call: made once, when they are first wanted, and used for one file
// after the other.
class Workspace {
 public:
  explicit Workspace(const ArchiveRequest& request)
      : options_{.compression = request.compression, .jobs = request.jobs}, mode_(request.ring) {}

  EncodeBuffers& buffers() {
    if (!buffers_) buffers_ = std::make_unique<EncodeBuffers>(options_);
    return *buffers_;
  }
  Ring& ring() {
    if (!ring_) ring_.emplace(mode_);
    return *ring_;
  }

 private:
  EncodeOptions options_;
  std::unique_ptr<EncodeBuffers> buffers_;
  RingMode mode_;
  std::optional<Ring> ring_;
};

// Opens a WAL file; refuses what is not whole or not of this cluster before a byte of it leaves the
// machine.
File open_source(const std::string& path, const WalFileName& name, const ClusterIdentity& cluster);

// Used by one thread. All that it is given must outlive it.
class Passage {
 public:
  Passage(const ArchiveRequest& request, Storage& storage, const WalFileName& name,
          const File& source)
      : request_(request), storage_(storage), name_(name), source_(source) {}

  // Copies the first `length` bytes into the destination of `key`, and returns it: its bytes are
  // not durable yet, and it has no name. With `only_complete` nothing is returned for an incomplete
  // segment; index() then says so.
  std::unique_ptr<Destination> write(Workspace& workspace, std::unique_ptr<Destination> destination,
                                     const std::string& key, FileKind kind, std::uint64_t length,
                                     bool only_complete);

  // write() and commit(). False: the key exists, nothing was stored.
  bool store(Workspace& workspace, const std::string& key, FileKind kind, std::uint64_t length);

  // Compares the first `length` bytes with the stored file: every stored block is read again and
  // verified. When they are the same, the stored file is durable on return.
  bool is_stored_as(const std::string& key, std::uint64_t length);

  // XXH3-128 of the first `length` bytes.
  Hash128 source_hash(std::uint64_t length);

  // The index is known after write(); this makes it without writing.
  void read_index();

  bool is_incomplete() const { return index_ && !index_->complete && !index_->damaged; }
  bool is_damaged() const { return index_ && index_->damaged; }
  const std::optional<SegmentIndex>& index() const { return index_; }
  // Of the file that write() wrote last, for the journal once it is committed.
  const WalFileEntry& entry() const { return entry_; }

 private:
  using BytesVisitor = std::function<void(ByteSpan raw)>;

  std::optional<SegmentIndexer> make_indexer() const;
  void finish_index(SegmentIndexer& indexer);
  void append_index_sections(std::vector<Section>& sections) const;
  FileIdentity identity(FileKind kind, const std::string& key, std::uint64_t length) const;
  bool has_same_bytes(const ArchiveReader& stored) const;
  void read_source(std::uint64_t length, const BytesVisitor& visitor) const;
  void require_unchanged(std::uint64_t found, std::uint64_t expected) const;

  const ArchiveRequest& request_;
  Storage& storage_;
  const WalFileName& name_;
  const File& source_;
  std::optional<SegmentIndex> index_;
  SegmentDetails details_;
  WalFileEntry entry_;
};

}  // namespace pitr
