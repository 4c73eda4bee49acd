#!/bin/bash
# What is missing at the end of a timeline, in front of the fork to the next, is a gap like any other: no
# server opens there, and info, check, metrics and verify name it.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=1s # for the restore_command of the servers started here

new_cluster main --wal-segsize=1
expect_status 0 pitr main init
start main
fill main 100
switch_and_wait main
backup main
archive_segments main 2
kept=$SEGMENT
archive_segments main 2
on_parent=$(sql main 'SELECT count(*) FROM filled')
fill main 5
stop main

story "the cluster goes on as timeline 2"
touch "$WORK/main/data/standby.signal"
start main
promote main
archive_segments main 3
rows=$(sql main 'SELECT count(*) FROM filled')
wait_until 30 "archiving" nothing_to_archive main
stop main
restore_into main copy
cp -a "$WORK/main/repository" "$WORK/whole"

story "all of timeline 1 behind one segment is lost: the server stops, and every answer names the gap"
missing=$(segment_after "$kept")
find "$WORK/main/repository/wal" -type f -name '00000001*' | while read -r file; do
  name=$(basename "$file")
  [[ ! ${name:0:24} > $kept ]] || rm "$file"
done
cp -a "$WORK/copy" "$WORK/opens"
settings copy "unix_socket_directories = '$WORK/copy'" "archive_command = 'false'"
as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/copy/data" -l "$WORK/copy/server.log" -w -t 30 >/dev/null 2>&1 ||
  true # it may have been consistent, and open for reading, before it came to the gap
is_down() { ! running copy; }
wait_until 30 "the end of the server" is_down
grep -q "gap: $missing missing" "$WORK/copy/server.log" || fail "the gap is not in the server's log"
"$PG_BIN/pg_controldata" "$WORK/copy/data" >"$WORK/control"
grep -q 'state: *in archive recovery' "$WORK/control" || fail "it has left recovery: $(cat "$WORK/control")"
expect_status 3 pitr main restore --dry-run --json
expect_equal wal_gap "$(json "$OUT" 'd["reason"]["code"]')" "the plan's reason"
expect_status 3 pitr main verify --wal
expect_output "^gap: .*$missing"
expect_status 0 pitr main info --json
[[ $(json "$OUT" 'd["clusters"][0]["problems"]') == *"segments are missing between $kept and"* ]] ||
  fail "info names no gap: $(cat "$OUT")"
expect_status 0 pitr main metrics
expect_output '^pitr_wal_gaps\{.*timeline="2"\} 1$'

story "a standby is told that the segment is absent: its primary may have it"
mkdir "$WORK/standby"
touch "$WORK/standby/standby.signal"
(cd "$WORK/standby" && expect_status 1 "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "$missing" "$WORK/fetched")
expect_status 200 fetch main "$missing" "$WORK/fetched"

story "timeline 1 up to what is stored of it can be recovered"
expect_status 3 pitr main restore --dry-run --json --timeline 1
expect_equal wal_gap "$(json "$OUT" 'd["reason"]["code"]')" "the plan's reason on timeline 1"
restore_into main shorter --timeline 1 --until-gap --archive-mode off --action promote
start_copy shorter
wait_until 30 "the end of recovery" out_of_recovery shorter
expect_equal $((on_parent - 1000)) "$(sql shorter 'SELECT count(*) FROM filled')" "rows of timeline 1"
stop shorter

story "the segments are put back: everything is reached"
rm -rf "$WORK/main/repository"
mv "$WORK/whole" "$WORK/main/repository"
settings opens "unix_socket_directories = '$WORK/opens'" "archive_command = 'false'"
start opens
wait_until 30 "the end of recovery" out_of_recovery opens
expect_equal "$rows" "$(sql opens 'SELECT count(*) FROM filled')" "rows of timeline 2"
