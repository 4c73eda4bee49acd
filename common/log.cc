#include "common/log.h"

#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "common/time.h"

namespace pitr {

namespace {

LogLevel log_level = LogLevel::kInfo;
LogFormat log_format = LogFormat::kText;
LogSink log_sink = nullptr;

// How many bytes of the UTF-8 character at the front there are; 0 where there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const bool is_overlong_or_surrogate =
      (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
      (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F);
  return is_overlong_or_surrogate ? 0 : length;
}

std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const std::size_t length = utf8_length(text.substr(i));
    if (length != 1) {
      quoted += length == 0 ? "\\ufffd" : text.substr(i, length);
      i += length == 0 ? 0 : length - 1;
      continue;
    }
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// One write per line: lines of several processes on one stderr do not mix.
void print_line(const std::string& line) {
  (void)!std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string json_line(std::string_view level, const ErrorReport& report) {
  std::string line = fmt::format("{{\"time\": \"{}\", \"level\": \"{}\", \"message\": {}",
                                 to_utc_text(now()), level, json_string(report.message));
  if (!report.detail.empty()) line += ", \"detail\": " + json_string(report.detail);
  if (!report.hint.empty()) line += ", \"hint\": " + json_string(report.hint);
  return line + "}\n";
}

std::string text_line(std::string_view level, const ErrorReport& report) {
  std::string line = fmt::format("{}:  {}\n", level, report.message);
  if (!report.detail.empty()) line += fmt::format("DETAIL:  {}\n", report.detail);
  if (!report.hint.empty()) line += fmt::format("HINT:  {}\n", report.hint);
  return line;
}

void print_report(LogLevel level, std::string_view name, const ErrorReport& report) {
  if (level > log_level) return;
  if (log_sink != nullptr) {
    log_sink(level, report);
    return;
  }
  print_line(log_format == LogFormat::kJson ? json_line(name, report) : text_line(name, report));
}

void print_message(LogLevel level, std::string_view name, std::string_view message) {
  print_report(level, name, {.kind = ErrorKind::kSystem, .message = std::string(message)});
}

}  // namespace

void set_log(LogLevel level, LogFormat format) {
  log_level = level;
  log_format = format;
}

void set_log_sink(LogSink sink) { log_sink = sink; }

void log_error(const ErrorReport& report) { print_report(LogLevel::kError, "ERROR", report); }
void log_warning(std::string_view message) {
  print_message(LogLevel::kWarning, "WARNING", message);
}
void log_info(std::string_view message) { print_message(LogLevel::kInfo, "INFO", message); }
void log_debug(std::string_view message) { print_message(LogLevel::kDebug, "DEBUG", message); }

}  // namespace pitr
