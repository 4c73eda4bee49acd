#include "storage/storage.h"

#include <catch2/catch.hpp>

namespace pitr {

TEST_CASE("keys are relative paths of printable names", "[storage]") {
  for (const char* key :
       {"a", "wal/main-1/00000001/00000000/000000010000000000000001", "a.b/c_d-e", "a/b..c", "~"}) {
    CHECK_NOTHROW(check_key(key));
  }
  CHECK_NOTHROW(check_key(std::string(200, 'x')));
  CHECK_THROWS(check_key(std::string(300, 'x')));  // no file system has such a name
}

TEST_CASE("keys are ordered part by part, so that a folder's files stay together", "[storage]") {
  CHECK(key_less("a/z", "a-b"));
  CHECK(key_less("a/z", "a.b"));
  CHECK(key_less("a", "a/b"));
  CHECK(key_less("a/b", "b"));
  CHECK(key_less("", "a"));
  CHECK_FALSE(key_less("a", "a"));
  CHECK_FALSE(key_less("a-b", "a/z"));
}

}  // namespace pitr
