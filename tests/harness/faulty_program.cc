// Makes an operation of a whole program fail, for the scripts of tests/crash. From the environment:
//   FAULT         "short", the name of an error such as EIO, or "none"
//   FAULT_NUMBER  of the operation, see faulty_calls.h
//   FAULT_REPORT  the file that gets, at the end, the number of operations and whether it was met
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "harness/faulty_calls.h"

namespace pitr::testing {

namespace {

constexpr int kHighestError = 133;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Fault wanted_fault() {
  const std::string name = environment("FAULT");
  Fault fault{.number = std::strtoull(environment("FAULT_NUMBER").c_str(), nullptr, 10)};
  if (name == "short") {
    fault.kind = Fault::Kind::kShort;
    return fault;
  }
  for (int error = 1; error <= kHighestError; ++error) {
    const char* known = strerrorname_np(error);
    if (known != nullptr && name == known) fault.error = error;
  }
  if (fault.error == 0) fault.number = 0;  // never met, so that operations are only counted
  return fault;
}

class FaultOfProgram {
 public:
  FaultOfProgram() = default;
  FaultOfProgram(const FaultOfProgram&) = delete;
  FaultOfProgram& operator=(const FaultOfProgram&) = delete;
  FaultOfProgram(FaultOfProgram&&) = delete;
  FaultOfProgram& operator=(FaultOfProgram&&) = delete;
  ~FaultOfProgram() {
    std::FILE* report = std::fopen(environment("FAULT_REPORT").c_str(), "we");
    if (report == nullptr) return;
    std::fprintf(report, "%llu %s\n", static_cast<unsigned long long>(injection_.operations_seen()),
                 injection_.met() ? "met" : "unmet");
    (void)std::fclose(report);
  }

 private:
  FaultInjection injection_{wanted_fault()};
};

const FaultOfProgram fault_of_program;

}  // namespace

}  // namespace pitr::testing
