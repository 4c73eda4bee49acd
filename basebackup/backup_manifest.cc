#include "basebackup/backup_manifest.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "io/checksum.h"

namespace pitr {

namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void throw_damaged(std::string_view line) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .message = "the manifest of a base backup is damaged",
               .detail = fmt::format("It has the line \"{}\".", line.substr(0, 200))});
}

bool is_utf8(std::string_view text) {
  try {
    (void)Json(std::string(text)).dump();
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

std::string from_hex(const std::string& text) {
  std::string bytes;
  if (text.size() % 2 != 0) throw_damaged(text);
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const auto value = parse_number(std::string_view(text).substr(i, 2), 16);
    if (!value) throw_damaged(text);
    bytes += static_cast<char>(*value);
  }
  return bytes;
}

// A number as to_json_line() writes it: no sign, no fraction, and not too large.
template <typename Number>
Number get_number(const Json& json, std::string_view line) {
  if (!json.is_number_unsigned()) throw_damaged(line);
  const auto number = json.get<std::uint64_t>();
  if (number > std::numeric_limits<Number>::max()) throw_damaged(line);
  return static_cast<Number>(number);
}

Instant get_instant(const Json& json, std::string_view line) {
  const bool fits = json.is_number_integer() &&
                    (!json.is_number_unsigned() || json.get<std::uint64_t>() <= INT64_MAX);
  if (!fits) throw_damaged(line);
  return Instant(std::chrono::microseconds(json.get<std::int64_t>()));
}

void put_path(Json& json, const std::string& path, const char* key) {
  if (is_utf8(path)) {
    json[key] = path;
  } else {
    json[std::string(key) + "_hex"] = to_hex(as_byte_span(path));
  }
}

std::string get_path(const Json& json, const char* key) {
  const std::string hex_key = std::string(key) + "_hex";
  if (json.contains(hex_key)) return from_hex(json.at(hex_key).get<std::string>());
  return json.at(key).get<std::string>();
}

// PostgreSQL writes a CRC as its bytes stand in memory, the lowest first.
std::string crc_text(std::uint32_t crc) { return to_hex(std::as_bytes(std::span(&crc, 1))); }

std::uint32_t crc_from_text(const std::string& text) {
  const std::string bytes = from_hex(text);
  if (text.size() != 8) throw_damaged(text);
  return load<std::uint32_t>(as_byte_span(bytes), 0);
}

}  // namespace

void check_relative_path(std::string_view path) {
  std::string_view rest = path;
  bool valid = !path.empty() && path.find('\0') == std::string_view::npos;
  while (valid) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    valid = !part.empty() && part != "." && part != "..";
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
  if (!valid) throw_damaged(path);
}

std::string to_json_line(const ManifestEntry& entry) {
  Json json;
  put_path(json, entry.path, "path");
  switch (entry.type) {
    case ManifestEntry::Type::kFile:
      json["type"] = "file";
      break;
    case ManifestEntry::Type::kDirectory:
      json["type"] = "directory";
      break;
    case ManifestEntry::Type::kTablespace:
      json["type"] = "tablespace";
      put_path(json, entry.target, "target");
      break;
  }
  json["mode"] = fmt::format("{:04o}", entry.mode);
  json["owner"] = {entry.user, entry.group};
  if (entry.type == ManifestEntry::Type::kFile) {
    json["modified_at"] = entry.modified_at.time_since_epoch().count();
    json["size"] = entry.size;
    json["crc32c"] = crc_text(entry.crc32c);
    json["xxh3"] = to_hex(entry.hash);
    Json& extents = json["extents"] = Json::array();
    for (const Extent& extent : entry.extents) {
      extents.push_back({extent.object, extent.position, extent.length, extent.file_offset});
    }
  }
  return json.dump() + "\n";
}

ManifestEntry parse_json_line(std::string_view line) {
  try {
    const Json json = Json::parse(line);
    ManifestEntry entry{.path = get_path(json, "path")};
    check_relative_path(entry.path);
    const auto mode = parse_number(json.at("mode").get<std::string>(), 8);
    if (!mode || *mode > 07777) throw_damaged(line);
    entry.mode = static_cast<std::uint32_t>(*mode);
    entry.user = get_number<std::uint32_t>(json.at("owner").at(0), line);
    entry.group = get_number<std::uint32_t>(json.at("owner").at(1), line);
    const std::string type = json.at("type");
    if (type == "directory") {
      entry.type = ManifestEntry::Type::kDirectory;
    } else if (type == "tablespace") {
      entry.type = ManifestEntry::Type::kTablespace;
      entry.target = get_path(json, "target");
      if (entry.target.find('\0') != std::string::npos) throw_damaged(line);
    } else if (type == "file") {
      entry.modified_at = get_instant(json.at("modified_at"), line);
      entry.size = get_number<std::uint64_t>(json.at("size"), line);
      entry.crc32c = crc_from_text(json.at("crc32c"));
      const std::string hash = from_hex(json.at("xxh3").get<std::string>());
      if (hash.size() != entry.hash.size()) throw_damaged(line);
      std::memcpy(entry.hash.data(), hash.data(), hash.size());
      std::uint64_t covered = 0;
      for (const Json& extent : json.at("extents")) {
        entry.extents.push_back({.object = extent.at(0),
                                 .position = get_number<std::uint64_t>(extent.at(1), line),
                                 .length = get_number<std::uint64_t>(extent.at(2), line),
                                 .file_offset = get_number<std::uint64_t>(extent.at(3), line)});
        const Extent& last = entry.extents.back();
        const bool fits = last.length <= entry.size - covered &&
                          last.length <= std::numeric_limits<std::uint64_t>::max() - last.position;
        if (last.file_offset != covered || !fits) throw_damaged(line);
        covered += last.length;
      }
      if (covered != entry.size) throw_damaged(line);
    } else {
      throw_damaged(line);
    }
    return entry;
  } catch (const Json::exception&) {
    throw_damaged(line);
  }
}

PostgresManifest::PostgresManifest(unsigned postgres_version, std::uint64_t system_identifier)
    : version_(postgres_version >= 17 ? 2 : 1), system_identifier_(system_identifier) {}

std::string PostgresManifest::hashed(std::string text) {
  hash_.update(as_byte_span(text));
  return text;
}

std::string PostgresManifest::begin() {
  std::string text = fmt::format("{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n", version_);
  if (version_ >= 2) text += fmt::format("\"System-Identifier\": {},\n", system_identifier_);
  return hashed(text + "\"Files\": [");
}

std::string PostgresManifest::add(std::string_view path, std::uint64_t size, Instant modified_at,
                                  std::uint32_t crc32c) {
  const std::string name =
      is_utf8(path) ? fmt::format("\"Path\": {}", Json(std::string(path)).dump())
                    : fmt::format("\"Encoded-Path\": \"{}\"", to_hex(as_byte_span(path)));
  const std::time_t time =
      std::chrono::floor<std::chrono::seconds>(modified_at).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 64> date{};
  (void)std::strftime(date.data(), date.size(), "%Y-%m-%d %H:%M:%S GMT", &parts);
  const char* separator = first_ ? "\n" : ",\n";
  first_ = false;
  return hashed(fmt::format(
      "{}{{ {}, \"Size\": {}, \"Last-Modified\": \"{}\", \"Checksum-Algorithm\": \"CRC32C\", "
      "\"Checksum\": \"{}\" }}",
      separator, name, size, date.data(), crc_text(crc32c)));
}

std::string PostgresManifest::finish(TimelineId timeline, Lsn start_lsn, Lsn stop_lsn) {
  std::string text = hashed(fmt::format(
      "\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" "
      "}}\n],\n",
      timeline, format_lsn(start_lsn), format_lsn(stop_lsn)));
  return text + fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", hash_.finish_hex());
}

}  // namespace pitr
