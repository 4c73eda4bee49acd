#include "pitr/progress.h"

#include <cstdio>

#include <unistd.h>

#include <fmt/format.h>

#include "common/log.h"
#include "common/units.h"

namespace pitr {

namespace {

constexpr std::chrono::milliseconds kTerminalInterval{200};
constexpr std::chrono::seconds kLineInterval{30};

}  // namespace

Progress::Progress(std::string what, std::uint64_t total_bytes)
    : what_(std::move(what)),
      total_bytes_(total_bytes),
      on_terminal_(isatty(STDERR_FILENO) == 1),
      shown_(started_) {}

Progress::~Progress() {
  if (line_open_) fmt::print(stderr, "\r\x1b[K");
}

void Progress::show(std::uint64_t bytes_done) {
  const auto now = Clock::now();
  if (now - shown_ < (on_terminal_ ? Clock::duration(kTerminalInterval) : kLineInterval)) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - started_).count();
  const double rate = static_cast<double>(bytes_done) / seconds;
  std::string text = fmt::format("{}: {}", what_, format_bytes(bytes_done));
  if (total_bytes_ > 0) text += fmt::format(" of {}", format_bytes(total_bytes_));
  text += fmt::format(", {}/s", format_bytes(static_cast<std::uint64_t>(rate)));
  if (total_bytes_ > bytes_done && rate > 0) {
    const double left = static_cast<double>(total_bytes_ - bytes_done) / rate;
    text += fmt::format(", {:.0f} s left", left);
  }
  if (on_terminal_) {
    fmt::print(stderr, "\r\x1b[K{}", text);
    line_open_ = true;
  } else {
    log_info(text);
  }
}

}  // namespace pitr
