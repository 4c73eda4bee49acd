// On a file system whose directories do not tell folders from files each entry is asked what it is.
// Whichever of these questions fails, nothing that is stored is passed over.
#include <cerrno>

#include <catch2/catch.hpp>

#include "harness/errors.h"
#include "harness/faulty_calls.h"
#include "harness/temporary_directory.h"
#include "storage/posix_storage.h"

namespace pitr {

using testing::Fault;
using testing::FaultInjection;

TEST_CASE("a listing is complete or there is an error", "[faults]") {
  const testing::TemporaryDirectory directory;
  create_posix_repository(directory / "repository");
  const auto storage = open_posix_storage(directory / "repository", RingMode::kOff);
  const std::vector<std::string> keys = {"wal/a/1", "wal/a/2", "wal/b/1", "wal/c"};
  for (const std::string& key : keys)
    REQUIRE(storage->create(key)->commit());

  Fault fault{.kind = Fault::Kind::kStat, .error = EIO};
  for (bool met = true; met; ++fault.number) {
    CAPTURE(fault.number);
    std::vector<std::string> found;
    std::vector<std::string> folders;
    const FaultInjection injection(fault);
    try {
      storage->list("wal", "", [&](const std::string& key) {
        found.push_back(key);
        return true;
      });
      folders = storage->list_folders("wal");
      CHECK(found == keys);
      CHECK(folders == std::vector<std::string>{"a", "b"});
    } catch (const Error& error) {
      CHECK(error.report().kind == ErrorKind::kSystem);
      CHECK(injection.met());
    }
    met = injection.met();
  }
  CHECK(fault.number > 8);
}

}  // namespace pitr
