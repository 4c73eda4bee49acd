#include "io/buffer_pool.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include <catch2/catch.hpp>

namespace pitr {

TEST_CASE("buffers are aligned to a page and hold what was asked for", "[io]") {
  BufferPool pool(3, 5000);
  std::vector<Buffer> buffers;
  for (int i = 0; i < 3; ++i) {
    buffers.push_back(pool.acquire());
    CHECK(reinterpret_cast<std::uintptr_t>(buffers.back().data()) % 4096 == 0);
    CHECK(buffers.back().capacity() == 5000);
    for (std::byte& byte : buffers.back().space())
      byte = static_cast<std::byte>(i);
    buffers.back().set_size(5000);
  }
  for (int i = 0; i < 3; ++i)
    CHECK(buffers[static_cast<std::size_t>(i)].bytes()[4999] == static_cast<std::byte>(i));
}

TEST_CASE("a pool that is empty lets its caller wait for a buffer", "[io]") {
  BufferPool pool(1, 100);
  Buffer only = pool.acquire();
  std::atomic<bool> acquired{false};
  std::thread waiting([&] {
    const Buffer buffer = pool.acquire();
    acquired = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK_FALSE(acquired);
  only = Buffer();
  waiting.join();
  CHECK(acquired);
}

TEST_CASE("a buffer that was moved from is empty, and is given back once", "[io]") {
  BufferPool pool(1, 100);
  Buffer first = pool.acquire();
  Buffer second = std::move(first);
  CHECK(second);
  second = Buffer();
  const Buffer again = pool.acquire();
  CHECK(again);
}

}  // namespace pitr
