#include "catalog/verify_wal.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "common/error.h"
#include "wal/segment_index.h"

namespace pitr {

namespace {

// The key that a file of this name belongs under.
std::string expected_folder(const ClusterKey& cluster, const StoredWalName& name) {
  return fmt::format("{}/{:08X}/", timeline_folder(cluster, name.segment.timeline),
                     name.segment.log);
}

// Of the WAL that is lost with the file. What a partial segment holds, another file may hold, too.
std::uint64_t length_of(const StoredWalName& name, const std::string& key, SegmentSize size) {
  if (name.kind == StoredWalName::Kind::kSegment) return size;
  constexpr std::string_view kTail = ".tail-";
  constexpr std::size_t kDigits = 8;
  const std::size_t tail = key.rfind(kTail);
  if (tail == std::string::npos) return 1;
  return parse_number(std::string_view(key).substr(tail + kTail.size(), kDigits), 16).value_or(1);
}

// The contents of one file of WAL, as they come.
class ContentsCheck {
 public:
  ContentsCheck(const ClusterRecord& cluster, const StoredWalName& name, std::uint64_t raw_size)
      : cluster_(cluster),
        name_(name),
        raw_size_(raw_size),
        indexer_(name.segment.start(cluster.identity.segment_size), cluster.identity.segment_size) {
  }

  void feed(ByteSpan raw) {
    if (offset_ == 0) {
      std::copy_n(raw.begin(), std::min(raw.size(), header_.size()), header_.begin());
    }
    offset_ += raw.size();
    // A tail ends inside a page, and says of its records what the whole file's index says.
    if (name_.kind != StoredWalName::Kind::kTail) indexer_.feed(raw);
  }

  void finish(const ArchiveReader& stored_file, const std::string& key,
              const FindingConsumer& found) {
    const SegmentSize size = cluster_.identity.segment_size;
    try {
      const bool is_tail = name_.kind == StoredWalName::Kind::kTail;
      check_segment_header(header_, is_tail ? size : raw_size_, name_.segment, cluster_.identity);
    } catch (const Error& error) {
      found({.kind = FindingKind::kForeign, .object = key, .detail = error.what()});
      return;
    }
    if (name_.kind == StoredWalName::Kind::kTail) return read_sections(stored_file);
    const SegmentIndex computed = indexer_.finish();
    const SegmentDetails details = indexer_.take_details();
    const auto relations = stored_file.section(kRelationChangesSection);
    const bool is_as_computed =
        stored_file.section(kWalIndexSection) == encode_index(computed) &&
        stored_file.section(kTransactionsSection) == encode_xids(details.xids) &&
        stored_file.section(kChangedBlocksSection) ==
            encode_changed_blocks(details.changed_blocks) &&
        (details.relations.empty() ? !relations
                                   : relations == encode_relation_changes(details.relations));
    if (!is_as_computed) {
      found({.kind = FindingKind::kCorrupt,
             .object = key,
             .detail = "the index in the trailer is not that of the contents",
             .consequence = "plans for targets in it cannot be trusted; recovery itself can"});
    }
    if (computed.damaged) {
      found({.kind = FindingKind::kCorrupt,
             .object = key,
             .detail = fmt::format("a record at {} is invalid, as PostgreSQL archived it: "
                                   "recovery ends there",
                                   format_lsn(computed.valid_end))});
    }
  }

 private:
  // Those of a tail are of the file that it was cut from: only their checksums can be verified.
  static void read_sections(const ArchiveReader& stored_file) {
    for (const std::uint32_t id :
         {kWalIndexSection, kTransactionsSection, kChangedBlocksSection, kRelationChangesSection}) {
      static_cast<void>(stored_file.section(id));
    }
  }

  const ClusterRecord& cluster_;
  const StoredWalName& name_;
  std::uint64_t raw_size_;
  std::uint64_t offset_ = 0;
  std::array<std::byte, kLongPageHeaderSize> header_{};
  SegmentIndexer indexer_;
};

// Returns how many raw bytes were read.
std::uint64_t check_contents(const StoredFile& file, const ClusterRecord& cluster,
                             const StoredWalName& name, const std::string& key,
                             const std::function<void(std::uint64_t)>& before_read,
                             const FindingConsumer& found) {
  std::uint64_t bytes = 0;
  std::optional<ContentsCheck> check;
  if (name.kind != StoredWalName::Kind::kBackupHistory) {
    check.emplace(cluster, name, file.reader->contents().raw_size);
  }
  file.reader->read_all(1, [&](ByteSpan raw, std::uint64_t) {
    before_read(raw.size());
    bytes += raw.size();
    if (check) check->feed(raw);
  });
  if (check) check->finish(*file.reader, key, found);
  return bytes;
}

bool has_index(const StoredFile& file, const StoredWalName& name) {
  if (name.kind == StoredWalName::Kind::kBackupHistory) return true;
  const auto index = file.reader->section(kWalIndexSection);
  if (index) decode_index(*index);
  return index.has_value();
}

}  // namespace

VerifiedWalFile verify_wal_file(Storage& storage, const ClusterRecord& cluster,
                                const std::string& key, bool contents,
                                const std::function<void(std::uint64_t bytes)>& before_read,
                                const FindingConsumer& found) {
  VerifiedWalFile verified;
  const auto name = parse_wal_key(key);
  if (!name || !key.starts_with(expected_folder(cluster.key, *name))) {
    found({.kind = FindingKind::kForeign,
           .object = key,
           .detail = "nobody asks for a file of this name here",
           .consequence = "no moment is lost: it is never used"});
    return verified;
  }
  const SegmentSize size = cluster.identity.segment_size;
  verified.is_segment = name->kind == StoredWalName::Kind::kSegment;
  if (name->kind != StoredWalName::Kind::kBackupHistory) {
    verified.timeline = name->segment.timeline;
    verified.start_lsn = name->segment.start(size);
    verified.end_lsn = verified.start_lsn + length_of(*name, key, size);
  }
  try {
    const auto file = open_stored_file(storage, key, cluster.key, last_part(key));
    if (file && !has_index(*file, *name)) {
      found({.kind = FindingKind::kCorrupt, .object = key, .detail = "it has no WAL index"});
    } else if (file && contents) {
      verified.bytes = check_contents(*file, cluster, *name, key, before_read, found);
    }
  } catch (const Error& error) {
    found(finding_of(error, key));
  }
  return verified;
}

}  // namespace pitr
