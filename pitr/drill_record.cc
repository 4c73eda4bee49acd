#include "pitr/drill_record.h"

#include "common/error.h"
#include "io/file.h"
#include "pitr/json_output.h"

namespace pitr {

namespace {

std::string path_in(const std::string& state_directory) { return state_directory + "/drill.json"; }

// An object with "drills"; an empty one where the file is missing or is none of ours.
Json load_all(const std::string& state_directory) {
  Json nothing = {{"format", 1}, {"drills", Json::object()}};
  std::string text;
  try {
    if (!try_read_whole_file(path_in(state_directory), text)) return nothing;
  } catch (const Error&) {
    return nothing;
  }
  Json all = Json::parse(text, nullptr, false);
  const bool is_ours = all.is_object() && all.contains("drills") && all["drills"].is_object();
  return is_ours ? all : nothing;
}

Json json_number(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

}  // namespace

std::optional<DrillRecord> load_drill_record(const std::string& state_directory,
                                             const ClusterKey& cluster) {
  const Json all = load_all(state_directory);
  const auto found = all["drills"].find(cluster.to_string());
  if (found == all["drills"].end() || !found->is_object()) return std::nullopt;
  const auto finished_at = time_in(*found, "finished_at");
  if (!finished_at) return std::nullopt;
  DrillRecord record{.finished_at = *finished_at};
  if (found->contains("cause") && (*found)["cause"].is_string()) {
    record.cause = (*found)["cause"].get<std::string>();
  }
  record.last_success_at = time_in(*found, "last_success_at");
  record.recovery_seconds = number_in(*found, "recovery_seconds");
  record.distance_seconds = number_in(*found, "distance_seconds");
  record.restore_bytes_per_second = number_in(*found, "restore_bytes_per_second");
  record.replay_bytes_per_second = number_in(*found, "replay_bytes_per_second");
  return record;
}

void save_drill_record(const std::string& state_directory, const ClusterKey& cluster,
                       const DrillRecord& record) {
  Json all = load_all(state_directory);
  all["drills"][cluster.to_string()] = {
      {"status", record.cause.empty() ? "ok" : "failed"},
      {"cause", json_text(record.cause)},
      {"finished_at", to_utc_text(record.finished_at)},
      {"last_success_at", json_time(record.last_success_at)},
      {"recovery_seconds", json_number(record.recovery_seconds)},
      {"distance_seconds", json_number(record.distance_seconds)},
      {"restore_bytes_per_second", json_number(record.restore_bytes_per_second)},
      {"replay_bytes_per_second", json_number(record.replay_bytes_per_second)}};
  create_directories(state_directory);
  // A cause may quote what is no UTF-8.
  replace_file(path_in(state_directory),
               all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<double> estimate_seconds(const std::optional<DrillRecord>& record,
                                       const RecoveryPlan& plan, std::uint64_t segment_size) {
  if (!record || plan.backup == nullptr || !record->restore_bytes_per_second ||
      !record->replay_bytes_per_second || *record->restore_bytes_per_second <= 0 ||
      *record->replay_bytes_per_second <= 0) {
    return std::nullopt;
  }
  const auto wal_bytes = static_cast<double>(plan.segment_count * segment_size);
  return static_cast<double>(plan.backup->size_bytes) / *record->restore_bytes_per_second +
         wal_bytes / *record->replay_bytes_per_second;
}

}  // namespace pitr
