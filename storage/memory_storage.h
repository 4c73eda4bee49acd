// A storage in memory, for tests that need no file system. It survives nothing.
#pragma once

#include <memory>

#include "storage/storage.h"

namespace pitr {

std::unique_ptr<Storage> make_memory_storage();

}  // namespace pitr
