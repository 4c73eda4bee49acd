#!/bin/bash
# info draws each timeline as a bar over time: what can be reached, backups, forks and gaps.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10
switch_and_wait main
sleep 1
backup main
sleep 1
fill main 10
target=$(sql main 'SELECT clock_timestamp()')
sleep 1
fill main 10
switch_and_wait main

# The line of a timeline, from its number on.
bar() { grep -E "^ +$1 [^a-z]*$" "$OUT" | sed -E 's/^ +//' || fail "no bar of timeline $1: $(cat "$OUT")"; }

story "a bar shows the backup, what lies before it and what can be reached"
expect_status 0 pitr main info
expect_equal 1 "$(bar 1 | wc -l)" "bars"
[[ $(bar 1) =~ ^1\ --+-*B?=*B=+$ ]] || fail "the bar: $(bar 1)"
expect_output '= any moment can be reached  B backup  - WAL without a backup$'

story "a recovery to an earlier moment makes a fork"
stop main
mv "$WORK/main/data" "$WORK/main/lost"
expect_status 0 pitr main restore --to "$WORK/main/data" --target-time "$target" --action promote
start main
wait_until 30 "the end of recovery" out_of_recovery main
sleep 1
fill main 10
switch_and_wait main
expect_status 0 pitr main info
[[ $(bar 2) =~ ^2\ \ +\\=+$ ]] || fail "the bar: $(bar 2)"
expect_output '\\ fork$'

story "a gap cuts what can be reached"
first=$SEGMENT
fill main 10
sleep 1
switch_and_wait main
lost=$SEGMENT
sleep 1
fill main 10
switch_and_wait main
[[ $first != "$lost" ]]
rm "$(stored main "$lost")"
stop main
expect_status 0 pitr main info
[[ $(bar 2) =~ ^2\ \ +\\=*\.+-*$ ]] || fail "the bar: $(bar 2)"
expect_output '\. gap'
expect_output 'warning: 1 segments are missing'
