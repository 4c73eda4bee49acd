#include "pitr/backup.h"

#include <fmt/format.h>

#include "basebackup/relation_map.h"
#include "basebackup/take_backup.h"
#include "catalog/pins.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/process.h"
#include "common/units.h"
#include "pitr/audit_log.h"
#include "pitr/progress.h"

namespace pitr {

namespace {

void refuse_what_is_not_there(const BackupOptions& options) {
  if (options.type == "incremental") {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "incremental backups: not available in this version",
                 .code = "not_available"});
  }
  if (options.label.empty() || options.label.size() > 900 ||
      options.label.find('\n') != std::string::npos) {
    throw Error({.kind = ErrorKind::kUsage,
                 .message = "invalid backup label",
                 .detail = "It must be one line of at most 900 bytes."});
  }
}

void print_summary(const Session& session, const BackupSummary& summary) {
  const bool damaged = !summary.page_errors.empty();
  if (session.json) {
    Json errors = Json::array();
    for (const PageError& error : summary.page_errors) {
      errors.push_back({{"path", error.path}, {"block", error.block}});
    }
    print_json({{"format", 1},
                {"id", summary.id},
                {"status", damaged ? "page_errors" : "ok"},
                {"type", "full"},
                {"method", summary.method},
                {"label", summary.label},
                {"timeline", summary.timeline},
                {"start_lsn", json_lsn(summary.start_lsn)},
                {"stop_lsn", json_lsn(summary.stop_lsn)},
                {"started_at", to_utc_text(summary.started_at)},
                {"finished_at", to_utc_text(summary.finished_at)},
                {"size_bytes", summary.size_bytes},
                {"stored_bytes", summary.stored_bytes},
                {"file_count", summary.file_count},
                {"page_errors", errors}});
    return;
  }
  print_output(fmt::format(
      "backup {} is complete: {} files, {}, stored in {}; from {} to {} on timeline {}\n",
      summary.id, summary.file_count, format_bytes(summary.size_bytes),
      format_bytes(summary.stored_bytes), format_lsn(summary.start_lsn),
      format_lsn(summary.stop_lsn), summary.timeline));
}

void pin_backup(Storage& storage, const ClusterRecord& cluster, const std::string& id) {
  try {
    place_pin(storage, cluster, {.backup = id});
  } catch (const Error& error) {
    throw Error({.kind = ErrorKind::kSystem,
                 .message = fmt::format("backup {} is complete, and could not be pinned: {}", id,
                                        error.what()),
                 .hint = fmt::format("Run: pitr keep {}", id)});
  }
}

int take_backup(const Session& session, const BackupOptions& options, AuditRecord& record) {
  const Config& config = session.config;
  if (config.backup.low_priority) lower_priority();
  const auto storage = open_storage(config);
  const ClusterRecord cluster = session_cluster(session, *storage);
  record.cluster = cluster.key;
  Server server(config.cluster.connection);
  Progress progress("backup", 0);
  const BackupMethod method = options.method.empty()
                                  ? choose_backup_method(config.cluster.data_directory)
                              : options.method == "files" ? BackupMethod::kFiles
                                                          : BackupMethod::kStream;
  const BackupRequest request{
      .method = method,
      .connection = config.cluster.connection,
      .data_directory = config.cluster.data_directory,
      .cluster = cluster,
      .label = options.label,
      .jobs = options.jobs > 0 ? options.jobs : config.backup.jobs,
      .compression = parse_compression(config.repository.compression),
      .rate_limit_bytes_per_second = config.backup.rate_limit_bytes_per_second,
      .wal_timeout = config.backup.wal_timeout,
      .ring = config.io.ring,
      .fast_checkpoint = !options.spread_checkpoint,
      .on_progress = [&](std::uint64_t bytes) { progress.show(bytes); }};
  const BackupSummary summary = take_base_backup(request, server, *storage);
  record.did = {{"backup", summary.id},
                {"bytes", summary.size_bytes},
                {"stored_bytes", summary.stored_bytes},
                {"page_errors", summary.page_errors.size()}};
  if (options.keep) pin_backup(*storage, cluster, summary.id);
  try {
    store_relation_map(*storage, cluster, request.connection, request.compression);
  } catch (const Error& error) {
    // Without it pitr history tells numbers instead of names; the backup is whole.
    log_warning(fmt::format("the names of relations were not recorded: {}", error.what()));
  }
  try {
    refresh_catalog(session, "pitr backup", *storage, false);
  } catch (const Error& error) {
    // The backup is published; the catalog finds it in the repository later.
    log_warning(fmt::format("the catalog was not brought up to date: {}", error.what()));
  }
  print_summary(session, summary);
  if (summary.page_errors.empty()) return kSuccess;
  constexpr std::size_t kMostListed = 20;
  for (std::size_t i = 0; i < summary.page_errors.size() && i < kMostListed; ++i) {
    log_warning(fmt::format("page {} of \"{}\" fails its checksum", summary.page_errors[i].block,
                            summary.page_errors[i].path));
  }
  log_warning(
      fmt::format("{} pages fail their checksum on the server; the backup was published "
                  "with them as they are",
                  summary.page_errors.size()));
  return kBadFinding;
}

}  // namespace

int run_backup(Session& session, const BackupOptions& options) {
  refuse_what_is_not_there(options);
  session.load();
  session.become_owner_of_data_directory();
  return run_audited(session, "backup",
                     [&](AuditRecord& record) { return take_backup(session, options, record); });
}

}  // namespace pitr
