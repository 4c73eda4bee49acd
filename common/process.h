// Who a process is, and whether it still lives: written into lock files and temporary names, so
// that what a dead process left behind can be told from what a living one holds. And its priority.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pitr {

struct ProcessIdentity {
  std::string host;
  std::uint64_t pid_namespace =
      0;  // inode of /proc/self/ns/pid: two containers may share a host name
  std::int64_t pid = 0;
  // Clock ticks between the host's start and its own: numbers of processes come again. 0: not
  // known.
  std::uint64_t started = 0;
  // Of the machine-id, or of the boot where there is none: hosts may share a name, and the first
  // namespace of each has the same inode. Empty: not known.
  std::string machine;

  static ProcessIdentity self();

  // `host.namespace.pid-started-machine`, the form used in temporary names; parse() reads it back.
  std::string to_string() const;
  static std::optional<ProcessIdentity> parse(std::string_view text);

  // Whether this process can say if that one lives.
  bool is_of_this_host() const;

  // True only when the process was one of this host and namespace and is gone.
  bool is_dead() const;
};

// The processor and the disk go to others first, from here on and for threads started after. What
// the system refuses is left as it is.
void lower_priority();

}  // namespace pitr
