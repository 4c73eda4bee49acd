// Warnings that the code under test writes would drown the report of the tests.
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // the listener's base class
#include <catch2/catch.hpp>

#include "common/log.h"

namespace {

struct QuietLog : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;

  void testRunStarting(const Catch::TestRunInfo& /*info*/) override {
    pitr::set_log(pitr::LogLevel::kError, pitr::LogFormat::kText);
  }
};

}  // namespace

CATCH_REGISTER_LISTENER(QuietLog)
