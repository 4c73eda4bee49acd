#include "pitr/restore.h"

#include <fmt/format.h>

#include "basebackup/relation_map.h"
#include "basebackup/rescued_wal.h"
#include "basebackup/restore_destination.h"
#include "common/error.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "pitr/audit_log.h"
#include "pitr/before_drop.h"
#include "pitr/cluster_choice.h"
#include "pitr/drill_record.h"
#include "pitr/plan_output.h"
#include "pitr/recovery_target.h"
#include "pitr/restoration.h"
#include "pitr/restore_hold.h"

namespace pitr {

namespace {

[[noreturn]] void refuse(std::string message, std::string detail = {}, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .message = std::move(message),
               .detail = std::move(detail),
               .hint = std::move(hint)});
}

void check_options(const RestoreOptions& options) {
  if (options.to.empty() && !options.dry_run) {
    refuse("no destination is given", "", "Name the directory to restore into: --to DIR");
  }
  const std::string& action = options.action;
  if (!action.empty() && action != "pause" && action != "promote" && action != "shutdown") {
    refuse(fmt::format("invalid action \"{}\"", action), "Expected pause, promote or shutdown.");
  }
  const std::string& mode = options.archive_mode;
  if (!mode.empty() && mode != "preserve" && mode != "off") {
    refuse(fmt::format("invalid archive mode \"{}\"", mode), "Expected preserve or off.");
  }
  check_recovery_options(options);
}

ErrorReport unreachable(const PlanReason& reason) {
  return {.kind = ErrorKind::kFinding,
          .message = "the target cannot be reached: " + reason.message,
          .hint = "The reachable windows are in: pitr info",
          .code = "restore_target_unreachable"};
}

// Nothing is written: the finding is the answer.
int answer_unreachable(const Session& session, const RestoreOptions& options,
                       const RecoveryPlan& plan) {
  const ErrorReport report = unreachable(*plan.reason);
  if (session.json) {
    Json json = plan_as_json(plan);
    if (!options.dry_run) {
      json["error"] = {{"code", report.code},
                       {"message", report.message},
                       {"detail", report.detail},
                       {"hint", report.hint}};
    }
    print_json(json);
  } else {
    print_output(plan_as_text(plan));
  }
  log_error(report);
  return kBadFinding;
}

// What the operator must know before the server is started.
void add_warnings(RecoveryPlan& plan, const RestoreOptions& options, bool past_last_commit) {
  if (past_last_commit) {
    plan.warnings.emplace_back(
        "on the living server SELECT pg_switch_wal() brings the newest WAL into the archive");
  }
  const bool will_pause = !options.standby && choose_action(options, plan.written) == "pause";
  if (plan.cannot_pause && will_pause) {
    plan.warnings.emplace_back(
        "hot standby is not active by then (a transaction had too many subtransactions), so "
        "PostgreSQL would promote instead of pausing: --action shutdown stops without that");
  }
  for (const TablespaceChange& tablespace : plan.tablespaces_created) {
    plan.warnings.push_back(
        fmt::format("the WAL on the way creates a tablespace at \"{}\" (at {}); no map "
                    "applies to it",
                    tablespace.path, format_lsn(tablespace.start)));
  }
}

// Where the created tablespaces stand in the way, this is as far as recovery can go without them.
void name_last_moment_before(RecoveryPlan& plan, const ClusterRows& rows, const WalReader& reader) {
  if (plan.tablespaces_created.empty()) return;
  const Lsn lsn = plan.tablespaces_created.front().start;
  PlanRequest request;
  request.target.kind = RecoveryTarget::Kind::kLsn;
  request.target.lsn = lsn;
  request.target.inclusive = false;
  request.backup_id = plan.backup->id;
  request.timeline = plan.timeline;
  request.now = now();
  const RecoveryPlan before = plan_recovery(rows, request, reader);
  if (!before.reachable()) return;
  const std::string moment =
      before.commit_before
          ? fmt::format("the last moment before it is {}, transaction {}",
                        to_local_text(from_postgres_time(before.commit_before->time)),
                        before.commit_before->xid)
          : "the last moment before it is the base backup's end";
  plan.warnings.push_back(fmt::format("{}: --target-lsn {} --exclusive", moment, format_lsn(lsn)));
}

// A promoted copy would take the changes of its publishers, and their slots, from the origin.
void warn_of_subscriptions(RecoveryPlan& plan, const RestoreOptions& options, Storage& storage,
                           const ClusterRecord& cluster) {
  if (options.standby) return;
  std::string listed;
  for (const std::string& name : read_subscriptions(storage, cluster))
    listed += fmt::format("{}\"{}\"", listed.empty() ? "" : ", ", name);
  if (listed.empty()) return;
  plan.warnings.push_back(fmt::format(
      "the cluster has logical replication subscriptions ({}), which start when the copy is "
      "promoted; beside a living origin add --recovery-option max_logical_replication_workers=0",
      listed));
}

// The moment can be reached all the same: that is what was asked.
void warn_of_refusal(const Session& session, const RestoreOptions& options, Storage& storage,
                     const ClusterRows& rows, const RecoveryPlan& plan) {
  try {
    check_restoration(session, options, storage, rows, plan);
  } catch (const Error& error) {
    log_warning(fmt::format("without --dry-run this would be refused: {}", error.what()));
  }
}

void print_restored(const Session& session, const RestoredDirectory& restored,
                    const RecoveryPlan& plan) {
  if (!session.json) {
    print_output(restored.report);
    return;
  }
  Json json = plan_as_json(plan);
  json["restored"] = {{"directory", restored.directory},
                      {"files", restored.counts.files},
                      {"bytes", restored.counts.bytes},
                      {"bytes_written", restored.counts.bytes_written},
                      {"files_kept", restored.counts.files_kept},
                      {"files_removed", restored.counts.files_removed},
                      {"wal_moved_to", json_text(restored.wal_aside)},
                      {"start_command", restored.start_command}};
  print_json(json);
}

// What the audit log tells of a restore; more is added as it goes on.
Json request_as_json(const PlanRequest& request, const RestoreOptions& options) {
  return {{"target", target_as_json(request.target)},
          {"directory", resolve_path(options.to)},
          {"backup", nullptr},
          {"timeline", nullptr},
          {"bytes", nullptr}};
}

int plan_and_restore(const Session& session, const RestoreOptions& options, PlanRequest& request,
                     AuditRecord& record) {
  const auto storage = open_storage(session.config);
  const ClusterRecord cluster = choose_cluster(session, *storage, request);
  record.cluster = cluster.key;
  ClusterRows rows = session_rows(session, *storage, cluster);
  for (const UnreadableFile& unreadable : rows.unreadable)
    log_warning(fmt::format("cannot be read: {}", unreadable.text()));
  if (!options.wal_from.empty()) {
    add_rescued_wal(rows, rescued_folder(options));
    refuse_shadowed_wal(rows);
  }
  std::vector<std::string> warnings;
  if (!options.before_drop.empty()) {
    warnings = target_before_drop(request, options.before_drop, *storage, rows);
  }
  if (!options.dry_run) record.did = request_as_json(request, options);
  const WalReader reader = make_wal_reader(*storage, cluster);
  RecoveryPlan plan = plan_recovery(rows, request, reader);
  plan.warnings.insert(plan.warnings.begin(), warnings.begin(), warnings.end());
  const bool past_last_commit = plan.reachable() &&
                                plan.target.kind == RecoveryTarget::Kind::kTime &&
                                plan.stop.kind == PlannedStop::Kind::kEndOfWal;
  if (!plan.reachable()) {
    require_all_read(rows, plan.reason->message);
    return answer_unreachable(session, options, plan);
  }
  choose_action(options, plan.written);
  add_warnings(plan, options, past_last_commit);
  name_last_moment_before(plan, rows, reader);
  warn_of_subscriptions(plan, options, *storage, cluster);
  for (const std::string& warning : plan.warnings)
    log_warning(warning);
  if (!session.json) print_output(plan_as_text(plan));
  if (options.dry_run) {
    if (!options.to.empty()) warn_of_refusal(session, options, *storage, rows, plan);
    if (!session.json) return kSuccess;
    const auto drill = load_drill_record(session.config.state.directory, cluster.key);
    print_json(plan_as_json(plan, estimate_seconds(drill, plan, cluster.identity.segment_size)));
    return kSuccess;
  }

  record.did["backup"] = plan.backup->id;
  record.did["timeline"] = plan.timeline;
  RestoreHold hold(session, *storage, rows, *plan.backup);
  const RestoredDirectory restored = restore_planned(session, options, *storage, rows, plan);
  hold.leave_to_recovery();
  record.did["bytes"] = restored.counts.bytes;
  print_restored(session, restored, plan);
  return kSuccess;
}

}  // namespace

int run_restore(Session& session, const RestoreOptions& options) {
  check_options(options);
  PlanRequest request = parse_plan_request(options, now());
  if (options.standby) request.newest_timeline = true;
  session.load();
  const auto work = [&](AuditRecord& record) {
    return plan_and_restore(session, options, request, record);
  };
  if (!options.dry_run) return run_audited(session, "restore", work);
  AuditRecord unused;  // a question changes nothing
  return work(unused);
}

}  // namespace pitr
