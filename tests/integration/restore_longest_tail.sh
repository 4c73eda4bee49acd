#!/bin/bash
# Of an incomplete segment that came several times the longest is served: the others lack commits.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 2
before=$SEGMENT
segment=$(segment_after "$before")
wal=$WORK/main/data/pg_wal
mkdir "$WORK/short" "$WORK/longer" "$WORK/later" "$WORK/tail"

# What a standby holds of the segment at two moments: records up to here, zeros behind.
fill main 100
sql main CHECKPOINT
expect_equal "$segment" "$(sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())')" "segment"
cp "$wal/$segment" "$WORK/short/"
fill main 800
sql main CHECKPOINT
expect_equal "$segment" "$(sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())')" "segment"
cp "$wal/$segment" "$WORK/longer/"
remember_repository main

# expect_same_records A B: without printing thousands of them.
expect_same_records() {
  records "$1" >"$WORK/records.1"
  records "$2" >"$WORK/records.2"
  cmp -s "$WORK/records.1" "$WORK/records.2" ||
    fail "expected the $(wc -l <"$WORK/records.1") records of $1, found $(wc -l <"$WORK/records.2")"
}

# records FILE: what pg_waldump reads of it, without its last word on where it ends. The name counts.
records() { "$PG_BIN/pg_waldump" "$1" 2>/dev/null || true; }

story "the longest is served, whatever came first"
expect_status 0 archive main "$WORK/short/$segment"
expect_status 0 archive main "$WORK/longer/$segment"
expect_status 0 archive main "$WORK/short/$segment"
expect_status 0 fetch main "$segment" "$WORK/tail/$segment"
(($(records "$WORK/longer/$segment" | wc -l) > $(records "$WORK/short/$segment" | wc -l))) ||
  fail "the longer one has no more records"
expect_same_records "$WORK/longer/$segment" "$WORK/tail/$segment"
