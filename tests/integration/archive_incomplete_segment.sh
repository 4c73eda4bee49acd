#!/bin/bash
# An incomplete segment under a full name (from the standby of a lost primary) leaves the name free
# for the complete one. Until that comes, what there is of it is served.
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

story "an incomplete segment is acknowledged, and not stored under its full name"
expect_status 0 archive main "$WORK/short/$segment"
expect_equal "" "$(stored main "$segment")" "stored under the segment's own name"
expect_repository_kept main
expect_status 0 archive main "$WORK/short/$segment"

# expect_same_records A B: without printing thousands of them.
expect_same_records() {
  records "$1" >"$WORK/records.1"
  records "$2" >"$WORK/records.2"
  cmp -s "$WORK/records.1" "$WORK/records.2" ||
    fail "expected the $(wc -l <"$WORK/records.1") records of $1, found $(wc -l <"$WORK/records.2")"
}

# records FILE: what pg_waldump reads of it, without its last word on where it ends. The name counts.
records() { "$PG_BIN/pg_waldump" "$1" 2>/dev/null || true; }

story "it is served with every record that it had"
expect_status 0 fetch main "$segment" "$WORK/tail/$segment"
expect_equal "$(size_of "$wal/$segment")" "$(size_of "$WORK/tail/$segment")" "size"
expect_same_records "$WORK/short/$segment" "$WORK/tail/$segment"

story "a longer one is taken too, beside it"
expect_status 0 archive main "$WORK/longer/$segment"
expect_equal "" "$(stored main "$segment")" "stored under the segment's own name"
expect_status 0 archive main "$WORK/short/$segment"
remember_repository main

story "the complete segment is accepted afterwards, through PostgreSQL, and served from then on"
switch_and_wait main
expect_equal "$segment" "$SEGMENT" "segment"
expect_equal 0 "$(archiver main failed_count)" "failed_count"
[[ -n $(stored main "$segment") ]] || fail "the complete segment is not stored under its name"
expect_repository_kept main
expect_fetched main "$segment" "$wal/$segment"
remember_repository main

story "the incomplete one after the complete one: status 0, and the complete one is served"
expect_status 0 archive main "$WORK/longer/$segment"
expect_repository_kept main
expect_fetched main "$segment" "$wal/$segment"

story "an incomplete one of another history is no obstacle: kept beside, never in the place"
cp "$WORK/short/$segment" "$WORK/later/"
expect_status 0 archive main "$WORK/later/$segment"
expect_fetched main "$segment" "$wal/$segment"

story ".partial files that differ are both accepted"
cp "$WORK/short/$segment" "$WORK/short/$segment.partial"
cp "$WORK/longer/$segment" "$WORK/longer/$segment.partial"
expect_status 0 archive main "$WORK/short/$segment.partial"
expect_status 0 archive main "$WORK/longer/$segment.partial"
expect_status 0 archive main "$WORK/short/$segment.partial"
expect_repository_kept main
expect_no_leftovers main
