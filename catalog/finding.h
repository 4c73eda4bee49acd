// What verification finds wrong, and what it means for the moments that can be reached.
#pragma once

#include <functional>
#include <string>

#include "common/error.h"

namespace pitr {

enum class FindingKind {
  kCorrupt,          // contents that fail a checksum, or WAL that PostgreSQL could not replay
  kMissing,          // something that is referred to is not stored
  kGap,              // segments between two stored ones
  kForeign,          // another file's or another cluster's contents, or a name that nobody asks for
  kUnreadable,       // the storage fails to give it
  kNotInCatalog,     // stored, and unknown to the catalog
  kNotInRepository,  // known to the catalog, and not stored
  kManifest,         // a manifest and the files disagree
  kWalMissing,       // a base backup without all of its WAL
};

// The word for scripts: corrupt, missing, gap, ….
const char* word_for(FindingKind kind);
// Throws kCorrupt for a text that is no such word.
FindingKind finding_kind(const std::string& word);

struct Finding {
  FindingKind kind = FindingKind::kCorrupt;
  std::string object;       // a key of the repository, or what the gap lies between
  std::string detail;       // what is wrong
  std::string consequence;  // for whoever wants to restore

  bool operator==(const Finding&) const = default;
};

using FindingConsumer = std::function<void(Finding finding)>;

// What an error means that came while an object was read.
Finding finding_of(const Error& error, std::string object);

}  // namespace pitr
