#include "archive_cmd/module/boundary.h"

#include <deque>
#include <mutex>
#include <new>
#include <vector>

#include "archive_cmd/archive_call.h"
#include "common/exit_status.h"
#include "common/log.h"
#include "common/run_command.h"

namespace pitr {

namespace {

// Of one call. A text without room for it is lost, never a call.
struct Messages {
  std::mutex mutex;
  std::deque<std::pair<LogLevel, ErrorReport>> texts;
  std::vector<pitr_message> shown;
};

Messages& messages() {
  static Messages all;
  return all;
}

pitr_level level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return PITR_LEVEL_ERROR;
    case LogLevel::kWarning:
      return PITR_LEVEL_WARNING;
    case LogLevel::kInfo:
      return PITR_LEVEL_INFO;
    case LogLevel::kDebug:
      return PITR_LEVEL_DEBUG;
  }
  return PITR_LEVEL_ERROR;
}

void keep(LogLevel level, const ErrorReport& report) {
  Messages& all = messages();
  const std::lock_guard lock(all.mutex);
  try {
    all.texts.emplace_back(level, report);
  } catch (const std::bad_alloc&) {
    return;
  }
}

void show() {
  Messages& all = messages();
  all.shown.reserve(all.texts.size());
  for (const auto& [level, report] : all.texts) {
    all.shown.push_back({.level = level_of(level),
                         .message = report.message.c_str(),
                         .detail = report.detail.c_str(),
                         .hint = report.hint.c_str()});
  }
}

// Exceptions end in run_command(), but for one that says what it cannot keep.
template <typename Work>
bool guarded(const pitr_settings& settings, const Work& work) noexcept {
  try {
    messages().shown.clear();
    messages().texts.clear();
    set_log(settings.debug ? LogLevel::kDebug : LogLevel::kInfo, LogFormat::kText);
    set_log_sink(keep);
    const int status = run_command([](const ErrorReport&) { return kFailure; },
                                   [&] {
                                     work();
                                     return kSuccess;
                                   });
    show();
    return status == kSuccess;
  } catch (...) {
    return false;
  }
}

}  // namespace

}  // namespace pitr

bool pitr_is_configured(const pitr_settings* settings) {
  return pitr::guarded(*settings, [&] {
    pitr::load_call_config({.config_path = settings->config, .cluster = settings->cluster});
  });
}

bool pitr_archive(const pitr_settings* settings, const char* path) {
  return pitr::guarded(*settings, [&] {
    pitr::run_archive_call(
        {.config_path = settings->config, .cluster = settings->cluster, .path = path});
  });
}

size_t pitr_messages(const pitr_message** messages) {
  *messages = pitr::messages().shown.data();
  return pitr::messages().shown.size();
}
