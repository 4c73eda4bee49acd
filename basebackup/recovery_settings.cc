#include "basebackup/recovery_settings.h"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

namespace pitr {

namespace {

constexpr std::string_view kWordCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=+-";

// The setting that a line of the file assigns, in lower case; empty for any other line.
std::string setting_of(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  std::string name;
  for (const char c : line.substr(begin)) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '.') break;
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return name;
}

bool concerns_recovery(const std::string& setting) {
  return setting.starts_with("recovery_") || setting == "restore_command" ||
         setting == "archive_cleanup_command";
}

std::string line(std::string_view name, std::string_view value) {
  return fmt::format("{} = {}\n", name, quote_for_file(value));
}

// 2026-11-22 10:00:00.123456+00, with an explicit zone.
std::string postgres_time(Instant instant) {
  std::string text = to_utc_text(instant);
  text[text.find('T')] = ' ';
  text.pop_back();
  return text.append("+00");
}

std::pair<std::string_view, std::string> target_setting(const RecoveryTarget& target) {
  switch (target.kind) {
    case RecoveryTarget::Kind::kTime:
      return {"recovery_target_time", postgres_time(target.time)};
    case RecoveryTarget::Kind::kLsn:
      return {"recovery_target_lsn", format_lsn(target.lsn)};
    case RecoveryTarget::Kind::kXid:
      return {"recovery_target_xid", std::to_string(static_cast<std::uint32_t>(target.xid))};
    case RecoveryTarget::Kind::kName:
      return {"recovery_target_name", target.name};
    case RecoveryTarget::Kind::kImmediate:
      return {"recovery_target", "immediate"};
    case RecoveryTarget::Kind::kEnd:
      break;
  }
  return {};
}

}  // namespace

std::string quote_for_shell(std::string_view word) {
  if (!word.empty() && word.find_first_not_of(kWordCharacters) == std::string_view::npos) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted.append(1, '\'');
}

std::string quote_for_file(std::string_view value) {
  std::string quoted = "'";
  for (const char c : value) {
    if (c == '\'') {
      quoted += "''";
    } else if (c == '\\') {
      quoted += "\\\\";
    } else if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted.append(1, '\'');
}

std::string make_restore_command(const std::string& program,
                                 const std::vector<std::string>& arguments) {
  std::string command = quote_for_shell(program);
  for (const std::string& argument : arguments) {
    command.append(1, ' ').append(quote_for_shell(argument));
  }
  std::string doubled;
  for (const char c : command)
    doubled += c == '%' ? std::string("%%") : std::string(1, c);
  return doubled + " %f %p";
}

std::string merge_recovery_settings(std::string_view existing, const RecoverySettings& settings) {
  std::string merged;
  while (!existing.empty()) {
    const std::string_view text = existing.substr(0, existing.find('\n'));
    if (!concerns_recovery(setting_of(text))) merged += fmt::format("{}\n", text);
    existing.remove_prefix(std::min(text.size() + 1, existing.size()));
  }

  merged += "# Written by pitr restore.\n";
  merged += line("restore_command", settings.restore_command);
  merged += line("archive_cleanup_command", "");
  merged += line("recovery_end_command", "");
  const auto [name, value] = target_setting(settings.target);
  for (const std::string_view target :
       {"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
        "recovery_target_xid"}) {
    if (target != name) merged += line(target, "");
  }
  merged += line("recovery_target_timeline",
                 settings.timeline == 0 ? "latest" : std::to_string(settings.timeline));
  if (settings.turn_archiving_off) merged += line("archive_mode", "off");
  for (const auto& [key, text] : settings.extra)
    merged += line(key, text);
  if (!name.empty()) {
    merged += line("recovery_target_action", settings.action);
    merged += line("recovery_target_inclusive", settings.target.inclusive ? "on" : "off");
    merged += line(name, value);
  }
  return merged;
}

}  // namespace pitr
