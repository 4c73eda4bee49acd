#include "catalog/pins.h"

#include <catch2/catch.hpp>

#include "harness/wal_builder.h"
#include "storage/memory_storage.h"

namespace pitr {

namespace {

const ClusterRecord kMain{.key = {.name = "main", .system_identifier = testing::kSystemIdentifier},
                          .identity = testing::kCluster};
const std::string kId = "20261122T101500Z-4f2a9c";

std::string pins_in(Storage& storage) {
  std::string text;
  for (const BackupPin& pin : read_pins(storage, kMain.key))
    text += pin.backup + (pin.with_wal ? "+" : "-");
  return text;
}

}  // namespace

TEST_CASE("a pin is there until it is removed, and again is no mistake", "[catalog]") {
  const auto storage = make_memory_storage();
  CHECK(pins_in(*storage).empty());
  place_pin(*storage, kMain, {.backup = kId});
  place_pin(*storage, kMain, {.backup = kId});
  CHECK(pins_in(*storage) == kId + "+");
  place_pin(*storage, kMain, {.backup = kId, .with_wal = false});
  CHECK(pins_in(*storage) == kId + "-");
  CHECK(remove_pins(*storage, kMain.key, kId));
  CHECK_FALSE(remove_pins(*storage, kMain.key, kId));
  CHECK(pins_in(*storage).empty());
}

TEST_CASE("a pin of a kind that is not known counts with the WAL", "[catalog]") {
  const auto storage = make_memory_storage();
  for (const std::string& name : {kId + ".some", kId}) {
    const FileIdentity identity{.kind = FileKind::kPin, .name = name, .cluster = kMain.identity};
    REQUIRE(store_text(*storage, pin_key(kMain.key, name), identity, ""));
  }
  CHECK(pins_in(*storage) == kId + "+" + kId + "+");
}

}  // namespace pitr
