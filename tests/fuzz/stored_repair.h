// Makes right what would keep a changed file from being read: checksums, and what must agree with
// the file's size. Nothing changes in a file that is right already.
#pragma once

#include <vector>

#include "common/bytes.h"

namespace pitr::fuzzing {

// An archived file: header, blocks, section directory, footer (io/ARCHIVE_FORMAT.md).
void repair_archive(std::vector<std::byte>& file);

// A file of journal records: catalog/CATALOG.md.
void repair_journal(std::vector<std::byte>& file);

// The checksums of a tar archive's headers.
void repair_tar(std::vector<std::byte>& archive);

}  // namespace pitr::fuzzing
