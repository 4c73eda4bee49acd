#include "io/rate_limit.h"

#include <limits>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

namespace pitr {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

}  // namespace

TEST_CASE("a rate of 0 limits nothing", "[io]") {
  RateLimit limit(0);
  const auto begin = Clock::now();
  for (int i = 0; i < 1000; ++i)
    limit.wait_for(std::numeric_limits<std::uint64_t>::max());
  CHECK(Clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("no more bytes pass than the rate allows", "[io]") {
  RateLimit limit(1'000'000);
  const auto begin = Clock::now();
  for (int i = 0; i < 10; ++i)
    limit.wait_for(10'000);
  CHECK(Clock::now() - begin >= milliseconds(100));
}

TEST_CASE("several threads together stay below the rate", "[io]") {
  RateLimit limit(1'000'000);
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round)
        limit.wait_for(5'000);
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(Clock::now() - begin >= milliseconds(100));
}

}  // namespace pitr
