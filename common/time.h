// Moments: microseconds since the Unix epoch, as PostgreSQL's timestamptz resolves them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace pitr {

using Instant = std::chrono::sys_time<std::chrono::microseconds>;

Instant now();

// Of what does not fit the nearest that does: it may come from damaged bytes.
Instant from_unix_time(std::int64_t whole_seconds);
// PostgreSQL counts microseconds since 2000-01-01 00:00 UTC (TimestampTz, datatype/timestamp.h).
Instant from_postgres_time(std::int64_t microseconds);
std::int64_t to_postgres_time(Instant instant);

// 2026-11-22T10:00:00.123456Z
std::string to_utc_text(Instant instant);
// 2026-11-22 11:00:00.123456+01:00, in the host's zone.
std::string to_local_text(Instant instant);

// Reads ISO 8601, PostgreSQL's own output ("2026-11-22 14:03:27.5+01"), a named zone
// ("2026-11-22 14:03:27 Europe/Berlin") and "10 minutes ago" (counted from `current`). Without a
// zone the host's zone is meant. Throws kUsage for anything else, and for a local time that exists
// twice or never; both instants are then named.
Instant parse_instant(std::string_view text, Instant current);

}  // namespace pitr
