// pg_wal/pitr.prefetch/: where segments wait that recovery has not asked for yet.
//
//   <segment>.<cluster>.<repository>   a segment, whole and verified
//   <…>.tmp                            one that is being written
//   state                              who each segment's file is; locked as long as the prefetcher
//   lives request                            what recovery asked for last
//
// A file counts only as what the state file says about it: the inode with the size, modification
// and change time that it had when it was verified, under a checksum that no other repository,
// cluster or run of the server shares. What was written to, cut, swapped or put there by anybody
// else since is not it. Nothing here grows with the number of files that wait.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/stat.h>

#include "common/config.h"
#include "io/file.h"
#include "storage/repository_layout.h"
#include "wal/file_name.h"

namespace pitr {

// Whose the files are: two restores never mix.
struct PrefetchOwner {
  std::string repository_url;
  ClusterKey cluster;
  SegmentSize segment_size = 0;
  std::string server;  // see server_of_data_directory()

  std::uint64_t hash() const;
};

// This run of the server whose data directory is the working directory: the first lines of
// postmaster.pid, process and start time among them. Empty where no server runs.
std::string server_of_data_directory();

struct PrefetchRequest {
  SegmentName segment;               // asked for last; timeline 0: none yet
  TimelineId recovery_timeline = 0;  // the newest whose history file it got; 0: none
  std::uint64_t count = 0;           // of requests so far
};

// Not thread-safe. A call and the prefetcher use it at the same time. Errors are kSystem.
class PrefetchFolder {
 public:
  // The folder beside `destination`; nothing is created.
  PrefetchFolder(const std::string& destination, const PrefetchOwner& owner);

  const std::string& path() const { return path_; }
  std::string request_path() const { return path_ + "/request"; }

  // Whether a prefetcher lives here, of whichever owner.
  bool is_served();

  // For a call. Hands the segment over by rename; false: it does not wait here.
  bool take(const SegmentName& segment, const std::string& destination);
  void note(const SegmentName& segment);
  void note_recovery_timeline(TimelineId timeline);

  // Makes the folder ours and empty, and locks it, for as long as this object or a copy of its
  // descriptor lives. False: somebody else's.
  bool take_over();
  // Removes what a killed prefetcher has left, if there is something.
  void remove_abandoned();

  // For the prefetcher.
  PrefetchRequest request() const;
  bool is_in_place() const;  // the folder is there still, and ours
  File create_temporary(const SegmentName& segment) const;
  void publish(const SegmentName& segment, File& temporary) const;
  void withdraw(const SegmentName& segment) const;  // whether it is there or not
  void remove();
  int lock_descriptor() const { return state_.descriptor(); }

 private:
  std::string state_path() const { return path_ + "/state"; }
  std::string file_path(const SegmentName& segment) const;
  std::uint64_t slot_offset(const SegmentName& segment) const;
  std::vector<std::byte> slot_of(const SegmentName& segment, const struct stat& status) const;
  enum class Lock { kNoFile, kOurs, kHeld };
  Lock lock(int flags);
  void empty() const;
  void write_request(PrefetchRequest request) const;

  std::string path_;
  SegmentSize segment_size_;
  std::string suffix_;  // of a segment's file: cluster and repository
  std::uint64_t seed_;  // of every checksum
  File state_;
};

}  // namespace pitr
