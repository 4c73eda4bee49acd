// file://: a folder on a file system.
#pragma once

#include <memory>
#include <string>

#include "common/config.h"
#include "storage/storage.h"

namespace pitr {

// A folder is a repository when it holds this file: an unmounted volume is not an empty repository.
constexpr const char* kRepositoryMarker = "pitr.repository";

// Opens the repository at an absolute path. Throws kSystem when the folder does not hold the
// marker.
std::unique_ptr<Storage> open_posix_storage(const std::string& root, RingMode ring);

// Makes the folder a repository, durably; does nothing where it is one.
void create_posix_repository(const std::string& root);

}  // namespace pitr
