// Log lines on stderr, in PostgreSQL's wording (`WARNING:  …`) or as one JSON object per line.
// PostgreSQL's log collector keeps what archive_command and restore_command write there.
#pragma once

#include <string_view>

#include "common/error.h"

namespace pitr {

enum class LogLevel { kError, kWarning, kInfo, kDebug };
enum class LogFormat { kText, kJson };

// Set once, before any thread is started. Everything below may be called from any thread.
void set_log(LogLevel level, LogFormat format);

// Takes every line of the set level in stderr's place; from any thread, and throws nothing. Null:
// stderr again. Set as set_log().
using LogSink = void (*)(LogLevel level, const ErrorReport& report);
void set_log_sink(LogSink sink);

void log_error(const ErrorReport& report);
void log_warning(std::string_view message);
void log_info(std::string_view message);
void log_debug(std::string_view message);

}  // namespace pitr
