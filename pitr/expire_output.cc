#include "pitr/expire_output.h"

#include <fmt/format.h>

#include "common/units.h"
#include "wal/timeline_history.h"

namespace pitr {

namespace {

std::string segment_of(const ExpireReport& report, TimelineId timeline, std::uint64_t number) {
  const SegmentSize size = report.cluster.identity.segment_size;
  return SegmentName::containing(timeline, number * size, size).to_string();
}

// Beyond every number that a segment's name can have.
bool has_no_end(const ExpireReport& report, std::uint64_t number) {
  const std::uint64_t segments = kEndOfTime / report.cluster.identity.segment_size;
  return number > segments;
}

Json expired_as_json(const ExpireReport& report) {
  Json ranges = Json::array();
  for (const ExpiredWal& wal : report.decision.wal) {
    ranges.push_back({{"timeline", wal.range.timeline},
                      {"first_segment", segment_of(report, wal.range.timeline, wal.range.first)},
                      {"last_segment", segment_of(report, wal.range.timeline, wal.range.last)},
                      {"segments", wal.segments},
                      {"stored_bytes", wal.stored_bytes}});
  }
  return ranges;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts)
    all += (all.empty() ? "" : "; ") + text;
  return all;
}

}  // namespace

Json report_as_json(const ExpireReport& report) {
  Json backups = Json::array();
  for (const BackupVerdict& verdict : report.decision.backups) {
    backups.push_back({{"id", verdict.backup->id},
                       {"finished_at", to_utc_text(verdict.backup->finished_at)},
                       {"stored_bytes", verdict.backup->stored_bytes},
                       {"removed", !verdict.is_kept()},
                       {"reasons", verdict.reasons}});
  }
  Json kept = Json::array();
  for (const KeptWal& wal : report.decision.kept_wal) {
    const bool endless = has_no_end(report, wal.range.last);
    kept.push_back(
        {{"timeline", wal.range.timeline},
         {"first_segment", segment_of(report, wal.range.timeline, wal.range.first)},
         {"last_segment",
          endless ? Json(nullptr) : Json(segment_of(report, wal.range.timeline, wal.range.last))},
         {"reason", wal.reason}});
  }
  return {{"name", report.cluster.key.name},
          {"system_identifier", std::to_string(report.cluster.key.system_identifier)},
          {"days_begin", json_time(report.decision.days_begin)},
          {"backups", backups},
          {"wal_removed", expired_as_json(report)},
          {"wal_kept", kept},
          {"unfinished_removed", report.unfinished}};
}

std::string report_as_text(const ExpireReport& report, bool dry_run) {
  const char* gone = dry_run ? "would go" : "removed";
  std::string text = fmt::format("cluster {}, system identifier {}\n", report.cluster.key.name,
                                 report.cluster.key.system_identifier);
  if (report.decision.days_begin) {
    text +=
        fmt::format("  every moment since {} stays\n", to_local_text(*report.decision.days_begin));
  }
  for (const BackupVerdict& verdict : report.decision.backups) {
    text += fmt::format("  {:<8}  backup {} of {}: {}\n", verdict.is_kept() ? "kept" : gone,
                        verdict.backup->id, to_local_text(verdict.backup->finished_at),
                        verdict.is_kept() ? joined(verdict.reasons) : "no rule keeps it");
  }
  for (const std::string& id : report.unfinished)
    text += fmt::format("  {:<8}  unfinished backup {}\n", gone, id);
  for (const ExpiredWal& wal : report.decision.wal) {
    text += fmt::format("  {:<8}  WAL {} to {}: {} segments, {}\n", gone,
                        segment_of(report, wal.range.timeline, wal.range.first),
                        segment_of(report, wal.range.timeline, wal.range.last), wal.segments,
                        format_bytes(wal.stored_bytes));
  }
  for (const KeptWal& wal : report.decision.kept_wal) {
    const std::string end = has_no_end(report, wal.range.last)
                                ? "on"
                                : "to " + segment_of(report, wal.range.timeline, wal.range.last);
    text += fmt::format("  {:<8}  WAL from {} {}: {}\n", "kept",
                        segment_of(report, wal.range.timeline, wal.range.first), end, wal.reason);
  }
  return text;
}

Json removal_as_json(const ExpireReport& report) {
  Json backups = Json::array();
  for (const BackupVerdict& verdict : report.decision.backups) {
    if (!verdict.is_kept()) backups.push_back(verdict.backup->id);
  }
  return {
      {"backups", backups}, {"unfinished", report.unfinished}, {"wal", expired_as_json(report)}};
}

}  // namespace pitr
