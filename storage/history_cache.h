// The timeline history files that this host has seen, kept in the state directory.
//
// A standby whose primary and repository vanish together asks for the next history file when it is
// promoted. A false "absent" would make it take a timeline that exists; a failure would take down
// the node that the failover needs. So what was seen is remembered.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/repository_layout.h"

namespace pitr {

class HistoryCache {
 public:
  HistoryCache(const std::string& state_directory, const ClusterKey& cluster);

  // Failures to write are warnings: the answer at hand is not changed by them.
  void remember(TimelineId timeline, std::string_view contents) const;
  void remember_highest(TimelineId timeline) const;

  std::optional<std::string> contents(TimelineId timeline) const;
  TimelineId highest() const;  // 0: none was ever seen

  // Notes that a standby was told "not there" because the repository could not be reached, for
  // `pitr check`; and takes that note back.
  void note_unreachable(std::string_view message) const;
  void clear_unreachable() const;
  std::string unreachable_note() const;  // empty: none

 private:
  std::string folder_;
};

}  // namespace pitr
