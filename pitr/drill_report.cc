#include "pitr/drill_report.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/units.h"

namespace pitr {

namespace {

using Status = DrillCheckResult::Status;

const char* word_for(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kFailed:
      return "failed";
    case Status::kNotChecked:
      break;
  }
  return "not_checked";
}

std::string in_words(Status status) {
  return status == Status::kNotChecked ? "not checked" : word_for(status);
}

// "0.42 s", "12.3 s", "3 min 5 s", "2 h 10 min"
std::string duration_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
  return fmt::format("{} d {} h", whole / 86'400, whole / 3600 % 24);
}

std::string duration_text(const std::optional<double>& seconds) {
  return seconds ? duration_text(std::max(0.0, *seconds)) : "not known";
}

std::string rate_text(std::uint64_t bytes, std::optional<double> per_second) {
  std::string text = format_bytes(bytes);
  if (per_second) {
    text += fmt::format(" at {}/s", format_bytes(static_cast<std::uint64_t>(*per_second)));
  }
  return text;
}

Json json_number(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

Json json_number(const std::optional<std::uint64_t>& number) {
  return number ? Json(*number) : Json(nullptr);
}

std::optional<double> rate_of(const DrillReport& report, const std::string& phase,
                              const std::optional<std::uint64_t>& bytes) {
  for (const DrillPhase& done : report.phases) {
    if (done.name == phase && bytes && *bytes > 0 && done.seconds > 0) {
      return static_cast<double>(*bytes) / done.seconds;
    }
  }
  return std::nullopt;
}

// Rows of what is known, for text and page.
std::vector<std::pair<std::string, std::string>> facts_of(const DrillReport& report) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"cluster", fmt::format("{}, system identifier {}, PostgreSQL {}", report.cluster,
                              report.system_identifier, report.postgres_version)},
      {"host", report.host},
      {"begun", to_local_text(report.started_at)},
      {"target", report.target}};
  if (!report.backup.empty()) facts.emplace_back("base backup", report.backup);
  if (report.stopped_at) {
    facts.emplace_back("stopped", fmt::format("at {}{}", format_lsn(*report.stopped_at),
                                              report.promoted ? ", then promoted" : ""));
  }
  if (report.last_transaction_at) {
    facts.emplace_back("last replayed", to_local_text(*report.last_transaction_at));
  }
  if (report.last_commit_at) {
    facts.emplace_back("last commit", to_local_text(*report.last_commit_at) +
                                          (report.distance_seconds
                                               ? fmt::format(", {} before the target",
                                                             duration_text(report.distance_seconds))
                                               : std::string()));
  }
  if (report.restored_bytes) {
    facts.emplace_back("restored",
                       rate_text(*report.restored_bytes, restore_bytes_per_second(report)));
  }
  if (report.replayed_bytes) {
    facts.emplace_back(
        "replayed", rate_text(*report.replayed_bytes, replay_bytes_per_second(report)) + " of WAL");
  }
  if (!report.kept_directory.empty()) facts.emplace_back("kept", report.kept_directory);
  return facts;
}

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        // What no page may hold.
        escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return escaped;
}

std::string chart_of(const DrillReport& report) {
  constexpr double kLabels = 110;
  constexpr double kBars = 380;
  constexpr double kNumbers = 110;
  constexpr double kRow = 30;
  const double total = std::max(total_seconds(report), 1e-9);
  const double height = kRow * static_cast<double>(report.phases.size()) + 6;
  std::string svg =
      fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Seconds by phase\">\n",
                  kLabels + kBars + kNumbers, height);
  double begin = 0;
  double y = 4;
  for (const DrillPhase& phase : report.phases) {
    const double width = std::max(2.0, kBars * phase.seconds / total);
    const double x = std::min(kLabels + kBars * begin / total, kLabels + kBars - width);
    svg += fmt::format(
        "<text x=\"0\" y=\"{:.0f}\">{}</text>"
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.0f}\" width=\"{:.1f}\" height=\"20\" rx=\"3\">"
        "<title>{}: {}</title></rect>"
        "<text class=\"number\" x=\"{:.0f}\" y=\"{:.0f}\">{}</text>\n",
        y + 15, escape(phase.name), phase.is_recovery ? "recovery" : "proof", x, y, width,
        escape(phase.name), duration_text(phase.seconds), kLabels + kBars + kNumbers, y + 15,
        duration_text(phase.seconds));
    begin += phase.seconds;
    y += kRow;
  }
  return svg + "</svg>\n";
}

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0;
  --recovery: #2f6fbf; --proof: #9a9fa6; --good: #1a7f37; --bad: #c5222d; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e9ec; --soft: #9aa4ae;
  --line: #353b42; --recovery: #6aa5ec; --proof: #767d85; --good: #4cc366; --bad: #ff7b78; } }
body { margin: 0 auto; padding: 1rem; max-width: 44rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: .5rem 0; } h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem; }
.verdict { border-left: .4rem solid var(--good); padding: .5rem .8rem; margin: 1rem 0; }
.verdict.bad { border-color: var(--bad); }
.verdict b { color: var(--good); } .verdict.bad b, .failed { color: var(--bad); }
.ok { color: var(--good); } .not_checked, th { color: var(--soft); }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.numbers div { flex: 1 1 9rem; } .numbers b { display: block; font-size: 1.5rem; }
.numbers span, .legend { color: var(--soft); font-size: .9rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid var(--line); }
th { font-weight: normal; }
svg { width: 100%; height: auto; font: 15px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .number { text-anchor: end; fill: var(--soft); }
svg .recovery, .legend i.recovery { fill: var(--recovery); background: var(--recovery); }
svg .proof, .legend i.proof { fill: var(--proof); background: var(--proof); }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; }
pre { white-space: pre-wrap; font-size: .85rem; color: var(--soft); }
)";

std::string checks_as_html(const DrillReport& report) {
  if (report.checks.empty()) return {};
  std::string html = "<h2>Checks</h2>\n<table>\n";
  for (const DrillCheckResult& check : report.checks) {
    html += fmt::format("<tr><td>{}{}</td><td class=\"{}\">{}</td><td>{}</td></tr>\n",
                        escape(check.name),
                        check.database.empty() ? "" : escape(fmt::format(" in {}", check.database)),
                        word_for(check.status), in_words(check.status), escape(check.message));
  }
  return html + "</table>\n";
}

}  // namespace

std::string why_elsewhere(const RecoveryPlan& plan, Lsn replayed_to, std::uint64_t segment_size) {
  const auto off = [&](const std::string& why) {
    return fmt::format("recovery stopped at {}, and not where it was planned: {}",
                       format_lsn(replayed_to), why);
  };
  if (replayed_to < plan.backup->stop_lsn) {
    return off(fmt::format("the backup ends at {}", format_lsn(plan.backup->stop_lsn)));
  }
  if (plan.commit_before && plan.commit_before->start >= replayed_to) {
    return off(fmt::format("the commit at {} is missing", format_lsn(plan.commit_before->start)));
  }
  if (plan.commit_after && plan.commit_after->start < replayed_to) {
    return off(
        fmt::format("it went beyond the commit at {}", format_lsn(plan.commit_after->start)));
  }
  const RecoveryTarget& written = plan.written;
  if (written.kind == RecoveryTarget::Kind::kLsn &&
      written.inclusive != (replayed_to > written.lsn)) {
    return off(fmt::format("the target is {} {}", written.inclusive ? "after" : "before",
                           format_lsn(written.lsn)));
  }
  if (plan.stop.kind == PlannedStop::Kind::kEndOfWal) {
    // The record that ends a segment early counts to the end of the segment.
    const Lsn end = (plan.stop.lsn + segment_size - 1) / segment_size * segment_size;
    if (replayed_to > end) {
      return off(fmt::format("the archived WAL ended at {}", format_lsn(plan.stop.lsn)));
    }
  }
  return {};
}

std::optional<double> recovery_seconds(const DrillReport& report) {
  if (!report.stopped_at) return std::nullopt;
  double sum = 0;
  for (const DrillPhase& phase : report.phases)
    sum += phase.is_recovery ? phase.seconds : 0;
  return sum;
}

double total_seconds(const DrillReport& report) {
  double sum = 0;
  for (const DrillPhase& phase : report.phases)
    sum += phase.seconds;
  return sum;
}

std::optional<double> restore_bytes_per_second(const DrillReport& report) {
  return rate_of(report, "restore", report.restored_bytes);
}

std::optional<double> replay_bytes_per_second(const DrillReport& report) {
  return rate_of(report, "replay", report.replayed_bytes);
}

std::string drill_as_text(const DrillReport& report) {
  std::string text = report.cause.empty()
                         ? "The rehearsal is good.\n"
                         : fmt::format("The rehearsal failed: {}.\n", report.cause);
  for (const auto& [name, value] : facts_of(report))
    text += fmt::format("{:<14} {}\n", name, value);
  text +=
      fmt::format("{:<14} {}, {} with all checks\n", "recovery took",
                  duration_text(recovery_seconds(report)), duration_text(total_seconds(report)));
  for (const DrillPhase& phase : report.phases)
    text += fmt::format("  {:<14} {:>10}\n", phase.name, duration_text(phase.seconds));
  if (!report.checks.empty()) text += "checks\n";
  for (const DrillCheckResult& check : report.checks) {
    text += fmt::format("  {:<12} {}{}{}\n", in_words(check.status), check.name,
                        check.database.empty() ? "" : fmt::format(" in \"{}\"", check.database),
                        check.message.empty() ? "" : ": " + check.message);
  }
  return text;
}

Json drill_as_json(const DrillReport& report) {
  Json phases = Json::array();
  for (const DrillPhase& phase : report.phases) {
    phases.push_back(
        {{"name", phase.name}, {"seconds", phase.seconds}, {"is_recovery", phase.is_recovery}});
  }
  Json checks = Json::array();
  for (const DrillCheckResult& check : report.checks) {
    checks.push_back({{"name", check.name},
                      {"database", json_text(check.database)},
                      {"status", word_for(check.status)},
                      {"message", json_text(check.message)}});
  }
  const bool stopped = report.stopped_at.has_value();
  return {{"format", 1},
          {"status", report.cause.empty() ? "ok" : "failed"},
          {"cause", json_text(report.cause)},
          {"cluster", report.cluster},
          {"system_identifier", report.system_identifier},
          {"postgres_version", report.postgres_version},
          {"host", report.host},
          {"started_at", to_utc_text(report.started_at)},
          {"finished_at", to_utc_text(report.finished_at)},
          {"plan", report.plan},
          {"stopped_at", stopped ? Json{{"lsn", json_lsn(*report.stopped_at)},
                                        {"time", json_time(report.last_transaction_at)}}
                                 : Json(nullptr)},
          {"promoted", report.promoted},
          {"last_commit_at", json_time(report.last_commit_at)},
          {"distance_seconds", json_number(report.distance_seconds)},
          {"recovery_seconds", json_number(recovery_seconds(report))},
          {"total_seconds", total_seconds(report)},
          {"phases", phases},
          {"restored_bytes", json_number(report.restored_bytes)},
          {"restore_bytes_per_second", json_number(restore_bytes_per_second(report))},
          {"replayed_bytes", json_number(report.replayed_bytes)},
          {"replay_bytes_per_second", json_number(replay_bytes_per_second(report))},
          {"checks", checks},
          {"directory", json_text(report.kept_directory)}};
}

std::string drill_as_html(const DrillReport& report) {
  const bool good = report.cause.empty();
  const std::string title =
      fmt::format("pitr drill: {}, {}", report.cluster, good ? "good" : "failed");
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n"
      "<h1>Rehearsal of a recovery: {}</h1>\n",
      escape(title), kStyle, escape(report.cluster));
  html += fmt::format(
      "<p class=\"verdict{}\"><b>{}</b>{}</p>\n", good ? "" : " bad",
      good ? "Good." : "Failed:", good ? "" : fmt::format(" {}.", escape(report.cause)));
  html += fmt::format(
      "<div class=\"numbers\"><div><b>{}</b><span>time to recover</span></div>"
      "<div><b>{}</b><span>from the last commit to the target</span></div>"
      "<div><b>{}</b><span>with all checks</span></div></div>\n",
      duration_text(recovery_seconds(report)), duration_text(report.distance_seconds),
      duration_text(total_seconds(report)));
  if (!report.phases.empty()) {
    html += "<h2>Phases</h2>\n" + chart_of(report) +
            "<p class=\"legend\"><i class=\"recovery\"></i> a real recovery takes this, too; "
            "<i class=\"proof\"></i> the proof</p>\n";
  }
  html += "<h2>Facts</h2>\n<table>\n";
  for (const auto& [name, value] : facts_of(report)) {
    html +=
        fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(name), escape(value));
  }
  html += "</table>\n" + checks_as_html(report);
  if (!report.plan_text.empty())
    html += "<h2>Plan</h2>\n<pre>" + escape(report.plan_text) + "</pre>\n";
  return html + "</body>\n</html>\n";
}

}  // namespace pitr
