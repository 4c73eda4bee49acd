// Inputs of stored_fuzz.cc: what it reads when nothing is damaged, with which its corpus and its
// regressions begin, and what broke something. And the backup whose objects the files of a manifest
// are read from.
#pragma once

#include <memory>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "storage/storage.h"

namespace pitr::fuzzing {

constexpr const char* kClusterName = "main";
constexpr std::uint64_t kSystemIdentifier = 7289450113274518899;
constexpr const char* kBackupId = "20261123T153936Z-F";
constexpr const char* kBundle = "bundle-00000001";
constexpr const char* kChunk = "chunk-00000001";

// Both objects are cut into many small blocks.
std::unique_ptr<Storage> backup_objects();

std::vector<Case> undamaged_stored_cases();
std::vector<Case> found_stored_cases();

}  // namespace pitr::fuzzing
