#include "basebackup/backup_contents.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "common/error.h"
#include "wal/crc32c.h"

namespace pitr {

namespace {

constexpr std::size_t kMostFilesInGroup = 4096;

const std::string& object_of(const ManifestEntry& file) { return file.extents.front().object; }

void begin_file(const FileConsumer& consumer, const ManifestEntry& file) {
  if (consumer.on_begin) consumer.on_begin(file);
}

void end_file(const FileConsumer& consumer, const ManifestEntry& file, const Crc32c& crc) {
  if (consumer.on_end) consumer.on_end(file, crc.value() == file.crc32c);
}

}  // namespace

FileGroup FileGrouper::add(ManifestEntry entry) {
  const bool joins = !pending_.empty() && pending_.size() < kMostFilesInGroup &&
                     entry.extents.size() <= 1 && pending_.back().extents.size() <= 1 &&
                     (entry.extents.empty() || pending_.back().extents.empty() ||
                      object_of(entry) == object_of(pending_.back()));
  FileGroup whole;
  if (!joins) whole = take_last();
  pending_.push_back(std::move(entry));
  return whole;
}

BackupContents::BackupContents(Storage& storage, ClusterKey cluster, std::string backup_id)
    : storage_(storage), cluster_(std::move(cluster)), backup_id_(std::move(backup_id)) {}

void BackupContents::visit_manifest(const std::function<void(ManifestEntry)>& visit) const {
  const auto manifest =
      open_stored_file(storage_, backup_manifest_key(cluster_, backup_id_), cluster_, backup_id_);
  if (!manifest) {
    throw Error(
        {.kind = ErrorKind::kSystem, .message = fmt::format("backup \"{}\" vanished", backup_id_)});
  }
  LineSplitter lines;
  manifest->reader->read_all(1, [&](ByteSpan raw, std::uint64_t) {
    lines.feed(raw, [&](std::string_view line) { visit(parse_json_line(line)); });
  });
}

StoredFile BackupContents::open_object(const std::string& object) const {
  // An object may lie in an earlier backup: then its name carries that backup's id.
  const std::size_t slash = object.find('/');
  const std::string id = slash == std::string::npos ? backup_id_ : object.substr(0, slash);
  const std::string name = slash == std::string::npos ? object : object.substr(slash + 1);
  const std::string key = backup_object_key(cluster_, id, name);
  // No file can have another name.
  if (is_key(key)) {
    auto file = open_stored_file(storage_, key, cluster_, fmt::format("{}/{}", id, name));
    if (file) return std::move(*file);
  }
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("object \"{}\" of backup \"{}\" is missing", name, id),
               .hint = "Restore from another base backup with --backup ID.",
               .code = "object_missing"});
}

void BackupContents::read_files(const std::vector<const ManifestEntry*>& files,
                                const FileConsumer& consumer) const {
  std::vector<const ManifestEntry*> wanted;
  for (const ManifestEntry* file : files) {
    if (file->extents.size() > 1) {
      read_large(*file, consumer);
    } else if (file->extents.empty()) {
      begin_file(consumer, *file);
      end_file(consumer, *file, Crc32c());
    } else {
      wanted.push_back(file);
    }
  }
  // Empty files may stand between those of two objects.
  while (!wanted.empty()) {
    const std::string object = object_of(*wanted.front());
    const auto others = std::stable_partition(
        wanted.begin(), wanted.end(),
        [&](const ManifestEntry* file) { return object_of(*file) == object; });
    read_bundle({wanted.begin(), others}, consumer);
    wanted.erase(wanted.begin(), others);
  }
}

// Of files in the order of their positions. What is read in one pass belongs to one file.
void BackupContents::refuse_overlap(const std::vector<const ManifestEntry*>& files) const {
  std::uint64_t end = 0;
  for (const ManifestEntry* file : files) {
    const Extent& extent = file->extents.front();
    if (extent.position < end) {
      throw Error({.kind = ErrorKind::kCorrupt,
                   .message = fmt::format("the manifest of backup \"{}\" is damaged", backup_id_),
                   .detail = fmt::format("File \"{}\" begins inside another.", file->path),
                   .hint = "Restore from another base backup with --backup ID."});
    }
    end = extent.position + extent.length;
  }
}

// One pass over the object; each file takes its part of the raw contents as they come.
void BackupContents::read_bundle(std::vector<const ManifestEntry*> files,
                                 const FileConsumer& consumer) const {
  std::sort(files.begin(), files.end(), [](const ManifestEntry* a, const ManifestEntry* b) {
    return a->extents.front().position < b->extents.front().position;
  });
  refuse_overlap(files);
  const StoredFile object = open_object(object_of(*files.front()));
  auto next = files.begin();
  bool begun = false;
  Crc32c crc;
  object.reader->read_all(1, [&](ByteSpan raw, std::uint64_t offset) {
    const std::uint64_t raw_end = offset + raw.size();
    while (next != files.end()) {
      const Extent& extent = (*next)->extents.front();
      const std::uint64_t end = extent.position + extent.length;
      if (extent.position >= raw_end) return;
      if (!begun) {
        begin_file(consumer, **next);
        crc = Crc32c();
        begun = true;
      }
      const std::uint64_t begin = std::max(extent.position, offset);
      const ByteSpan part = raw.subspan(begin - offset, std::min(end, raw_end) - begin);
      if (consumer.on_bytes) consumer.on_bytes(part, begin - extent.position);
      crc.update(part);
      if (end > raw_end) return;
      end_file(consumer, **next, crc);
      begun = false;
      ++next;
    }
  });
  if (next == files.end()) return;
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = fmt::format("file \"{}\" of backup \"{}\" does not end in its object",
                                      (*next)->path, backup_id_),
               .hint = "Restore from another base backup with --backup ID."});
}

void BackupContents::read_large(const ManifestEntry& file, const FileConsumer& consumer) const {
  begin_file(consumer, file);
  Crc32c crc;
  for (const Extent& extent : file.extents) {
    const StoredFile object = open_object(extent.object);
    const auto hand_on = [&](ByteSpan raw, std::uint64_t offset) {
      if (consumer.on_bytes) consumer.on_bytes(raw, extent.file_offset + offset - extent.position);
      crc.update(raw);
    };
    if (extent.position == 0 && extent.length == object.reader->contents().raw_size) {
      object.reader->read_all(1, hand_on);  // verifies the object as a whole, too
    } else {
      object.reader->read_range(extent.position, extent.length, hand_on);
    }
  }
  end_file(consumer, file, crc);
}

}  // namespace pitr
