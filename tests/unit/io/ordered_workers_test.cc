#include "io/ordered_workers.h"

#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>

#include <signal.h>

#include <catch2/catch.hpp>
#include <pthread.h>

namespace pitr {

namespace {

struct Task {
  int number = 0;
  int result = 0;
  std::thread::id thread = {};
};

void square(Task& task, unsigned /*worker*/) {
  // The even ones take longer, so that later tasks are done first.
  if (task.number % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  task.result = task.number * task.number;
  task.thread = std::this_thread::get_id();
}

// While it exists no thread can be started: there is no room for its stack.
class NoThreads {
 public:
  NoThreads() {
    REQUIRE(pthread_getattr_default_np(&usual_) == 0);
    pthread_attr_t huge;
    REQUIRE(pthread_attr_init(&huge) == 0);
    REQUIRE(pthread_attr_setstacksize(&huge, std::size_t{1} << 50) == 0);
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    pthread_attr_destroy(&huge);
  }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
  NoThreads(NoThreads&&) = delete;
  NoThreads& operator=(NoThreads&&) = delete;
  ~NoThreads() {
    pthread_setattr_default_np(&usual_);
    pthread_attr_destroy(&usual_);
  }

 private:
  pthread_attr_t usual_{};
};

}  // namespace

TEST_CASE("results come in the order of submission", "[io]") {
  const unsigned jobs = GENERATE(1U, 2U, 4U);
  CAPTURE(jobs);
  OrderedWorkers<Task> workers(jobs, 8, square);
  int taken = 0;
  const auto take = [&] {
    const Task task = workers.take();
    CHECK(task.number == taken);
    CHECK(task.result == taken * taken);
    ++taken;
  };
  for (int i = 0; i < 300; ++i) {
    if (workers.full()) take();
    workers.submit({.number = i});
  }
  while (!workers.empty())
    take();
  CHECK(taken == 300);
}

TEST_CASE("one job runs on the caller's thread", "[io]") {
  OrderedWorkers<Task> workers(1, 2, square);
  workers.submit({.number = 3});
  CHECK(workers.take().thread == std::this_thread::get_id());
}

TEST_CASE("jobs for which no thread can be started run on the caller's", "[io]") {
  const NoThreads no_threads;
  OrderedWorkers<Task> workers(4, 8, square);
  workers.submit({.number = 3});
  const Task task = workers.take();
  CHECK(task.result == 9);
  CHECK(task.thread == std::this_thread::get_id());
}

TEST_CASE("several jobs run beside the caller, each with its own number", "[io]") {
  std::atomic<unsigned> highest{0};
  std::atomic<bool> overlapped{false};
  std::array<std::atomic<bool>, 3> busy{};
  OrderedWorkers<Task> workers(3, 30, [&](Task& task, unsigned worker) {
    if (busy.at(worker).exchange(true)) overlapped = true;
    for (unsigned seen = highest; worker > seen && !highest.compare_exchange_weak(seen, worker);) {
    }
    square(task, worker);
    busy.at(worker) = false;
  });
  for (int i = 0; i < 30; ++i)
    workers.submit({.number = i});
  while (!workers.empty())
    CHECK(workers.take().thread != std::this_thread::get_id());
  CHECK(highest < 3);
  CHECK_FALSE(overlapped);
}

TEST_CASE("what a task throws arrives where its result was to be taken", "[io]") {
  const unsigned jobs = GENERATE(1U, 2U, 4U);
  CAPTURE(jobs);
  OrderedWorkers<Task> workers(jobs, 4, [](Task& task, unsigned) {
    if (task.number == 1) throw std::runtime_error("one");
    task.result = 7;
  });
  for (int i = 0; i < 3; ++i)
    workers.submit({.number = i});
  CHECK(workers.take().result == 7);
  CHECK_THROWS_WITH(workers.take(), "one");
  CHECK(workers.take().result == 7);
  CHECK(workers.empty());
}

TEST_CASE("workers may be destroyed with results not taken", "[io]") {
  const unsigned jobs = GENERATE(1U, 4U);
  std::atomic<int> running{0};
  {
    OrderedWorkers<Task> workers(jobs, 100, [&](Task& task, unsigned worker) {
      ++running;
      square(task, worker);
      --running;
    });
    for (int i = 0; i < 100; ++i)
      workers.submit({.number = i});
  }
  CHECK(running == 0);
}

TEST_CASE("workers are full at their capacity", "[io]") {
  OrderedWorkers<Task> workers(2, 2, square);
  CHECK(workers.empty());
  workers.submit({});
  CHECK_FALSE(workers.full());
  workers.submit({});
  CHECK(workers.full());
  workers.take();
  CHECK_FALSE(workers.full());
}

TEST_CASE("workers take no signals, and the calling thread takes them as before", "[io]") {
  struct Asked {
    bool blocked = false;
  };
  OrderedWorkers<Asked> workers(2, 8, [](Asked& asked, unsigned /*worker*/) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    asked.blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1;
  });
  workers.submit({});
  CHECK(workers.take().blocked);
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  CHECK(sigismember(&mine, SIGTERM) == 0);
}

}  // namespace pitr
