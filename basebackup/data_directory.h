// What of a data directory belongs into a base backup: the lists of "Base Backups" in PostgreSQL's
// documentation and of basebackup.c, as pure functions of names, and the walk that applies them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pitr {

// Paths are relative to the data directory, with "/" between names; a tablespace's files are below
// pg_tblspc/<oid>/. Names hold any bytes but "/" and NUL.

// A relation file: "16384", "16384_fsm", "16384_init", "16384.1". Nothing for any other name.
struct RelationFileName {
  std::uint32_t number = 0;  // relfilenode
  std::string fork;          // "", "fsm", "vm", "init"
  std::uint32_t segment = 0;

  static std::optional<RelationFileName> parse(std::string_view name);
};

// "t3_16384": a temporary relation's file. Never part of a backup.
bool is_temporary_relation(std::string_view name);

// True for a folder whose contents are left out, while it itself is kept: pg_wal, pg_replslot, ….
bool is_kept_empty(std::string_view path);

// True for what is left out altogether, wherever it lies: pgsql_tmp, pg_internal.init, and at the
// top postmaster.pid, leftovers of backups, ….
bool is_left_out(std::string_view path);

// True where relation files lie: global, base/<oid>, pg_tblspc/<oid>/PG_…/<oid>.
bool holds_relations(std::string_view folder);

// True for a file whose pages carry checksums.
bool has_page_checksums(std::string_view path);

struct ScannedEntry {
  enum class Type { kFile, kDirectory, kTablespace };
  Type type = Type::kFile;
  std::string path;
  std::string target;  // kTablespace: where the link leads
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};

// Visits what belongs into a backup, folders before their contents. global/pg_control is not among
// it: it is read last of all. What vanishes meanwhile is passed over; what is neither a file, a
// folder nor a tablespace's link is passed over with a warning. `version_folder` is the only one of
// a tablespace that belongs to this cluster (PG_15_202209061).
void scan_data_directory(const std::string& data_directory, const std::string& version_folder,
                         const std::function<void(ScannedEntry)>& visitor);

}  // namespace pitr
