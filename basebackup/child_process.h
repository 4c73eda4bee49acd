// Programs of PostgreSQL that we start and that must not outlive us.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace pitr {

// Called several times a second by whoever waits; what it throws ends the waiting.
using Watch = std::function<void()>;

// One program in a session of its own. Used by one thread, the one that has started it.
class ChildProcess {
 public:
  // `arguments` begin with the program's path. What it prints is added to the file. It gets
  // `signal_with_us` when we die, however that happens. Throws kSystem when it cannot be started.
  ChildProcess(const std::vector<std::string>& arguments, const std::string& output_path,
               int signal_with_us);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ChildProcess(ChildProcess&&) = delete;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  // kills what still runs

  bool is_running();
  // Of wait(2), once it does not run any more.
  int wait_status() const { return wait_status_; }
  void send(int signal) const;
  // False when it still runs after so many milliseconds.
  bool wait_for_end(int timeout_ms);

 private:
  pid_t pid_ = -1;
  bool running_ = false;
  int wait_status_ = 0;
};

// Runs a program to its end. Nothing when it took longer than so many milliseconds and was killed.
std::optional<int> run_program(const std::vector<std::string>& arguments,
                               const std::string& output_path, std::int64_t timeout_ms,
                               const Watch& watch);

// "exit status 3", "signal 6"
std::string describe_wait_status(int status);

// From here on a process that loses its parent among our descendants becomes our child …
void adopt_orphans();
// … and all our children are killed and waited for: whatever they had started goes, too.
void kill_all_children();

}  // namespace pitr
