// Finds the name an operator probably meant: unknown options, keys and subcommands are refused, and
// the answer suggests the nearest known one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace pitr {

// `Perhaps you meant "…".`, or an empty text when nothing known is near enough.
std::string suggest_nearest(std::string_view text, std::span<const std::string_view> known);

}  // namespace pitr
