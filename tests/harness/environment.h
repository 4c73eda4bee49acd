// Environment variables and stderr for the time of a test.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace pitr::testing {

// Sets a variable, or unsets it where `value` is nothing; the destructor puts back what was there.
class EnvironmentVariable {
 public:
  EnvironmentVariable(std::string name, const std::optional<std::string>& value);
  EnvironmentVariable(const EnvironmentVariable&) = delete;
  EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;
  EnvironmentVariable(EnvironmentVariable&&) = delete;
  EnvironmentVariable& operator=(EnvironmentVariable&&) = delete;
  ~EnvironmentVariable();

 private:
  void assign(const std::optional<std::string>& value) const;

  std::string name_;
  std::optional<std::string> previous_;
};

// What `call` writes to stderr.
std::string stderr_of(const std::function<void()>& call);

}  // namespace pitr::testing
