#include "storage/storage.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/error.h"

namespace pitr {

bool is_key(std::string_view key) {
  bool valid = !key.empty() && key.size() <= 1024;
  std::string_view rest = key;
  while (valid && !rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    const bool is_last = part.size() == rest.size();
    rest.remove_prefix(part.size() + (is_last ? 0 : 1));
    valid = !part.empty() && part.size() <= 200 && part.front() != '.' &&
            (is_last || !rest.empty()) &&
            std::all_of(part.begin(), part.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  }
  return valid;
}

void check_key(std::string_view key) {
  if (is_key(key)) return;
  throw Error({.kind = ErrorKind::kUsage,
               .message = fmt::format("\"{}\" is not the name of a stored file", key)});
}

bool key_less(std::string_view a, std::string_view b) {
  const auto rank = [](char c) { return c == '/' ? '\0' : c; };
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                      [rank](char x, char y) { return rank(x) < rank(y); });
}

}  // namespace pitr
