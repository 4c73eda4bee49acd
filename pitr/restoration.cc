#include "pitr/restoration.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <pwd.h>

#include "basebackup/outside_configuration.h"
#include "basebackup/recovery_settings.h"
#include "basebackup/rescued_wal.h"
#include "basebackup/restore_destination.h"
#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "common/units.h"
#include "io/file.h"
#include "pitr/progress.h"

namespace pitr {

namespace {

[[noreturn]] void refuse(std::string message, std::string detail = {}, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

std::vector<std::pair<std::string, std::string>> parse_recovery_options(
    const RestoreOptions& options) {
  std::vector<std::pair<std::string, std::string>> parsed;
  for (const std::string& text : options.recovery_options) {
    const std::size_t equals = text.find('=');
    const std::string key = text.substr(0, equals);
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_.";
    if (equals == std::string::npos || key.empty() ||
        key.find_first_not_of(kAllowed) != std::string::npos) {
      refuse(fmt::format("invalid recovery option \"{}\"", text),
             "Expected KEY=VALUE with a setting's name in lower case.");
    }
    if (key.starts_with("recovery_target") || key == "restore_command") {
      refuse(fmt::format("\"{}\" cannot be set by --recovery-option", key),
             "The plan decides it: a second recovery target would stop the server at its start.");
    }
    parsed.emplace_back(key, text.substr(equals + 1));
  }
  return parsed;
}

// As root, files are given to who owns the configured data directory; where that is not there, to
// the user "postgres".
std::optional<FileOwner> choose_owner(const Config& config) {
  if (geteuid() != 0) return std::nullopt;
  struct stat status {};
  if (!config.cluster.data_directory.empty() &&
      stat(config.cluster.data_directory.c_str(), &status) == 0 && status.st_uid != 0) {
    return FileOwner{status.st_uid, status.st_gid};
  }
  const passwd* user = getpwnam("postgres");
  if (user != nullptr) return FileOwner{user->pw_uid, user->pw_gid};
  refuse("root cannot own a data directory",
         "There is neither the configured data directory nor a user \"postgres\" to give it to.",
         "Run pitr restore as the user that will run the server.");
}

// The end of a pg_ctl command. pg_ctl gives its -o to a shell once more.
std::string with_settings(const std::vector<std::string>& settings) {
  if (settings.empty()) return {};
  std::string words;
  for (const std::string& setting : settings)
    words += fmt::format("{}-c {}", words.empty() ? "" : " ", quote_for_shell(setting));
  const bool is_plain = words.find_first_of("'\"$`\\") == std::string::npos;
  return " -o " + (is_plain ? fmt::format("\"{}\"", words) : quote_for_shell(words));
}

// One run of the subcommand: plan, destination, files, settings.
class Restoration {
 public:
  Restoration(const Session& session, const RestoreOptions& options, Storage& storage,
              const ClusterRows& rows, const RecoveryPlan& plan)
      : session_(session),
        options_(options),
        storage_(storage),
        rows_(rows),
        cluster_(rows.cluster),
        plan_(plan),
        destination_{.directory = resolve_path(options.to),
                     .repository = resolve_path(repository_path(session.config)),
                     .system_identifier = rows.cluster.key.system_identifier,
                     .delta = options.delta},
        config_folder_(destination_.directory + ".config") {
    // Now: later pg_wal is another folder.
    if (!options.wal_from.empty()) rescued_ = rescued_folder(options);
  }

  // Everything that can be refused is refused here, before anything is touched.
  void refuse_wrong_places() {
    check_destination(destination_);
    check_old_wal_can_move(destination_.directory);
    std::vector<std::string> created;
    for (const TablespaceChange& tablespace : plan_.tablespaces_created) {
      created.push_back(tablespace.path);
    }
    check_created_tablespaces(created);
    place_all_tablespaces();
    if (!options_.wal_directory.empty()) {
      request_.wal_directory = resolve_path(options_.wal_directory);
      check_wal_directory(request_.wal_directory, destination_, request_.tablespaces);
    }
    if (options_.with_config && access(config_folder_.c_str(), F_OK) == 0) {
      refuse(fmt::format("\"{}\" exists already", config_folder_),
             "The configuration from outside the data directory would go there.",
             "Move it away, or leave --with-config out.");
    }
  }

  void run() {
    prepare();
    BackupRestore restore(request_, storage_);
    restore.begin();
    aside_ = put_old_wal_aside(storage_, cluster_, destination_.directory, request_.wal_aside);
    counts_ = restore.write_files();
    if (!options_.wal_from.empty()) place_rescued_files();
    // A rehearsal has settings of its own; those of the origin would do the origin's work.
    const std::string existing =
        options_.rehearsal ? "" : restore.read_text("postgresql.auto.conf");
    restore.write_text("postgresql.auto.conf", merge_recovery_settings(existing, settings_));
    restore.write_text(options_.standby ? "standby.signal" : "recovery.signal", "");
    configuration_ = restore.read_text("postgresql.conf");
    if (!has_outside_configuration(*plan_.backup) &&
        !overrides_for(configuration_, destination_.directory).empty()) {
      log_warning(
          "postgresql.conf names files by itself, or includes others: start the restored server "
          "only as it is printed, or it may open the original's data directory");
    }
    if (options_.with_config) write_configuration();
    restore.finish();
  }

  std::string report() const {
    std::string text = fmt::format(
        "restored {} files, {}, into \"{}\"{}\n", counts_.files, format_bytes(counts_.bytes),
        destination_.directory,
        options_.delta
            ? fmt::format(" ({} kept, {} removed)", counts_.files_kept, counts_.files_removed)
            : "");
    if (!aside_.empty()) {
      text += fmt::format(
          "The WAL that lay there is in \"{}\" now: the repository may not hold all of it.\n",
          aside_);
    }
    if (rescued_segments_ > 0) {
      text += fmt::format(
          "The repository still lacks the rescued WAL, which older base backups need, too:\n"
          "  pitr {}push --from {}\n",
          session_.config.path.empty() ? "" : "--config " + session_.config.path + " ",
          rescued_at_);
    }
    text += "Start the server with:\n  " + start_command() + "\n";
    if (!settings_.turn_archiving_off && !is_configured_directory()) {
      text += fmt::format(
          "Archiving from there will be refused until the configuration says:\n  [cluster]\n"
          "  data_directory = \"{}\"\n",
          destination_.directory);
    }
    if (settings_.turn_archiving_off) {
      text +=
          "Archiving is off in the restored server (archive_mode = off in "
          "postgresql.auto.conf).\n";
    }
    return text;
  }

  const std::string& directory() const { return destination_.directory; }
  const RestoreCounts& counts() const { return counts_; }
  const std::string& wal_aside() const { return aside_; }

  std::string start_command() const {
    const std::string debian =
        fmt::format("/usr/lib/postgresql/{}/bin/pg_ctl", plan_.backup->postgres_version);
    const std::string program = access(debian.c_str(), X_OK) == 0 ? debian : "pg_ctl";
    const std::string command =
        fmt::format("{} start -D {}", program, quote_for_shell(destination_.directory));
    if (!has_outside_configuration(*plan_.backup)) {
      return command + with_settings(overrides_for(configuration_, destination_.directory));
    }
    if (options_.with_config) {
      return command +
             with_settings({fmt::format("config_file={}/postgresql.conf", config_folder_)});
    }
    // The original file names the original's data directory: opening that one would be a disaster.
    std::string config_file;
    for (const BackupSideFile& file : plan_.backup->side_files) {
      if (file.purpose == "config_file") config_file = file.path;
    }
    return command +
           with_settings({"config_file=" + config_file, "data_directory=" + destination_.directory,
                          "port=PORT", "external_pid_file="});
  }

 private:
  void prepare() {
    refuse_wrong_places();
    const Config& config = session_.config;
    request_.cluster = cluster_;
    request_.backup = *plan_.backup;
    request_.destination = destination_.directory;
    request_.owner = choose_owner(config);
    request_.jobs = options_.jobs > 0 ? options_.jobs : config.restore.jobs;
    request_.delta = options_.delta;
    request_.ring = config.io.ring;
    request_.wal_aside = wal_put_aside_before(destination_.directory);
    if (request_.wal_aside.empty()) {
      request_.wal_aside = name_for_old_wal(destination_.directory);
    }
    request_.on_progress = [this](std::uint64_t bytes) {
      progress_.show(bytes);
      if (options_.watch) options_.watch();
    };
    make_settings();
    if (options_.with_config && !has_outside_configuration(*plan_.backup)) {
      log_info("--with-config: the server had its configuration inside the data directory");
    }
    create_directories(destination_.directory);
  }

  void place_all_tablespaces() {
    if (options_.tablespaces_in.empty()) {
      request_.tablespaces = place_tablespaces(
          *plan_.backup, {.maps = options_.tablespaces, .original = options_.tablespace_original},
          destination_);
      return;
    }
    for (const BackupTablespace& tablespace : plan_.backup->tablespaces) {
      request_.tablespaces[tablespace.oid] =
          fmt::format("{}/{}", options_.tablespaces_in, tablespace.oid);
    }
  }

  void make_settings() {
    const Config& config = session_.config;
    settings_.target = plan_.written;
    settings_.timeline = options_.standby ? 0 : plan_.timeline;
    settings_.action = choose_action(options_, plan_.written);
    std::vector<std::string> arguments;
    if (!config.path.empty()) arguments = {"--config", config.path};
    if (!session_.cluster.empty()) {
      arguments.insert(arguments.end(), {"--cluster", session_.cluster});
    }
    settings_.restore_command = make_restore_command(path_of_program("pitr-restore"), arguments);
    const bool same_host = plan_.backup->host == ProcessIdentity::self().host;
    settings_.turn_archiving_off =
        options_.archive_mode.empty() ? !same_host : options_.archive_mode == "off";
    // Reading ahead would ask for a segment behind the stop that cannot be had, and die of the
    // answer: recovery_prefetch, from version 15 on.
    constexpr unsigned kFirstWithPrefetch = 15;
    if (plan_.unusable_wal_behind && plan_.backup->postgres_version >= kFirstWithPrefetch) {
      settings_.extra.emplace_back("recovery_prefetch", "off");
    }
    if (plan_.required_settings) raise_settings(*plan_.required_settings);
    for (auto& option : parse_recovery_options(options_)) {
      settings_.extra.push_back(std::move(option));
    }
    if (options_.rehearsal) return;  // its server has our environment
    warn_of_environment(config);
    if (config.path.empty()) {
      log_warning(
          "no configuration file is in use: the server's environment must hold the same "
          "PITR_… variables for restore_command");
    }
  }

  // What only our environment says, the server's restore_command would not know.
  static void warn_of_environment(const Config& config) {
    for (char** variable = environ; !config.path.empty() && *variable != nullptr; ++variable) {
      const std::string_view text(*variable);
      if (!text.starts_with("PITR_REPOSITORY_") && !text.starts_with("PITR_CLUSTER_")) continue;
      log_warning(
          fmt::format("{} is set beside the configuration file: the restored server's environment "
                      "must hold it, too",
                      text.substr(0, text.find('='))));
    }
  }

  // A server in recovery stops where the WAL tells of higher ones: CheckRequiredParameterValues().
  void raise_settings(const StandbySettings& required) {
    const std::pair<const char*, std::int32_t> settings[] = {
        {"max_connections", required.max_connections},
        {"max_worker_processes", required.max_worker_processes},
        {"max_wal_senders", required.max_wal_senders},
        {"max_prepared_transactions", required.max_prepared_transactions},
        {"max_locks_per_transaction", required.max_locks_per_transaction}};
    for (const auto& [name, value] : settings)
      settings_.extra.emplace_back(name, std::to_string(value));
    log_info(
        "settings were raised while the WAL was written; postgresql.auto.conf has what recovery "
        "needs");
  }

  void place_rescued_files() {
    const std::string own_wal = destination_.directory + "/pg_wal";
    std::string folder = rescued_;
    if (folder == own_wal && !aside_.empty()) folder = aside_;
    if (folder == own_wal) return;  // the repository held everything that lay there
    rescued_at_ = folder;
    rescued_segments_ = place_rescued_wal(
        rows_, folder, request_.wal_directory.empty() ? own_wal : request_.wal_directory,
        request_.owner);
    log_info(fmt::format("{} rescued segments were placed in pg_wal", rescued_segments_));
  }

  void write_configuration() {
    if (!has_outside_configuration(*plan_.backup)) return;
    write_outside_configuration(storage_, cluster_, *plan_.backup,
                                {.folder = config_folder_,
                                 .data_directory = destination_.directory,
                                 .owner = request_.owner});
  }

  bool is_configured_directory() const {
    struct stat configured {};
    struct stat here {};
    return stat(session_.config.cluster.data_directory.c_str(), &configured) == 0 &&
           stat(destination_.directory.c_str(), &here) == 0 && configured.st_dev == here.st_dev &&
           configured.st_ino == here.st_ino;
  }

  const Session& session_;
  const RestoreOptions& options_;
  Storage& storage_;
  const ClusterRows& rows_;
  const ClusterRecord& cluster_;
  const RecoveryPlan& plan_;
  DestinationRequest destination_;
  std::string config_folder_;
  std::string configuration_;  // the restored postgresql.conf
  std::string rescued_;        // with --wal-from: where that WAL lies
  std::string rescued_at_;     // where it lies once it was placed
  std::size_t rescued_segments_ = 0;
  RestoreBackupRequest request_;
  RecoverySettings settings_;
  RestoreCounts counts_;
  std::string aside_;
  Progress progress_{"restore", plan_.backup->size_bytes};
};

}  // namespace

std::string choose_action(const RestoreOptions& options, const RecoveryTarget& written) {
  const bool has_target = written.kind != RecoveryTarget::Kind::kEnd;
  if (!options.action.empty() && options.standby) refuse("--standby takes no --action");
  if (!has_target && !options.action.empty() && options.action != "promote") {
    refuse(fmt::format("--action {} is not possible at the end of the WAL", options.action),
           "Without a target PostgreSQL ignores any other action than promote.",
           "Use --action promote, or name a target.");
  }
  if (!options.action.empty()) return options.action;
  return has_target ? "pause" : "promote";
}

std::string rescued_folder(const RestoreOptions& options) {
  std::string folder = resolve_path(options.wal_from);
  if (options.to.empty()) return folder;
  const std::string directory = resolve_path(options.to);
  std::string named = options.wal_from;
  while (named.size() > 1 && named.ends_with('/'))
    named.pop_back();
  // Also where it is a link, of the origin or of a restore that did not come to its end.
  const bool is_own =
      folder == directory + "/pg_wal" ||
      (last_part(named) == "pg_wal" && resolve_path(parent_directory(named)) == directory);
  const std::string moved = is_own ? wal_put_aside_before(directory) : "";
  return moved.empty() ? folder : moved;
}

void check_recovery_options(const RestoreOptions& options) { parse_recovery_options(options); }

void check_restoration(const Session& session, const RestoreOptions& options, Storage& storage,
                       const ClusterRows& rows, const RecoveryPlan& plan) {
  Restoration(session, options, storage, rows, plan).refuse_wrong_places();
}

RestoredDirectory restore_planned(const Session& session, const RestoreOptions& options,
                                  Storage& storage, const ClusterRows& rows,
                                  const RecoveryPlan& plan) {
  Restoration restoration(session, options, storage, rows, plan);
  restoration.run();
  return {.directory = restoration.directory(),
          .counts = restoration.counts(),
          .wal_aside = restoration.wal_aside(),
          .start_command = restoration.start_command(),
          .report = restoration.report()};
}

}  // namespace pitr
