// Sizes and durations as operators write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pitr {

// 16777216 -> "16.0 MiB"; below 1024 "512 B".
std::string format_bytes(std::uint64_t bytes);

// "64MiB", "64MB" (PostgreSQL's binary meaning), "100k", "4096"; nothing when it is none of these.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

// "60s", "5min", "500ms", "2h", "1d"; a number alone counts seconds.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

}  // namespace pitr
