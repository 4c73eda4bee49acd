// Runs work on several threads and gives the results back in the order of submission.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <signal.h>

#include <pthread.h>

#include "common/log.h"

namespace pitr {

// `Task` carries its input and its output. One thread submits and takes. With one job everything
// runs in submit(), on the caller's thread: small work does not pay for threads.
template <typename Task>
class OrderedWorkers {
 public:
  // `work(task, worker)` is called on any worker, numbered from 0 to jobs - 1.
  OrderedWorkers(unsigned jobs, std::size_t capacity, std::function<void(Task&, unsigned)> work)
      : capacity_(capacity), work_(std::move(work)) {
    if (jobs > 1) start_threads(jobs);
  }
  OrderedWorkers(const OrderedWorkers&) = delete;
  OrderedWorkers& operator=(const OrderedWorkers&) = delete;
  OrderedWorkers(OrderedWorkers&&) = delete;
  OrderedWorkers& operator=(OrderedWorkers&&) = delete;

  ~OrderedWorkers() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    submitted_.notify_all();
    for (std::thread& thread : threads_)
      thread.join();
  }

  bool empty() const { return slots_.empty(); }
  bool full() const { return slots_.size() >= capacity_; }

  // The caller takes results before there are more than `capacity`.
  void submit(Task task) {
    auto slot = std::make_unique<Slot>();
    slot->task = std::move(task);
    if (threads_.empty()) {
      perform(*slot, 0);
      slots_.push_back(std::move(slot));
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(slot.get());
      slots_.push_back(std::move(slot));
    }
    submitted_.notify_one();
  }

  // The oldest task, when it is done. Throws what its work threw.
  Task take() {
    if (!threads_.empty()) {
      std::unique_lock lock(mutex_);
      finished_.wait(lock, [this] { return slots_.front()->done; });
    }
    const std::unique_ptr<Slot> slot = std::move(slots_.front());
    slots_.pop_front();
    if (slot->error) std::rethrow_exception(slot->error);
    return std::move(slot->task);
  }

 private:
  struct Slot {
    Task task;
    std::exception_ptr error;
    bool done = false;
  };

  // As many as the system grants: the work is done by fewer, too, or without any.
  void start_threads(unsigned jobs) {
    threads_.reserve(jobs);
    // A thread inherits what is blocked. Signals are the calling thread's, in the archive module
    // PostgreSQL's own, whose handlers must run nowhere else.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      for (unsigned worker = 0; worker < jobs; ++worker) {
        threads_.emplace_back([this, worker] { run(worker); });
      }
    } catch (const std::exception&) {
      log_debug("not all threads could be started");
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void perform(Slot& slot, unsigned worker) {
    try {
      work_(slot.task, worker);
    } catch (...) {
      slot.error = std::current_exception();
    }
  }

  void run(unsigned worker) {
    std::unique_lock lock(mutex_);
    while (true) {
      submitted_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      Slot* slot = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      perform(*slot, worker);
      lock.lock();
      slot->done = true;
      finished_.notify_one();
    }
  }

  std::size_t capacity_;
  std::function<void(Task&, unsigned)> work_;
  std::mutex mutex_;
  std::condition_variable submitted_;
  std::condition_variable finished_;
  bool stopping_ = false;
  std::deque<Slot*> waiting_;
  std::deque<std::unique_ptr<Slot>> slots_;  // touched by the submitting thread only
  std::vector<std::thread> threads_;
};

}  // namespace pitr
