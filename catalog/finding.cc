#include "catalog/finding.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace pitr {

namespace {

constexpr std::array<std::pair<FindingKind, const char*>, 9> kWords = {{
    {FindingKind::kCorrupt, "corrupt"},
    {FindingKind::kMissing, "missing"},
    {FindingKind::kGap, "gap"},
    {FindingKind::kForeign, "foreign"},
    {FindingKind::kUnreadable, "unreadable"},
    {FindingKind::kNotInCatalog, "not_in_catalog"},
    {FindingKind::kNotInRepository, "not_in_repository"},
    {FindingKind::kManifest, "manifest"},
    {FindingKind::kWalMissing, "wal_missing"},
}};

}  // namespace

const char* word_for(FindingKind kind) {
  for (const auto& [known, word] : kWords) {
    if (known == kind) return word;
  }
  return "";
}

FindingKind finding_kind(const std::string& word) {
  for (const auto& [kind, known] : kWords) {
    if (word == known) return kind;
  }
  throw Error(
      {.kind = ErrorKind::kCorrupt, .message = fmt::format("unknown finding \"{}\"", word)});
}

Finding finding_of(const Error& error, std::string object) {
  const ErrorReport& report = error.report();
  Finding finding{.kind = FindingKind::kCorrupt, .object = std::move(object)};
  if (report.code == "foreign") finding.kind = FindingKind::kForeign;
  if (report.code == "object_missing") finding.kind = FindingKind::kMissing;
  if (report.kind == ErrorKind::kSystem) finding.kind = FindingKind::kUnreadable;
  finding.detail = report.message;
  if (!report.detail.empty()) finding.detail += ": " + report.detail;
  return finding;
}

}  // namespace pitr
