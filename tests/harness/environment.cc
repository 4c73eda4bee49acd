#include "harness/environment.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

#include "common/bytes.h"
#include "harness/temporary_directory.h"

namespace pitr::testing {

EnvironmentVariable::EnvironmentVariable(std::string name, const std::optional<std::string>& value)
    : name_(std::move(name)) {
  if (const char* present = std::getenv(name_.c_str())) previous_ = present;
  assign(value);
}

EnvironmentVariable::~EnvironmentVariable() { assign(previous_); }

void EnvironmentVariable::assign(const std::optional<std::string>& value) const {
  if (value) {
    setenv(name_.c_str(), value->c_str(), 1);
  } else {
    unsetenv(name_.c_str());
  }
  if (name_ == "TZ") tzset();
}

std::string stderr_of(const std::function<void()>& call) {
  const TemporaryDirectory directory;
  const std::string path = directory / "stderr";
  std::fflush(stderr);
  const int kept = dup(STDERR_FILENO);
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  dup2(file, STDERR_FILENO);
  close(file);
  call();
  std::fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  return std::string(as_text(read_file(path)));
}

}  // namespace pitr::testing
