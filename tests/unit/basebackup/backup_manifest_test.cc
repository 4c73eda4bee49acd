#include "basebackup/backup_manifest.h"

#include <cstdlib>
#include <filesystem>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "harness/errors.h"
#include "harness/temporary_directory.h"
#include "wal/crc32c.h"

namespace pitr {

using testing::error_kind_of;
using testing::TemporaryDirectory;

namespace {

Instant moment() { return Instant(std::chrono::microseconds(1'795'000'000'123'456)); }

ManifestEntry file_entry(const std::string& path) {
  ManifestEntry entry{.path = path, .mode = 0600, .user = 26, .group = 4294967295};
  entry.modified_at = moment();
  entry.size = 300;
  entry.crc32c = 0x00ABCDEF;
  entry.hash = hash_of(as_byte_span(path));
  entry.extents = {
      {.object = "chunk-00000001", .position = 0, .length = 200, .file_offset = 0},
      {.object = "old/bundle-00000002", .position = 1ULL << 40, .length = 100, .file_offset = 200}};
  return entry;
}

ManifestEntry round_trip(const ManifestEntry& entry) {
  const std::string line = to_json_line(entry);
  REQUIRE(line.ends_with('\n'));
  REQUIRE(line.find('\n') == line.size() - 1);
  return parse_json_line(std::string_view(line).substr(0, line.size() - 1));
}

std::string line_with(const std::string& from, const std::string& to) {
  std::string line = to_json_line(file_entry("base/1/1259"));
  const std::size_t at = line.find(from);
  REQUIRE(at != std::string::npos);
  return line.replace(at, from.size(), to);
}

ErrorKind refusal(const std::string& line) {
  return error_kind_of([&] { parse_json_line(line); });
}

std::string every_byte_but_nul_and_slash() {
  std::string bytes;
  for (int i = 1; i < 256; ++i) {
    if (i != '/') bytes += static_cast<char>(i);
  }
  return bytes;
}

}  // namespace

TEST_CASE("an entry of each type is read back as it was written", "[basebackup]") {
  CHECK(round_trip(file_entry("base/1/1259")) == file_entry("base/1/1259"));
  ManifestEntry empty{.path = "base/1/empty", .mode = 0640, .modified_at = moment()};
  CHECK(round_trip(empty) == empty);
  const ManifestEntry folder{
      .type = ManifestEntry::Type::kDirectory, .path = "pg_wal", .mode = 02700, .user = 26};
  CHECK(round_trip(folder) == folder);
  const ManifestEntry link{.type = ManifestEntry::Type::kTablespace,
                           .path = "pg_tblspc/16384",
                           .target = "/fast/\xFF",
                           .mode = 0777};
  CHECK(round_trip(link) == link);
}

TEST_CASE("a moment before 1970 is read back", "[basebackup]") {
  ManifestEntry entry = file_entry("x");
  entry.modified_at = Instant(std::chrono::microseconds(-1'500'000));
  CHECK(round_trip(entry) == entry);
}

TEST_CASE("a path of any bytes is read back", "[basebackup]") {
  const std::string path = GENERATE(
      std::string("quote\"and\\backslash"), std::string("two\nlines\ttabs\r"), std::string("\x7F"),
      std::string("\xC3\xA9"), std::string("\xC3"), std::string("\xFF\xFE/b"),
      std::string("\xED\xA0\x80"), std::string("..."), std::string("a/..b"), std::string("-"),
      std::string(4000, 'a'), every_byte_but_nul_and_slash());
  CAPTURE(path);
  CHECK(round_trip(file_entry(path)) == file_entry(path));
}

TEST_CASE("a path that leads out of the data directory is refused", "[basebackup]") {
  const std::string path =
      GENERATE(std::string(""), std::string("/etc/passwd"), std::string(".."), std::string("../x"),
               std::string("a/../../x"), std::string("a/.."), std::string("."), std::string("./a"),
               std::string("a//b"), std::string("a/"), std::string("/"), std::string("a\0b", 3));
  CAPTURE(path);
  CHECK(error_kind_of([&] { check_relative_path(path); }) == ErrorKind::kCorrupt);
  CHECK(refusal(to_json_line(file_entry(path))) == ErrorKind::kCorrupt);
}

TEST_CASE("a path in hexadecimal that leads out is refused, too", "[basebackup]") {
  const std::string hex = GENERATE("2e2e2f78", "2f657463", "00", "610062", "");
  CHECK(refusal(line_with("\"path\":\"base/1/1259\"", fmt::format("\"path_hex\":\"{}\"", hex))) ==
        ErrorKind::kCorrupt);
}

TEST_CASE("a tablespace's place with a NUL is refused: the link would end there", "[basebackup]") {
  const ManifestEntry link{.type = ManifestEntry::Type::kTablespace,
                           .path = "pg_tblspc/16384",
                           .target = std::string("/fast\0/elsewhere", 16),
                           .mode = 0777};
  CHECK(refusal(to_json_line(link)) == ErrorKind::kCorrupt);
}

TEST_CASE("a line cut short is damaged", "[basebackup]") {
  const std::string whole = to_json_line(file_entry("base/1/1259"));
  for (std::size_t length = 0; length < whole.size() - 1; ++length) {
    CAPTURE(length);
    CHECK(refusal(whole.substr(0, length)) == ErrorKind::kCorrupt);
  }
}

TEST_CASE("a foreign or enormous line is damaged", "[basebackup]") {
  const std::string line = GENERATE(
      std::string("{}"), std::string("[]"), std::string("null"), std::string("17"),
      std::string("\"x\""), std::string(1000, '\0'), std::string(100'000, '['),
      std::string("\xFF\xFE{}"), std::string("{\"path\":\"") + std::string(1 << 20, 'a') + "\"}");
  CHECK(refusal(line) == ErrorKind::kCorrupt);
}

TEST_CASE("a member that is missing or of another type is damaged", "[basebackup]") {
  const std::string line = GENERATE(
      line_with("\"mode\":\"0600\"", "\"mode\":600"), line_with("\"mode\":\"0600\"", "\"x\":1"),
      line_with("\"mode\":\"0600\"", "\"mode\":\"99\""),
      line_with("\"mode\":\"0600\"", "\"mode\":\"10000\""),
      line_with("\"type\":\"file\"", "\"type\":\"socket\""), line_with("[26,4294967295]", "[26]"),
      line_with("[26,4294967295]", "[\"a\",\"b\"]"), line_with("\"size\":300", "\"size\":301"),
      line_with("\"size\":300", "\"size\":\"300\""),
      line_with("\"crc32c\":\"efcdab00\"", "\"crc32c\":\"efcdab\""),
      line_with("\"crc32c\":\"efcdab00\"", "\"crc32c\":\"efcdabzz\""),
      line_with("\"xxh3\":\"", "\"xxh3\":\"00"), line_with("\"path\":", "\"name\":"),
      line_with(",0,200,0]", ",0,200]"), line_with(",0,200,0]", ",0,199,0]"),
      line_with(",0,200,0]", ",0,200,8]"), line_with(",100,200]", ",100,199]"));
  CAPTURE(line);
  CHECK(refusal(line) == ErrorKind::kCorrupt);
}

TEST_CASE("numbers that to_json_line() does not write are damaged", "[basebackup]") {
  const std::string line = GENERATE(
      line_with("[26,4294967295]", "[-1,0]"), line_with("[26,4294967295]", "[26,4294967296]"),
      line_with("[26,4294967295]", "[1.5,0]"), line_with("[26,4294967295]", "[true,0]"),
      line_with(",0,200,0]", ",-1,200,0]"), line_with("\"size\":300", "\"size\":300.0"),
      line_with("1795000000123456", "1e300"), line_with("1795000000123456", "1.5"),
      line_with("1795000000123456", "true"), line_with("1795000000123456", "9223372036854775808"));
  CAPTURE(line);
  CHECK(refusal(line) == ErrorKind::kCorrupt);
}

TEST_CASE("hexadecimal digits that to_json_line() does not write are damaged", "[basebackup]") {
  CHECK(refusal(line_with("\"path\":\"base/1/1259\"", "\"path_hex\":\"616\"")) ==
        ErrorKind::kCorrupt);
}

TEST_CASE("an extent that ends beyond the last number is damaged", "[basebackup]") {
  // position + length would wrap around, and so would the sum of the lengths.
  const std::string beyond = "18446744073709551615";
  CHECK(refusal(line_with(",0,200,0]", "," + beyond + ",200,0]")) == ErrorKind::kCorrupt);
  ManifestEntry wrapping = file_entry("base/1/1259");
  wrapping.extents[0].length = 1ULL << 63;
  wrapping.extents[1].file_offset = 1ULL << 63;
  wrapping.extents[1].length = (1ULL << 63) + 300;
  CHECK(refusal(to_json_line(wrapping)) == ErrorKind::kCorrupt);
}

TEST_CASE("lines are found whatever the pieces they arrive in", "[basebackup]") {
  const std::string text = "first\nsecond\n\nfourth\nnot ended";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    LineSplitter splitter;
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      splitter.feed(as_byte_span(std::string_view(text).substr(at, piece)),
                    [&](std::string_view line) { lines.emplace_back(line); });
    }
    CAPTURE(piece);
    CHECK(lines == std::vector<std::string>{"first", "second", "", "fourth"});
  }
}

TEST_CASE("PostgreSQL's manifest has the version that its server knows", "[basebackup]") {
  CHECK_THAT(PostgresManifest(15, 42).begin(),
             Catch::Contains("\"PostgreSQL-Backup-Manifest-Version\": 1"));
  CHECK_THAT(PostgresManifest(15, 42).begin(), !Catch::Contains("System-Identifier"));
  const std::string newer = PostgresManifest(17, 7301122034409873321).begin();
  CHECK_THAT(newer, Catch::Contains("\"PostgreSQL-Backup-Manifest-Version\": 2"));
  CHECK_THAT(newer, Catch::Contains("\"System-Identifier\": 7301122034409873321"));
}

TEST_CASE("PostgreSQL's manifest ends with the SHA-256 of all before", "[basebackup]") {
  PostgresManifest manifest(17, 42);
  std::string text = manifest.begin();
  text += manifest.add("PG_VERSION", 3, moment(), 0x12345678);
  text += manifest.add("caf\xE9", 0, moment(), 0);
  text += manifest.finish(3, 0xA02000028, 0xA02000100);
  CHECK_THAT(text, Catch::Contains("\"Checksum\": \"78563412\""));
  CHECK_THAT(text, Catch::Contains("\"Encoded-Path\": \"636166e9\""));
  CHECK_THAT(text, Catch::Contains("\"Start-LSN\": \"A/2000028\", \"End-LSN\": \"A/2000100\""));
  const std::size_t last = text.find("\"Manifest-Checksum\"");
  REQUIRE(last != std::string::npos);
  Sha256 hash;
  hash.update(as_byte_span(std::string_view(text).substr(0, last)));
  CHECK(text.substr(last) == fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", hash.finish_hex()));
}

TEST_CASE("pg_verifybackup accepts PostgreSQL's manifest", "[basebackup]") {
  const std::string program = "/usr/lib/postgresql/15/bin/pg_verifybackup";
  if (!testing::exists(program)) {
    WARN("skipped: there is no pg_verifybackup of version 15");
    return;
  }
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "pg_wal");
  PostgresManifest manifest(15, 42);
  std::string text = manifest.begin();
  for (const std::string name : {"PG_VERSION", "empty", "caf\xC3\xA9", "caf\xE9",
                                 "quote\"back\\slash", "new\nline", "\x01"}) {
    const std::string contents = name == "empty" ? "" : "contents of " + name;
    testing::write_file(directory / name, contents);
    text += manifest.add(name, contents.size(), moment(), crc32c(as_byte_span(contents)));
  }
  text += manifest.finish(1, 0x2000028, 0x2000100);
  testing::write_file(directory / "backup_manifest", text);
  const std::string command =
      fmt::format("{} -n -q '{}' > '{}' 2>&1", program, directory.path(), directory / "pg_wal/out");
  const auto verify = [&] {
    const int status = std::system(command.c_str());
    UNSCOPED_INFO(as_text(testing::read_file(directory / "pg_wal/out")));
    return status;
  };
  CHECK(verify() == 0);
  testing::damage_file(directory / "PG_VERSION", 0);
  CHECK(verify() != 0);
}

}  // namespace pitr
