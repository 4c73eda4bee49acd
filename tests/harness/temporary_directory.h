// A directory of its own for a test, removed with all it holds, and the few file operations that
// tests need beside the ones under test.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"

namespace pitr::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  TemporaryDirectory(TemporaryDirectory&&) = delete;
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }
  // The path of a name inside; it need not exist.
  std::string operator/(std::string_view name) const;

 private:
  std::string path_;
};

void write_file(const std::string& path, ByteSpan contents);
void write_file(const std::string& path, std::string_view contents);
std::vector<std::byte> read_file(const std::string& path);
bool exists(const std::string& path);
// Changes one bit of every eight in the byte at `offset`.
void damage_file(const std::string& path, std::uint64_t offset);
// The names in a directory, sorted, those beginning with a dot included.
std::vector<std::string> names_in(const std::string& path);

}  // namespace pitr::testing
