#!/bin/bash
# A primary and two standbys that all archive (archive_mode = always) into one repository. The primary
# crashes in the middle of a segment, one standby is promoted, the other follows it: nobody's archiving
# stays stuck, and both timelines restore.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=500ms

new_cluster main --wal-segsize=1
settings main "archive_mode = always"
expect_status 0 pitr main init
start main
fill main 100
backup main

for name in first second; do
  base_backup main "$name"
  sed -i "s|$WORK/main/state|$WORK/$name/state|" "$WORK/$name/pitr.toml"
  settings "$name" "archive_mode = always" "hot_standby = on" "wal_retrieve_retry_interval = '200ms'" \
    "primary_conninfo = 'host=$WORK/main port=5432 user=postgres'" \
    "restore_command = '$PITR_BIN/pitr-restore --config $WORK/$name/pitr.toml %f %p'"
  touch "$WORK/$name/data/standby.signal"
  start "$name"
done
rows() { [[ $(sql "$1" 'SELECT count(*) FROM filled') == "$2" ]]; }

story "all three archive the same segments"
for _ in 1 2 3; do
  fill main 500
  switch_and_wait main
done
for name in main first second; do
  wait_until 30 "\"$name\" has the rows" rows "$name" 1600
  wait_until 30 "\"$name\" has archived everything" nothing_to_archive "$name"
  expect_equal 0 "$(archiver "$name" failed_count)" "failed_count of \"$name\""
done
at_end_of_1=$(sql main "SELECT clock_timestamp()")
sql main "SELECT pg_sleep(0.01)" >/dev/null

story "the primary crashes in the middle of a segment; the first standby takes over"
fill main 300
for name in first second; do wait_until 30 "\"$name\" has the rows" rows "$name" 1900; done
crash main
promote first
wait_until 30 "the promotion" out_of_recovery first
settings second "primary_conninfo = 'host=$WORK/first port=5432 user=postgres'"
sql second 'SELECT pg_reload_conf()' >/dev/null
fill first 50
wait_until 60 "the second follows the first" rows second 1950

story "switches on the new timeline: nothing is left to archive with anybody, and nobody fails any more"
for _ in 1 2 3; do
  fill first 500
  switch_and_wait first
done
wait_until 60 "the second has the rows" rows second 3450
for name in first second; do
  wait_until 70 "\"$name\" has archived everything: $(status_files "$name" ready | tr '\n' ' ')" nothing_to_archive "$name"
done
failed_first=$(archiver first failed_count)
failed_second=$(archiver second failed_count)
fill first 500
switch_and_wait first
wait_until 30 "the second has the rows" rows second 3950
for name in first second; do
  wait_until 70 "\"$name\" has archived everything" nothing_to_archive "$name"
done
expect_equal "$failed_first" "$(archiver first failed_count)" "failed_count of the first"
expect_equal "$failed_second" "$(archiver second failed_count)" "failed_count of the second"
expect_equal "0 0" "$failed_first $failed_second" "failures of the failover"
expect_no_leftovers main

story "the old primary, brought back beside them, has nothing that blocks the others"
answer=$WORK/info
pitr first info --json >"$answer"
expect_equal "[1, 2]" "$(json "$answer" '[t["id"] for t in d["clusters"][0]["timelines"]]')" "timelines"
expect_equal "[[], []]" "$(json "$answer" '[t["gaps"] for t in d["clusters"][0]["timelines"]]')" "gaps"

# restored ROWS [options]: from the repository, as a copy that is promoted.
restored() {
  local expected=$1
  shift
  rm -rf "$WORK/copy"
  restore_into first copy --archive-mode off "$@"
  start_copy copy -c archive_mode=off
  wait_until 30 "the end of recovery" out_of_recovery copy
  expect_equal "$expected" "$(sql copy 'SELECT count(*) FROM filled')" "rows, with $*"
  stop copy
}

story "both timelines restore"
restored 3950
restored 3950 --timeline 2
restored 1600 --target-time "$at_end_of_1" --action promote
restored 1600 --target-time "$at_end_of_1" --action promote --timeline 1
restored 1900 --timeline 1
