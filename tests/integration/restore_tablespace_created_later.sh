#!/bin/bash
# A tablespace created after the backup: replay uses the path in the WAL, which on the same host is the
# living server's. That is refused, before anything is written; a moment before it can be reached.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
fill main 10
before=$(sql main 'SELECT clock_timestamp()')
sleep 0.1
fill main 10
mkdir "$WORK/later"
sql main "CREATE TABLESPACE later LOCATION '$WORK/later'"
sql main "CREATE TABLE there TABLESPACE later AS SELECT generate_series(1, 1000) AS n"
fill main 10
switch_and_wait main
remember_folder "$WORK/later"

story "the living server's place is never replayed into"
expect_status 0 pitr main restore --dry-run
expect_error "creates a tablespace at \"$WORK/later\""
expect_status 2 pitr main restore --to "$WORK/copy/data" --archive-mode off
expect_error "^ERROR: .*creates a tablespace at \"$WORK/later\""
expect_error "last moment before it is .*: --target-lsn [0-9A-F]+/[0-9A-F]+ --exclusive"
last_moment=$(sed -nE 's/.*--target-lsn ([0-9A-F\/]+) --exclusive.*/\1/p' "$ERR")
expect_absent "$WORK/copy/data"
expect_folder_unchanged "$WORK/later"

story "a moment before it can be reached"
restore_into main early --target-time "$before" --archive-mode off
recovered early
expect_equal 10 "$(sql early 'SELECT count(*) FROM filled')" "rows"
stop early
expect_folder_unchanged "$WORK/later"

story "the last moment that the refusal names has all but the tablespace"
restore_into main last --target-lsn "$last_moment" --exclusive --archive-mode off
recovered last
expect_equal 20 "$(sql last 'SELECT count(*) FROM filled')" "rows"
expect_equal 0 "$(sql last "SELECT count(*) FROM pg_tablespace WHERE spcname = 'later'")" "tablespace"
stop last
expect_folder_unchanged "$WORK/later"

story "where the folder is there and empty, everything comes back"
stop main
mv "$WORK/later" "$WORK/kept"
expect_status 2 pitr main restore --to "$WORK/copy/data" --archive-mode off
expect_error "not there"
mkdir "$WORK/later"
restore_into main copy --archive-mode off
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 1000 "$(sql copy 'SELECT count(*) FROM there')" "rows in the tablespace"
expect_sound copy
