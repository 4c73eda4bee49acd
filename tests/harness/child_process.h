// Processes that live for the length of a test.
#pragma once

#include <cstdint>
#include <functional>

namespace pitr::testing {

// Runs `call` in a process of its own, so that an abort() ends that one only. True when it
// returned; false when it threw, was killed or aborted.
bool returns_in_child(const std::function<void()>& call);

// The number of a process that has ended and was waited for: nobody has it now.
std::int64_t dead_process();

}  // namespace pitr::testing
