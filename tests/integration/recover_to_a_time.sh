#!/bin/bash
# PostgreSQL's own backup and pitr-restore bring back exactly the rows committed before a moment.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s # for the restore_command of the servers started here

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 100
switch_and_wait main
base_backup main copy
sql main 'CREATE TABLE counted (row int)'
for row in {1..20}; do echo "INSERT INTO counted VALUES ($row);"; done >"$WORK/inserts"
sql main "$(cat "$WORK/inserts")" # one transaction
fill main 5000
sql main 'DELETE FROM filled WHERE row % 2 = 0'
target=$(sql main 'SELECT clock_timestamp()')
counted=$(sql main 'SELECT count(*), sum(row) FROM counted')
filled=$(sql main "SELECT count(*), sum(row), md5(string_agg(contents, '' ORDER BY row)) FROM filled")
sleep 0.1
fill main 1 # recovery stops before this commit; a DROP on the way would hold its lock
sql main 'DROP TABLE counted'
sql main 'TRUNCATE filled'
archive_segments main 2

story "recovery to a time before the DROP brings back exactly the rows of that time"
recover copy "recovery_target_time = '$target'" "recovery_target_action = 'pause'" "hot_standby = on"
start copy
wait_until 30 "the target" paused_at_target copy
expect_equal "$counted" "$(sql copy 'SELECT count(*), sum(row) FROM counted')" "rows of counted"
expect_equal "$filled" \
  "$(sql copy "SELECT count(*), sum(row), md5(string_agg(contents, '' ORDER BY row)) FROM filled")" \
  "rows of filled"

story "promoted, it archives its timeline history file and goes on from there"
"$PG_BIN/pg_ctl" promote -D "$WORK/copy/data" -w -t 30 >/dev/null
wait_until 30 "the history file archived" test -e "$WORK/copy/data/pg_wal/archive_status/00000002.history.done"
expect_fetched copy 00000002.history "$WORK/copy/data/pg_wal/00000002.history"
sql copy 'INSERT INTO counted VALUES (21)'
switch_and_wait copy
expect_equal 00000002 "${SEGMENT:0:8}" "timeline"
for file in $(archived_files copy | grep ^00000002); do
  expect_fetched copy "$file" "$WORK/copy/data/pg_wal/$file"
done
expect_equal 0 "$(archiver copy failed_count)" "failed_count"

story "the origin is not disturbed: its own timeline is archived on"
archive_segments main 1
expect_equal 0 "$(archiver main failed_count)" "failed_count"
expect_fetched main "$SEGMENT" "$WORK/main/data/pg_wal/$SEGMENT"
stop main

story "a second recovery follows the new timeline to its end"
base_backup copy second
sql copy 'INSERT INTO counted VALUES (22)'
switch_and_wait copy
counted=$(sql copy 'SELECT count(*), sum(row) FROM counted')
stop copy
pitr_config second main # base_backup shared copy's, which is main's
recover second "recovery_target_timeline = 'latest'" "recovery_target_time = ''"
start second
wait_until 30 "the end of recovery" out_of_recovery second
expect_equal "$counted" "$(sql second 'SELECT count(*), sum(row) FROM counted')" "rows"
expect_equal 3 "$(sql second 'SELECT timeline_id FROM pg_control_checkpoint()')" "timeline"
