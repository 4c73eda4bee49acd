#include "pitr/plan_output.h"

#include <fmt/format.h>

#include "common/error.h"
#include "common/units.h"
#include "wal/transaction_id.h"

namespace pitr {

namespace {

using TargetKind = RecoveryTarget::Kind;
using StopKind = PlannedStop::Kind;

const char* kind_of(const RecoveryTarget& target) {
  switch (target.kind) {
    case TargetKind::kTime:
      return "time";
    case TargetKind::kLsn:
      return "lsn";
    case TargetKind::kXid:
      return "xid";
    case TargetKind::kName:
      return "name";
    case TargetKind::kImmediate:
      return "immediate";
    case TargetKind::kEnd:
      break;
  }
  return "end";
}

Json value_of(const RecoveryTarget& target) {
  switch (target.kind) {
    case TargetKind::kTime:
      return to_utc_text(target.time);
    case TargetKind::kLsn:
      return format_lsn(target.lsn);
    case TargetKind::kXid:
      return std::to_string(target.xid);
    case TargetKind::kName:
      return target.name;
    case TargetKind::kImmediate:
    case TargetKind::kEnd:
      break;
  }
  return nullptr;
}

const char* kind_of(const PlannedStop& stop) {
  switch (stop.kind) {
    case StopKind::kCommit:
      return "commit";
    case StopKind::kRestorePoint:
      return "restore_point";
    case StopKind::kLsn:
      return "lsn";
    case StopKind::kConsistency:
      return "consistency";
    case StopKind::kEndOfWal:
      break;
  }
  return "end_of_wal";
}

Json stop_as_json(const RecoveryPlan& plan) {
  const PlannedStop& stop = plan.stop;
  Json json = {{"kind", kind_of(stop)}, {"lsn", json_lsn(stop.lsn)}};
  json["time"] = stop.time ? Json(to_utc_text(from_postgres_time(*stop.time))) : Json(nullptr);
  json["xid"] = stop.xid ? Json(full_transaction_id(*stop.xid, plan.next_xid)) : Json(nullptr);
  return json;
}

Json commit_as_json(const RecoveryPlan& plan, const std::optional<TransactionEnd>& commit) {
  if (!commit) return nullptr;
  return {{"time", to_utc_text(from_postgres_time(commit->time))},
          {"xid", full_transaction_id(commit->xid, plan.next_xid)},
          {"lsn", format_lsn(commit->start)}};
}

std::string commit_as_text(const RecoveryPlan& plan, const std::optional<TransactionEnd>& commit) {
  if (!commit) return "none in the archive";
  return fmt::format("{}, transaction {}, at {}", to_local_text(from_postgres_time(commit->time)),
                     full_transaction_id(commit->xid, plan.next_xid), format_lsn(commit->start));
}

std::string stop_as_text(const RecoveryPlan& plan) {
  const std::string lsn = format_lsn(plan.stop.lsn);
  switch (plan.stop.kind) {
    case StopKind::kCommit:
      return "after " + commit_as_text(plan, plan.commit_before);
    case StopKind::kRestorePoint:
      return fmt::format("restore point \"{}\" at {}", plan.target.name, lsn);
    case StopKind::kLsn:
      return fmt::format("{} {}",
                         plan.target.kind != TargetKind::kTime && plan.target.inclusive
                             ? "after the record at"
                             : "before",
                         lsn);
    case StopKind::kConsistency:
      return fmt::format("{}, where the backup is consistent", lsn);
    case StopKind::kEndOfWal:
      break;
  }
  return fmt::format("the end of the archived WAL, {}", lsn);
}

}  // namespace

std::string describe_target(const RecoveryTarget& target) {
  const char* side = target.inclusive ? "" : ", exclusive";
  switch (target.kind) {
    case TargetKind::kTime:
      return fmt::format("{} ({}){}", to_local_text(target.time), to_utc_text(target.time), side);
    case TargetKind::kLsn:
      return fmt::format("LSN {}{}", format_lsn(target.lsn), side);
    case TargetKind::kXid:
      return fmt::format("transaction {}{}", target.xid, side);
    case TargetKind::kName:
      return fmt::format("restore point \"{}\"", target.name);
    case TargetKind::kImmediate:
      return "as soon as the backup is consistent";
    case TargetKind::kEnd:
      break;
  }
  return "the end of the WAL";
}

Json target_as_json(const RecoveryTarget& target) {
  return {{"kind", kind_of(target)}, {"value", value_of(target)}, {"inclusive", target.inclusive}};
}

Json plan_as_json(const RecoveryPlan& plan, std::optional<double> estimated_seconds) {
  Json json = {
      {"format", 1}, {"target", target_as_json(plan.target)}, {"reachable", plan.reachable()}};
  json["reason"] = plan.reason
                       ? Json{{"code", plan.reason->code}, {"message", plan.reason->message}}
                       : Json(nullptr);
  const bool known = plan.backup != nullptr;
  json["stops_at"] = plan.reachable() ? stop_as_json(plan) : Json(nullptr);
  json["backup"] = known ? Json(plan.backup->id) : Json(nullptr);
  json["timeline"] = known ? Json(plan.timeline) : Json(nullptr);
  json["timeline_path"] = plan.timeline_path;
  json["first_segment"] = json_text(plan.first_segment);
  json["last_segment"] = json_text(plan.last_segment);
  json["segment_count"] = plan.segment_count;
  json["missing"] = plan.missing;
  json["bytes_to_fetch"] = known ? Json(plan.bytes_to_fetch) : Json(nullptr);
  json["estimated_seconds"] = estimated_seconds ? Json(*estimated_seconds) : Json(nullptr);
  json["nearest"] = nullptr;
  if (!plan.reachable()) {
    json["nearest"] = {{"before", json_time(plan.nearest_before)},
                       {"after", json_time(plan.nearest_after)}};
  }
  json["commit_before"] = commit_as_json(plan, plan.commit_before);
  json["commit_after"] = commit_as_json(plan, plan.commit_after);
  json["warnings"] = plan.warnings;
  return json;
}

void require_all_read(const ClusterRows& rows, const std::string& missed) {
  const std::vector<UnreadableFile> not_read = rows.not_read();
  if (not_read.empty()) return;
  std::string files;
  for (const UnreadableFile& file : not_read)
    files += (files.empty() ? "" : "; ") + file.text();
  throw Error({.kind = ErrorKind::kSystem,
               .message = "whether the target can be reached could not be found out",
               .detail = fmt::format("Without these it cannot ({}): {}.", missed, files),
               .hint = "Run it again when they can be read."});
}

std::string windows_as_text(const std::vector<ReachableWindow>& windows) {
  std::string text;
  for (const ReachableWindow& window : windows) {
    text += fmt::format("  timeline {}: from {} to {} ({} to {}, backup {})\n", window.timeline,
                        to_local_text(window.from_time),
                        window.to_time ? to_local_text(*window.to_time) : "the end of the backup",
                        format_lsn(window.from_lsn), format_lsn(window.to_lsn), window.backup_id);
  }
  return text;
}

std::string plan_as_text(const RecoveryPlan& plan) {
  std::string text = fmt::format("target       {}\n", describe_target(plan.target));
  if (!plan.reachable()) {
    text += fmt::format("reachable    no: {}\n", plan.reason->message);
    if (plan.nearest_before) {
      text += fmt::format("nearest      before: {}\n", to_local_text(*plan.nearest_before));
    }
    if (plan.nearest_after) {
      text += fmt::format("nearest      after:  {}\n", to_local_text(*plan.nearest_after));
    }
    text += plan.windows.empty() ? "No moment can be reached yet.\n"
                                 : "Any moment of these can be reached:\n";
    return text + windows_as_text(plan.windows);
  }
  std::string path;
  for (const TimelineId timeline : plan.timeline_path) {
    path += fmt::format("{}{}", path.empty() ? "" : " > ", timeline);
  }
  text += fmt::format("reachable    yes, on timeline {}{}\n", plan.timeline,
                      plan.timeline_path.size() > 1 ? fmt::format(" (path {})", path) : "");
  text += fmt::format("stops        {}\n", stop_as_text(plan));
  text += fmt::format("last commit  {}\n", commit_as_text(plan, plan.commit_before));
  text += fmt::format("not in it    {}\n", commit_as_text(plan, plan.commit_after));
  text += fmt::format("base backup  {} of {}\n", plan.backup->id,
                      to_local_text(plan.backup->finished_at));
  text += fmt::format("WAL          {} segments, {} to {}\n", plan.segment_count,
                      plan.first_segment, plan.last_segment);
  text += fmt::format("to fetch     {}\n", format_bytes(plan.bytes_to_fetch));
  return text;
}

}  // namespace pitr
