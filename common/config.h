// Every option of the programs: its default and its consequence. Parsed once, passed down, never
// looked up deep inside. pitr.example.toml shows them to operators.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pitr {

// What pitr-restore does on a standby while the repository cannot be reached: answer 1, after which
// PostgreSQL asks again every few seconds, or 200, which stops the standby.
enum class StandbyUnreachable { kWait, kStop };

enum class RingMode { kAuto, kOff };

constexpr unsigned kMostPrefetched = 1024;  // segments that restore.prefetch may ask for

// A question of the operator's own to the rehearsed server: [[drill.check]].
struct DrillCheck {
  std::string name;
  std::string database = "postgres";
  std::string sql;              // one statement
  std::string expect = "true";  // of the first column of the first row, as text
};

// Whatever one of the rules keeps stays; 0: not a rule. See docs/retention.md.
struct RetentionPolicy {
  unsigned backups = 0;  // the newest so many full backups, with all WAL since the oldest of them
  unsigned days = 0;     // every moment of the last so many days
  // The newest backup of each of the last so many days, weeks, … that have one, in UTC.
  unsigned daily = 0;
  unsigned weekly = 0;
  unsigned monthly = 0;
  unsigned yearly = 0;

  bool is_empty() const { return backups + days + daily + weekly + monthly + yearly == 0; }
};

struct Config {
  std::string path;  // absolute path of the file read; empty when the environment alone sufficed

  struct {
    std::string name = "main";
    std::string data_directory;  // absolute
    std::string connection = "dbname=postgres";
  } cluster;

  struct {
    std::string url;                  // file:///absolute/path
    std::string compression = "lz4";  // none | lz4 | zstd | zstd:LEVEL
  } repository;

  struct {
    std::string directory = "/var/lib/pitr";
  } state;

  struct {
    unsigned jobs = 2;        // threads that compress one segment
    unsigned look_ahead = 8;  // waiting segments archived by one call besides its own; 0: none
    std::chrono::milliseconds look_ahead_time{40};  // for how long it may go on with them
  } archive;

  struct {
    unsigned jobs = 2;                             // threads that read, verify and write
    std::chrono::milliseconds retry_time{10'000};  // how long a failing repository is asked again
    StandbyUnreachable standby_unreachable = StandbyUnreachable::kWait;
    unsigned prefetch = 16;  // segments fetched ahead of recovery at most; 0: none
  } restore;

  struct {
    unsigned jobs = 2;                               // data files read at once
    std::uint64_t rate_limit_bytes_per_second = 0;   // 0: as fast as it goes
    std::chrono::milliseconds wal_timeout{600'000};  // wait for the backup's WAL to be archived
    bool low_priority = false;                       // processor and disk first for others
  } backup;

  RetentionPolicy retention;
  // What a restore has read stays for so long after its end: the recovery goes on from it.
  std::chrono::milliseconds retention_after_restore{172'800'000};

  struct {
    std::string directory;                         // scratch space; empty: --scratch must name it
    std::string bin_directory;                     // empty: of the backup's version, by itself
    std::chrono::milliseconds timeout{3'600'000};  // for the replay, and for each check program
    std::chrono::milliseconds check_timeout{300'000};  // for each [[drill.check]]
    bool promote = false;
    std::string preload_libraries;  // shared_preload_libraries of the rehearsed server
    std::vector<DrillCheck> checks;
  } drill;

  struct {
    RingMode ring = RingMode::kAuto;
  } io;

  struct {
    std::string file;  // absolute; empty: audit.log in the state directory
  } audit;

  // From where on `check` finds a problem; what is not set is not looked at.
  struct {
    std::optional<std::chrono::milliseconds> backup_age;
    std::optional<std::chrono::milliseconds> archive_lag;
    std::optional<unsigned> ready_files;
    std::optional<double> free_space_percent;  // of the repository's volume
    std::optional<std::chrono::milliseconds> verify_age;
    std::optional<std::chrono::milliseconds> drill_age;
    std::string command;  // for /bin/sh; empty: none
    std::chrono::milliseconds timeout{30'000};
    std::chrono::milliseconds repeat{4 * 3'600'000};
  } alert;
};

// Reads `path`, or $PITR_CONFIG, or /etc/pitr/pitr.toml, then lets PITR_<SECTION>_<KEY> override.
// No file is needed where the environment names the repository. Throws kUsage, with file, line and
// what was expected, for an unknown key, a wrong type, an impossible value, a feature this version
// does not have, and a file that others can write.
Config load_config(const std::string& path);

// The path behind file://.
std::string repository_path(const Config& config);

}  // namespace pitr
