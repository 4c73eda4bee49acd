#include "common/units.h"

#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>

namespace pitr {

namespace {

struct NumberAndUnit {
  std::uint64_t number;
  std::string_view unit;
};

std::optional<NumberAndUnit> split_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' '))
    unit.remove_prefix(1);
  return NumberAndUnit{number, unit};
}

template <typename Number, std::size_t kCount>
std::optional<Number> factor_of(
    std::string_view unit, const std::array<std::pair<std::string_view, Number>, kCount>& units) {
  for (const auto& [name, factor] : units) {
    if (unit == name) return factor;
  }
  return std::nullopt;
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t>, 14> kUnits = {{
      {"", 1},
      {"B", 1},
      {"k", 1ULL << 10},
      {"K", 1ULL << 10},
      {"kB", 1ULL << 10},
      {"KiB", 1ULL << 10},
      {"M", 1ULL << 20},
      {"MB", 1ULL << 20},
      {"MiB", 1ULL << 20},
      {"G", 1ULL << 30},
      {"GB", 1ULL << 30},
      {"GiB", 1ULL << 30},
      {"TB", 1ULL << 40},
      {"TiB", 1ULL << 40},
  }};
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  const auto factor = factor_of(parts->unit, kUnits);
  if (!factor || parts->number > std::numeric_limits<std::uint64_t>::max() / *factor) {
    return std::nullopt;
  }
  return parts->number * *factor;
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::uint64_t>, 8> kUnits = {{
      {"", 1000},
      {"ms", 1},
      {"s", 1000},
      {"m", 60'000},
      {"min", 60'000},
      {"h", 3'600'000},
      {"d", 86'400'000},
      {"days", 86'400'000},
  }};
  constexpr std::uint64_t kLongest =
      1000ULL * 86'400'000;  // keeps the arithmetic of waits harmless
  const auto parts = split_number(text);
  if (!parts) return std::nullopt;
  const auto factor = factor_of(parts->unit, kUnits);
  if (!factor || parts->number > kLongest / *factor) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(parts->number * *factor));
}

}  // namespace pitr
