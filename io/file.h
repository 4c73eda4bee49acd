// A file descriptor and what can be done with it. Short reads, short writes and EINTR never reach a
// caller; every failure is an Error that names the path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "common/bytes.h"

namespace pitr {

// Owns the descriptor. Not thread-safe, but for read_at() and write_at().
class File {
 public:
  File() = default;
  File(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  // Throws kSystem when the file cannot be opened.
  static File open_for_read(const std::string& path);
  // Fails when the name exists.
  static File create(const std::string& path, mode_t mode = 0600);
  // open(2) as it is, O_CLOEXEC added.
  static File open(const std::string& path, int flags, mode_t mode = 0);

  // Fills `bytes` from `offset` on; returns how many there were before the file's end.
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  void write_at(std::uint64_t offset, ByteSpan bytes) const;

  std::uint64_t size() const;
  void sync() const;  // fsync(2)
  // Reports what close(2) reports; a destructor cannot.
  void close();

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }

 private:
  int descriptor_ = -1;
  std::string path_;
};

// The whole of a small file. Throws kSystem, also when it is larger than `limit_bytes`.
std::string read_whole_file(const std::string& path, std::uint64_t limit_bytes = 64ULL << 20);
// Nothing when there is no such file.
bool try_read_whole_file(const std::string& path, std::string& contents);

// Makes names in the directory durable.
void sync_directory(const std::string& path);

// mkdir -p; makes every directory that it creates durable in its parent.
void create_directories(const std::string& path, mode_t mode = 0700);

// Replaces a file durably: temporary name, fsync, rename, fsync of the directory. For our own state
// only, never for what a repository holds.
void replace_file(const std::string& path, std::string_view contents, mode_t mode = 0600);

// "/a/b" -> "/a"; "b" -> ".".
std::string parent_directory(const std::string& path);

}  // namespace pitr
