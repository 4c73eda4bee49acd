#include "basebackup/stream_copy.h"

#include <algorithm>

#include <fmt/format.h>

#include "basebackup/data_directory.h"
#include "basebackup/file_copier.h"

namespace pitr {

StreamCopy::StreamCopy(BackupObjects& objects, RateLimit& rate_limit, const EncodeOptions& options,
                       std::function<void(std::uint64_t bytes_done)> on_progress)
    : objects_(objects),
      rate_limit_(rate_limit),
      buffers_(options),
      on_progress_(std::move(on_progress)) {}

void StreamCopy::begin_archive(std::uint32_t oid, const std::string& target) {
  if (tar_) tar_->finish();
  prefix_.clear();
  if (oid != 0) {
    const std::string link = fmt::format("pg_tblspc/{}", oid);
    objects_.add_entry(
        {.type = ManifestEntry::Type::kTablespace, .path = link, .target = target, .mode = 0700});
    prefix_ = link + "/";
  }
  tar_ = std::make_unique<TarReader>(
      TarReader::Visitor{.on_member = [this](const TarReader::Member& m) { begin_member(m); },
                         .on_data = [this](ByteSpan bytes) { take_data(bytes); },
                         .on_end = [this] { end_file(); }});
}

void StreamCopy::feed(ByteSpan bytes) {
  rate_limit_.wait_for(bytes.size());
  tar_->feed(bytes);
}

void StreamCopy::finish() {
  if (tar_) tar_->finish();
  close_object();
}

void StreamCopy::begin_member(const TarReader::Member& member) {
  entry_ = {.type = member.is_folder ? ManifestEntry::Type::kDirectory : ManifestEntry::Type::kFile,
            .path = prefix_ + member.path,
            .mode = member.mode,
            .user = member.user,
            .group = member.group,
            .modified_at = member.modified_at,
            .size = member.size};
  const bool is_label = entry_.path == "backup_label";
  text_ = is_label                             ? &label_
          : entry_.path == "tablespace_map"    ? &tablespace_map_
          : entry_.path == "global/pg_control" ? &control_file_
                                               : nullptr;
  // The label belongs into the backup; the map must never be restored.
  kept_out_ = is_left_out(entry_.path) && !is_label;
  if (member.is_folder) {
    entry_.size = 0;
    if (!kept_out_) objects_.add_entry(entry_);
    return;
  }
  taken_ = 0;
  crc_ = Crc32c();
  hash_ = Xxh3Stream();
  is_large_ = member.size > kLargestBundledFile;
  if (is_large_) close_object();
}

void StreamCopy::take_data(ByteSpan bytes) {
  if (text_ != nullptr) *text_ += as_text(bytes);
  if (kept_out_) return;
  while (!bytes.empty()) {
    if (!object_) object_ = objects_.create_object(is_large_ ? "chunk" : "bundle", buffers_);
    const std::uint64_t position = object_->writer().raw_size();
    const ByteSpan part = bytes.first(std::min<std::uint64_t>(bytes.size(), kChunkSize - position));
    const bool begins = entry_.extents.empty() || entry_.extents.back().object != object_->name();
    if (begins) {
      entry_.extents.push_back(
          {.object = object_->name(), .position = position, .file_offset = taken_});
    }
    object_->writer().append(part);
    entry_.extents.back().length += part.size();
    crc_.update(part);
    hash_.update(part);
    taken_ += part.size();
    bytes = bytes.subspan(part.size());
    if (is_large_ && object_->writer().raw_size() >= kChunkSize) close_object();
  }
}

void StreamCopy::end_file() {
  if (kept_out_) return;
  entry_.crc32c = crc_.value();
  entry_.hash = hash_.value();
  objects_.add_entry(entry_);
  bytes_done_ += entry_.size;
  if (on_progress_) on_progress_(bytes_done_);
  ++files_in_object_;
  const bool full = object_ && (object_->writer().raw_size() >= kBundleSize ||
                                files_in_object_ >= kMostFilesInBundle);
  if (is_large_ || full) close_object();
}

void StreamCopy::close_object() {
  if (object_) objects_.add_stored_bytes(object_->commit());
  object_.reset();
  files_in_object_ = 0;
}

}  // namespace pitr
