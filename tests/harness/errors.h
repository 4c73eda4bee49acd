// What a call threw.
#pragma once

#include <string>

#include <catch2/catch.hpp>

#include "common/error.h"

namespace pitr::testing {

// The report of the Error that `call` throws; the test fails when it throws none.
template <typename Call>
ErrorReport error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.report();
  }
  FAIL("no error was thrown");
  return {};
}

template <typename Call>
ErrorKind error_kind_of(Call&& call) {
  return error_of(call).kind;
}

// Everything that an operator reads of it.
inline std::string words(const ErrorReport& report) {
  return report.message + "\n" + report.detail + "\n" + report.hint;
}

}  // namespace pitr::testing

// So that a failed comparison prints the word, not "{?}".
template <>
struct Catch::StringMaker<pitr::ErrorKind> {
  static std::string convert(pitr::ErrorKind kind) {
    return pitr::error_code({.kind = kind, .message = ""});
  }
};
