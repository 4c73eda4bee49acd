// What a restore finds in its destination decides what it keeps and what it removes. Whichever of
// its questions fails, nothing passes for absent that is there.
#include <cerrno>
#include <filesystem>

#include <catch2/catch.hpp>

#include "basebackup/destination_tree.h"
#include "basebackup/restore_destination.h"
#include "harness/errors.h"
#include "harness/faulty_calls.h"
#include "harness/temporary_directory.h"
#include "harness/wal_builder.h"
#include "storage/memory_storage.h"

namespace pitr {

using testing::Fault;
using testing::FaultInjection;
using testing::TemporaryDirectory;

namespace {

namespace fs = std::filesystem;

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};

}  // namespace

TEST_CASE("a file of the destination that cannot be asked for is not taken for absent",
          "[faults]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "x");
  DestinationTree tree(directory.path(), {}, std::nullopt);
  Fault fault{.kind = Fault::Kind::kStat, .error = EIO};
  for (bool met = true; met; ++fault.number) {
    const FaultInjection injection(fault);
    try {
      const bool is_there = tree.try_open_for_read("f").has_value();
      CHECK(is_there);
    } catch (const Error& error) {
      CHECK(error.report().kind == ErrorKind::kSystem);
    }
    met = injection.met();
  }
  CHECK(fault.number > 2);
}

TEST_CASE("what is no regular file in the destination is none", "[faults]") {
  const TemporaryDirectory directory;
  testing::write_file(directory / "f", "x");
  fs::create_directory(directory / "folder");
  fs::create_symlink("f", directory / "link");
  fs::create_directory_symlink("folder", directory / "folder_link");
  DestinationTree tree(directory.path(), {}, std::nullopt);
  for (const char* path : {"missing", "missing/f", "f/f", "folder", "link", "folder_link/f"}) {
    CAPTURE(path);
    CHECK_FALSE(tree.try_open_for_read(path));
  }
}

TEST_CASE("WAL of the destination that cannot be asked for does not stay in the way", "[faults]") {
  const auto storage = make_memory_storage();
  Fault fault{.kind = Fault::Kind::kStat, .error = EIO};
  for (bool met = true; met; ++fault.number) {
    CAPTURE(fault.number);
    const TemporaryDirectory directory;
    const std::string data = directory / "data";
    const std::string aside = directory / "aside";
    fs::create_directories(data + "/pg_wal");
    testing::write_file(data + "/pg_wal/000000010000000000000001", "the only copy");
    {
      const FaultInjection injection(fault);
      try {
        const std::string found = put_old_wal_aside(*storage, kMain, data, aside);
        CHECK(found == aside);
        CHECK(testing::exists(aside + "/000000010000000000000001"));
        CHECK_FALSE(testing::exists(data + "/pg_wal"));
      } catch (const Error& error) {
        CHECK(error.report().kind == ErrorKind::kSystem);
        CHECK(injection.met());
      }
      met = injection.met();
    }
    const fs::path left = testing::exists(aside) ? fs::path(aside) : fs::path(data + "/pg_wal");
    CHECK(testing::exists(left / "000000010000000000000001"));
  }
  CHECK(fault.number > 2);
}

}  // namespace pitr
