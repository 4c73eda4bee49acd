#include "common/error.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace pitr {

Error::Error(ErrorReport report) : report_(std::move(report)) {}

std::string error_code(const ErrorReport& report) {
  if (!report.code.empty()) return report.code;
  switch (report.kind) {
    case ErrorKind::kUsage:
      return "usage";
    case ErrorKind::kSystem:
      return "system";
    case ErrorKind::kMismatch:
      return "mismatch";
    case ErrorKind::kCorrupt:
      return "corrupt";
    case ErrorKind::kFinding:
      return "finding";
  }
  return "internal";
}

void throw_file_error(std::string_view action, std::string_view path, int errno_value) {
  std::string hint;
  if (errno_value == ENOSPC || errno_value == EDQUOT) {
    hint = "Free space on that file system; nothing that was stored before is affected.";
  } else if (errno_value == EACCES || errno_value == EPERM) {
    hint = "Run as the owner of the data directory and check the permissions on the path.";
  }
  throw Error({
      .kind = ErrorKind::kSystem,
      .message = fmt::format("could not {} \"{}\": {}", action, path,
                             std::generic_category().message(errno_value)),
      .hint = std::move(hint),
  });
}

}  // namespace pitr
