// The one JSON document that --json prints, and the values in it and in our own files.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "common/time.h"
#include "wal/lsn.h"

namespace pitr {

using Json = nlohmann::ordered_json;

// Names of files need not be UTF-8: what is not is replaced. Throws kSystem when stdout fails.
void print_json(const Json& document);

// null where it is not known.
Json json_time(const std::optional<Instant>& instant);
Json json_lsn(Lsn lsn);                   // 0 is null
Json json_text(const std::string& text);  // an empty one is null

// Back out of our own files; nothing where it is missing or is another kind of value.
std::optional<Instant> time_in(const Json& object, const char* name);
std::optional<double> number_in(const Json& object, const char* name);

}  // namespace pitr
