// Copies data files into a backup's objects: small ones together in a bundle, large ones in chunks.
// In the one pass over a file its pages are verified and its CRC is computed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "basebackup/backup_objects.h"
#include "basebackup/data_directory.h"
#include "io/copy.h"
#include "io/rate_limit.h"
#include "io/uring.h"

namespace pitr {

// Files up to this size go into bundles.
constexpr std::uint64_t kLargestBundledFile = 1ULL << 20;
constexpr std::uint64_t kBundleSize = 16ULL << 20;
constexpr std::size_t kMostFilesInBundle = 4096;
constexpr std::uint64_t kChunkSize = 256ULL << 20;

// What all copiers of one backup share. current_lsn may be called from any thread.
struct CopyPlan {
  std::string data_directory;
  bool verify_pages = false;
  std::uint32_t block_size = 8192;
  std::uint32_t blocks_per_file = 131072;
  Lsn start_lsn = 0;
  std::function<Lsn()> current_lsn;
};

struct CopiedFiles {
  std::vector<ManifestEntry> entries;  // those that were still there
  std::vector<PageError> page_errors;
};

// One for each thread.
class FileCopier {
 public:
  FileCopier(const CopyPlan& plan, BackupObjects& objects, RateLimit& rate_limit,
             const EncodeOptions& options, RingMode ring);

  // A vanished file is passed over: the WAL drops it too. One that grows is copied up to the size
  // it had when it was opened, one that shrinks up to its end: the WAL knows the rest.
  CopiedFiles copy_files(const std::vector<ScannedEntry>& files);

 private:
  void copy_bundle(const std::vector<ScannedEntry>& files, CopiedFiles& copied);
  void copy_large(const ScannedEntry& scanned, CopiedFiles& copied);
  void verify_pages(const File& file, const std::string& path, std::uint64_t offset,
                    std::span<std::byte> bytes, std::vector<PageError>& errors);
  struct FailingPage {
    std::uint64_t offset = 0;  // in the file
    std::uint32_t block = 0;   // in the relation
    std::span<std::byte> bytes;
  };
  // Takes away those that are right after all.
  void settle_pages(const File& file, std::vector<FailingPage>& failing, bool wait);

  const CopyPlan& plan_;
  BackupObjects& objects_;
  RateLimit& rate_limit_;
  EncodeBuffers buffers_;
  Ring ring_;
  std::vector<std::byte> small_;
};

}  // namespace pitr
