// Copies what a server streams into a backup's objects.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "basebackup/backup_objects.h"
#include "basebackup/backup_stream.h"
#include "io/checksum.h"
#include "io/rate_limit.h"
#include "wal/crc32c.h"

namespace pitr {

// Used by one thread, as the stream comes.
class StreamCopy {
 public:
  StreamCopy(BackupObjects& objects, RateLimit& rate_limit, const EncodeOptions& options,
             std::function<void(std::uint64_t bytes_done)> on_progress);

  // `oid` 0: the data directory; else a tablespace, whose link is at `target`.
  void begin_archive(std::uint32_t oid, const std::string& target);
  void feed(ByteSpan bytes);
  void finish();

  // What the server sent under these names; empty where it did not.
  const std::string& label() const { return label_; }
  const std::string& tablespace_map() const { return tablespace_map_; }
  const std::string& control_file() const { return control_file_; }

 private:
  void begin_member(const TarReader::Member& member);
  void take_data(ByteSpan bytes);
  void end_file();
  void close_object();

  BackupObjects& objects_;
  RateLimit& rate_limit_;
  EncodeBuffers buffers_;
  std::function<void(std::uint64_t)> on_progress_;
  std::unique_ptr<TarReader> tar_;
  std::string prefix_;  // of the paths in the present archive

  std::unique_ptr<BackupObject> object_;
  std::size_t files_in_object_ = 0;
  ManifestEntry entry_;
  bool kept_out_ = false;  // the present file is none of the backup's
  bool is_large_ = false;
  std::string* text_ = nullptr;  // where the present file's contents are wanted, too
  std::uint64_t taken_ = 0;
  Crc32c crc_;
  Xxh3Stream hash_;
  std::uint64_t bytes_done_ = 0;

  std::string label_;
  std::string tablespace_map_;
  std::string control_file_;
};

}  // namespace pitr
