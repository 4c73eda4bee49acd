// Prints what the record reader and the WAL index say of segments, for a comparison with what
// pg_waldump says:
//   wal_dump records FILE...   consecutive whole segments of one timeline: every record
//   wal_dump index FILE        one segment: its index and its details, encoded and decoded again
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/error.h"
#include "wal/record_scanner.h"
#include "wal/segment_index.h"

namespace pitr {
namespace {

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const ByteSpan bytes = as_byte_span(text);
  return {bytes.begin(), bytes.end()};
}

Lsn start_of(ByteSpan segment) {
  const auto header = parse_page_header(segment);
  return header ? header->address : 0;
}

std::string lsn(Lsn value) { return fmt::format("{:X}/{:08X}", value >> 32, value & 0xFFFF'FFFFU); }

std::string text(const RelationFile& file) {
  return fmt::format("{}/{}/{}", file.tablespace, file.database, file.number);
}

const char* text(Fork fork) {
  switch (fork) {
    case Fork::kMain:
      return "main";
    case Fork::kFreeSpaceMap:
      return "fsm";
    case Fork::kVisibilityMap:
      return "vm";
    case Fork::kInit:
      return "init";
  }
  return "?";
}

const char* text(bool is_drop) { return is_drop ? "drop" : "create"; }

std::string joined(const std::vector<std::uint32_t>& numbers) {
  return numbers.empty() ? "-" : fmt::format("{}", fmt::join(numbers, ","));
}

std::string joined(const std::vector<RelationFile>& files) {
  std::string list;
  for (const RelationFile& file : files)
    list += (list.empty() ? "" : ",") + text(file);
  return list.empty() ? "-" : list;
}

const char* kind_of(const TransactionEnd& transaction) {
  if (transaction.is_commit) return transaction.was_prepared ? "commit_prepared" : "commit";
  return transaction.was_prepared ? "abort_prepared" : "abort";
}

const char* level(std::int32_t wal_level) {
  return wal_level == 0 ? "minimal" : wal_level == 1 ? "replica" : "logical";
}

void print_record(const RecordView& record, Lsn start) {
  fmt::print("R\t{}\t{}\t{}\t{:02x}\t{}\t{}\n", lsn(start), lsn(record.previous()),
             record.manager(), record.info(), record.xid(), record.length());
  for (const BlockReference& block : record.blocks()) {
    fmt::print("B\t{}\t{}\t{}\t{}\t{}\t{}\n", lsn(start), block.id, text(block.file),
               text(block.fork), block.block, block.has_image ? "FPW" : "-");
  }
}

RecordVisitor printer() {
  RecordVisitor visitor;
  visitor.on_transaction_end = [](const TransactionEnd& t) {
    fmt::print("C\t{}\t{}\t{}\t{}\t{}\t{}\n", lsn(t.start), kind_of(t), t.xid, t.time,
               joined(t.subtransactions), joined(t.dropped_files));
  };
  visitor.on_restore_point = [](const RestorePoint& p) {
    fmt::print("P\t{}\t{}\t{}\n", lsn(p.start), p.time, p.name);
  };
  visitor.on_checkpoint = [](const Checkpoint& c) {
    fmt::print("K\t{}\t{}\t{}\t{}\n", lsn(c.start), lsn(c.redo), c.next_xid,
               c.is_shutdown ? "shutdown" : "online");
  };
  visitor.on_database = [](const DatabaseChange& c) {
    fmt::print("D\t{}\t{}\t{}\n", lsn(c.start), text(c.is_drop), c.oid);
  };
  visitor.on_tablespace = [](const TablespaceChange& c) {
    fmt::print("T\t{}\t{}\t{}\t{}\n", lsn(c.start), text(c.is_drop), c.oid,
               c.is_drop ? "-" : c.path);
  };
  visitor.on_file_creation = [](const FileCreation& c) {
    fmt::print("F\t{}\t{}\t{}\n", lsn(c.start), text(c.file), text(c.fork));
  };
  visitor.on_parameters = [](const ParameterChange& c) {
    fmt::print("A\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", lsn(c.start), c.max_connections,
               c.max_worker_processes, c.max_wal_senders, c.max_prepared_transactions,
               c.max_locks_per_transaction, level(c.wal_level));
  };
  visitor.on_end_of_recovery = [](const EndOfRecovery& e) {
    fmt::print("E\t{}\t{}\t{}\t{}\n", lsn(e.start), e.timeline, e.previous_timeline, e.time);
  };
  visitor.on_running_transactions = [](const RunningTransactions& r) {
    fmt::print("U\t{}\t{}\t{}\t{}\n", lsn(r.start), r.overflowed ? "overflowed" : "complete",
               r.next_xid, r.oldest_running);
  };
  return visitor;
}

void dump_records(const std::vector<std::string>& paths) {
  RecordVisitor visitor = printer();
  Lsn current = 0;  // of the record whose locks and truncations are shown
  visitor.on_record = [&current](const RecordView& record, Lsn start, Lsn) {
    current = start;
    print_record(record, start);
  };
  visitor.on_lock = [&current](const RelationLock& lock) {
    fmt::print("L\t{}\t{}\t{}\t{}\n", lsn(current), lock.xid, lock.database, lock.relation);
  };
  visitor.on_file_truncation = [&current](const FileTruncation& t) {
    fmt::print("X\t{}\t{}\t{}\n", lsn(current), text(t.file), t.block);
  };
  const std::vector<std::byte> first = read_file(paths.front());
  RecordScanner scanner(start_of(first), first.size(), visitor);
  for (const std::string& path : paths)
    scanner.feed(read_file(path));
}

void print_lists(const SegmentIndex& index) {
  for (const RestorePoint& p : index.restore_points)
    fmt::print("restore_point\t{} {} {}\n", lsn(p.start), p.time, p.name);
  for (const DatabaseChange& c : index.databases)
    fmt::print("database\t{} {}\n", text(c.is_drop), c.oid);
  for (const TablespaceChange& c : index.tablespaces)
    fmt::print("tablespace\t{} {} {}\n", text(c.is_drop), c.oid, c.is_drop ? "-" : c.path);
  for (const Checkpoint& c : index.checkpoints)
    fmt::print("checkpoint\t{}\n", lsn(c.start));
  for (const EndOfRecovery& e : index.recoveries)
    fmt::print("end_of_recovery\t{}\n", lsn(e.start));
  for (const ParameterChange& c : index.parameters)
    fmt::print("parameters\t{}\n", lsn(c.start));
  for (const RunningTransactions& r : index.running)
    fmt::print("running\t{} {}\n", r.overflowed ? "overflowed" : "complete", lsn(r.start));
}

void print_details(const std::vector<std::uint32_t>& xids, const ChangedBlocks& changed,
                   const RelationChanges& relations) {
  for (const std::uint32_t xid : xids)
    fmt::print("xid\t{}\n", xid);
  for (const std::uint32_t oid : changed.databases)
    fmt::print("changed_database\t{}\n", oid);
  for (const ChangedFork& fork : changed.forks) {
    for (const std::uint32_t block : fork.blocks)
      fmt::print("changed\t{} {} {}\n", text(fork.file), text(fork.fork), block);
    if (fork.from == kNoBlock) continue;
    fmt::print("changed_from\t{} {} {}\n", text(fork.file), text(fork.fork), fork.from);
  }
  for (const RelationLock& lock : relations.locks)
    fmt::print("lock\t{} {} {}\n", lock.xid, lock.database, lock.relation);
  for (const CreatedFile& created : relations.created) {
    fmt::print("created\t{} {} {} {}\n", lsn(created.start), created.xid, text(created.file),
               created.length);
  }
  for (const TransactionEnd& drop : relations.drops) {
    fmt::print("dropped\t{} {} {} {}\n", lsn(drop.start), drop.xid, drop.time,
               joined(drop.dropped_files));
  }
  for (const RelationName& name : relations.names) {
    fmt::print("name\t{} {} {} {} {} {} {} {}\n", lsn(name.start), name.xid, name.database,
               name.oid, name.schema_oid, name.file_number, name.kind, name.name);
  }
}

void dump_index(const std::string& path) {
  const std::vector<std::byte> segment = read_file(path);
  SegmentIndexer indexer(start_of(segment), segment.size());
  indexer.feed(segment);
  const SegmentIndex index = decode_index(encode_index(indexer.finish()));
  const SegmentDetails details = indexer.take_details();
  fmt::print("complete\t{:d}\ndamaged\t{:d}\nends_in_switch\t{:d}\n", index.complete, index.damaged,
             index.ends_in_switch);
  fmt::print("commits\t{}\naborts\t{}\ncommits_prepared\t{}\naborts_prepared\t{}\n", index.commits,
             index.aborts, index.commits_prepared, index.aborts_prepared);
  if (index.has_transactions()) {
    fmt::print("min_time\t{}\nmax_time\t{}\n", index.min_time, index.max_time);
  }
  if (index.last_commit) {
    fmt::print("first_commit\t{}\nlast_commit\t{}\n", *index.first_commit, *index.last_commit);
  }
  fmt::print("min_xid\t{}\nmax_xid\t{}\nfirst_record\t{}\nlast_record\t{}\nnext_xid\t{}\n",
             index.min_xid, index.max_xid, lsn(index.first_record), lsn(index.last_record),
             index.next_xid());
  print_lists(index);
  print_details(decode_xids(encode_xids(details.xids)),
                decode_changed_blocks(encode_changed_blocks(details.changed_blocks)),
                decode_relation_changes(encode_relation_changes(details.relations)));
}

}  // namespace
}  // namespace pitr

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 2 || (arguments[0] != "records" && arguments[0] != "index")) {
    fmt::print(stderr, "usage: wal_dump records FILE... | index FILE\n");
    return 2;
  }
  try {
    if (arguments[0] == "index") {
      pitr::dump_index(arguments[1]);
    } else {
      pitr::dump_records({arguments.begin() + 1, arguments.end()});
    }
  } catch (const pitr::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
