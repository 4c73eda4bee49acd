// The one exception type of the programs.
//
// Throw an Error when a command cannot do what it was asked to do. An outcome the caller must
// expect, such as a segment that is not in the repository yet, is a return value instead.
#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace pitr {

// The kinds answer "what can be done?", not "where was it?".
enum class ErrorKind {
  kUsage,     // wrong command line or configuration: retrying cannot help
  kSystem,    // a file, the network or a server failed: the same call may succeed later
  kMismatch,  // the data belongs to another cluster, timeline or position
  kCorrupt,   // a checksum or format check failed
  kFinding,   // the question was answered, and the answer is bad (an unreachable target)
};

// Worded after PostgreSQL's error message style guide: `message` is one line in lower case without
// a period, `detail` adds facts in whole sentences, `hint` tells the operator what to do. `code` is
// a stable word for scripts (`restore_target_unreachable`); empty means the kind's own name.
struct ErrorReport {
  ErrorKind kind;
  std::string message;
  std::string detail = {};
  std::string hint = {};
  std::string code = {};
};

class Error : public std::exception {
 public:
  explicit Error(ErrorReport report);

  const char* what() const noexcept override { return report_.message.c_str(); }
  const ErrorReport& report() const { return report_; }

 private:
  ErrorReport report_;
};

// `code` of the report, or the word for its kind: usage, system, mismatch, corrupt, finding.
std::string error_code(const ErrorReport& report);

// Throws kSystem: `could not <action> "<path>": <text of errno_value>`.
[[noreturn]] void throw_file_error(std::string_view action, std::string_view path, int errno_value);

}  // namespace pitr
