// Archives more than it was asked for. PostgreSQL asks for one segment at a time, and a call for
// each spends most of its time waiting: for the disk, and for the next program to start. So a call
// that finds the following segments waiting archives some of them, too; their own calls find them
// stored and have only to compare. Nothing is acknowledged here, and `.ready` files are not
// touched.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive_cmd/passage.h"

namespace pitr {

// Whatever fails here is logged at debug level and left to the segment's own call. Make one before
// the asked-for segment is written: its time tells how long another one will take.
class LookAhead {
 public:
  LookAhead(const ArchiveRequest& request, Storage& storage, Workspace& workspace);

  // Writes the complete segments that wait behind `segment`, without names for them yet. It ends at
  // the first that does not wait, or is not as a segment should be: those behind it would leave a
  // gap. A segment is begun only when, going by the time of the one before, it will be written
  // within look_ahead_time of this call. It goes on its way to the disk only when that has taken
  // the one before (first `own`, whose commit has begun) so soon that it will take this one in that
  // time, too: otherwise it is dropped, and its own call writes it.
  void write_after(SegmentName segment, Destination& own);

  // Gives them their names in the order of the WAL, so that a host lost in the middle leaves no
  // gap, and makes them durable. Returns those that are.
  std::vector<WalFileEntry> commit();

 private:
  struct Written {
    std::unique_ptr<Destination> destination;
    WalFileEntry entry;
  };

  std::optional<Written> write(const WalFileName& name, const std::string& key);
  void commit_in_order(std::vector<WalFileEntry>& durable);

  const ArchiveRequest& request_;
  Storage& storage_;
  Workspace& workspace_;
  std::chrono::steady_clock::time_point begun_;
  std::vector<Written> written_;
};

}  // namespace pitr
