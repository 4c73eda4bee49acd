#!/bin/bash
# PostgreSQL archives through pitr-archive: nothing fails, and what comes out is what went in.
source "$(dirname "$0")/lib.sh"

new_cluster main
expect_status 0 pitr main init
expect_output 'cluster "main"'
start main

story "under load every segment is archived without a failure"
for _ in 1 2 3; do
  fill main 20000
  sql main 'UPDATE filled SET contents = contents || row WHERE row % 3 = 0'
done
switch_and_wait main
base_backup main unused # makes a .backup file
switch_and_wait main
wait_until 20 "everything archived" nothing_to_archive main
expect_equal 0 "$(archiver main failed_count)" "failed_count"

story "every archived file is given back byte by byte"
count=0
for file in $(archived_files main); do
  expect_fetched main "$file" "$WORK/main/data/pg_wal/$file"
  count=$((count + 1))
done
((count >= 5)) || fail "only $count files were archived"
archived_files main | grep -q '\.backup$' || fail "no .backup file was archived"
expect_no_leftovers main

story "pg_waldump reads a segment that came back"
rm -f "$WORK/$SEGMENT"
expect_status 0 fetch main "$SEGMENT" "$WORK/$SEGMENT"
expect_status 0 pg_waldump --quiet "$WORK/$SEGMENT"
