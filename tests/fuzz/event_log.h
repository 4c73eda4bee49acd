// Everything that a visitor is told, as bytes: two readings of the same WAL are compared by them.
#pragma once

#include <vector>

#include "common/bytes.h"
#include "wal/record_events.h"

namespace pitr::fuzzing {

struct EventLog {
  ByteWriter records;  // whole records
  ByteWriter events;   // what they say
  std::vector<Lsn> record_starts;
  std::vector<Lsn> transaction_starts;

  // A visitor with every callback set; the log must outlive it.
  RecordVisitor visitor();
};

// Reads every byte that a view shows.
void log_record(const RecordView& record, ByteWriter& log);

}  // namespace pitr::fuzzing
