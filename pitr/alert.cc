#include "pitr/alert.h"

#include <fmt/format.h>

#include "common/error.h"
#include "common/log.h"
#include "common/process.h"
#include "io/file.h"
#include "pitr/alert_command.h"
#include "pitr/json_output.h"

namespace pitr {

namespace {

// Problems by cluster: several may share a state directory.
Json parse_state(const std::string& text) {
  Json state = Json::parse(text, nullptr, false);
  const bool is_ours =
      state.is_object() && state.contains("clusters") && state["clusters"].is_object();
  return is_ours ? state : Json{{"format", 1}, {"clusters", Json::object()}};
}

Json problems_as_json(const ToldProblems& told) {
  Json problems = Json::object();
  for (const auto& [name, problem] : told) {
    problems[name] = {{"status", problem.status},
                      {"since", to_utc_text(problem.since)},
                      {"told_at", to_utc_text(problem.told_at)}};
  }
  return problems;
}

std::string alert_as_json(const Alert& alert, const Session& session, Instant at) {
  const auto identifier = local_system_identifier(session.config);
  const Json document = {
      {"format", 1},
      {"event", alert.event},
      {"cluster", session.config.cluster.name},
      {"system_identifier", identifier ? Json(std::to_string(*identifier)) : Json(nullptr)},
      {"host", ProcessIdentity::self().host},
      {"check", alert.result.name},
      {"status", alert.result.status},
      {"message", alert.result.message},
      {"since", to_utc_text(alert.since)},
      {"at", to_utc_text(at)}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::vector<Alert> choose_alerts(const ToldProblems& told, const std::vector<CheckResult>& results,
                                 std::chrono::milliseconds repeat, Instant at) {
  std::vector<Alert> alerts;
  for (const CheckResult& result : results) {
    const auto known = told.find(result.name);
    if (known == told.end()) {
      if (result.status != "ok") alerts.push_back({"problem", result, at});
      continue;
    }
    const ToldProblem& problem = known->second;
    if (result.status == "ok") {
      alerts.push_back({"over", result, problem.since});
    } else if (result.status != problem.status) {
      alerts.push_back({"problem", result, problem.since});
    } else if (at - problem.told_at >= repeat || at < problem.told_at) {  // or the clock jumped
      alerts.push_back({"reminder", result, problem.since});
    }
  }
  return alerts;
}

ToldProblems parse_told_problems(const std::string& text, const std::string& cluster) {
  ToldProblems told;
  const Json state = parse_state(text);
  const auto problems = state["clusters"].find(cluster);
  if (problems == state["clusters"].end() || !problems->is_object()) return told;
  for (const auto& [name, problem] : problems->items()) {
    const auto since = time_in(problem, "since");
    const auto told_at = time_in(problem, "told_at");
    if (!since || !told_at || !problem.contains("status") || !problem["status"].is_string()) {
      continue;
    }
    told[name] = {problem["status"].get<std::string>(), *since, *told_at};
  }
  return told;
}

void send_alerts(const Session& session, const std::vector<CheckResult>& results) {
  const Config& config = session.config;
  if (config.alert.command.empty()) return;
  const std::string path = config.state.directory + "/alerts.json";
  std::string text;
  try {
    try_read_whole_file(path, text);
  } catch (const Error& error) {
    log_warning(fmt::format("what was told of problems is not known: {}", error.what()));
  }
  ToldProblems told = parse_told_problems(text, config.cluster.name);
  const ToldProblems before = told;
  const Instant at = now();
  for (const Alert& alert : choose_alerts(told, results, config.alert.repeat, at)) {
    const std::string& name = alert.result.name;
    const AlertRun run = run_alert_command(config.alert.command, alert_as_json(alert, session, at),
                                           config.alert.timeout);
    if (!run.output.empty()) log_info(fmt::format("alert command: {}", run.output));
    if (!run.failure.empty()) {
      log_warning(fmt::format("the alert command was run for \"{}\" and {}", name, run.failure));
    } else if (alert.event == "over") {
      told.erase(name);
    } else {
      told[name] = {alert.result.status, alert.since, at};
    }
  }
  if (told == before) return;
  try {
    Json state = parse_state(text);
    state["clusters"][config.cluster.name] = problems_as_json(told);
    create_directories(config.state.directory);
    replace_file(path, state.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const Error& error) {
    log_warning(fmt::format("the next check will tell it again: {}", error.what()));
  }
}

}  // namespace pitr
