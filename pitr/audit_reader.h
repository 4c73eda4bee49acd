// Reads the end of the audit log: what came of the last commands. Fields: "The audit log" in
// docs/interface.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.h"
#include "pitr/json_output.h"

namespace pitr {

struct AuditEntry {
  Instant ended_at;
  std::optional<Instant> started_at;
  std::string command;
  std::string cluster;
  std::optional<std::uint64_t> system_identifier;  // nothing: not known, or several
  std::string outcome;                             // ok | finding | failed
  Json did = Json::object();

  bool has_answer() const { return outcome == "ok" || outcome == "finding"; }
};

// Nothing for a line that is torn, damaged or somebody else's.
std::optional<AuditEntry> parse_audit_line(std::string_view line);

// What the last `limit_bytes` of the file hold, oldest first; none where there is no file. Throws
// kSystem where it cannot be read.
std::vector<AuditEntry> read_audit_tail(const std::string& path,
                                        std::uint64_t limit_bytes = 1ULL << 20);

// Where the audit log of a configuration lies.
std::string audit_log_path(const Config& config);

}  // namespace pitr
