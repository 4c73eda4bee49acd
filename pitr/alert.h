// [alert] command: tells somebody about a problem that `pitr check` found, once, again after
// [alert] repeat, and once when it is over. What was told is remembered in alerts.json in the state
// directory.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pitr/session.h"
#include "pitr/thresholds.h"

namespace pitr {

// A problem that was told and is not over.
struct ToldProblem {
  std::string status;  // warning | failed
  Instant since;
  Instant told_at;

  bool operator==(const ToldProblem&) const = default;
};

using ToldProblems = std::map<std::string, ToldProblem>;  // by the check's name

struct Alert {
  std::string event;  // problem | reminder | over
  CheckResult result;
  Instant since;
};

// What is to be told now. A check that was not made says nothing of its problem. Pure.
std::vector<Alert> choose_alerts(const ToldProblems& told, const std::vector<CheckResult>& results,
                                 std::chrono::milliseconds repeat, Instant at);

// Of a text that is none of ours: nothing was told.
ToldProblems parse_told_problems(const std::string& text, const std::string& cluster);

// Runs the command for each alert, if there is one. Whatever fails is a warning, and told again by
// the next check.
void send_alerts(const Session& session, const std::vector<CheckResult>& results);

}  // namespace pitr
