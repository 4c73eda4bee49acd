#!/bin/bash
# WAL missing in the middle: a target behind the gap is refused with nothing written, one before it
# works, and the gap is named.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
fill main 100
sql main "SELECT pg_create_restore_point('before')" >/dev/null
before=$(sql main 'SELECT clock_timestamp()')
sleep 0.1
fill main 1
switch_and_wait main
fill main 100
switch_and_wait main
missing=$SEGMENT
fill main 1
switch_and_wait main
after_lsn=$(sql main "SELECT pg_create_restore_point('after')")
xid=$(sql main 'INSERT INTO filled (contents) VALUES (1) RETURNING xmin')
after=$(sql main 'SELECT clock_timestamp()')
sleep 0.1
fill main 1
switch_and_wait main
stop main
object=$(stored main "$missing")
mv "$object" "$WORK/$missing.stored"

story "info names the gap"
expect_status 0 pitr main info --json
expect_json "$OUT"
expect_equal "1 [('$(segment_after "$missing" -1)', '$(segment_after "$missing")', 1)]" \
  "$(json "$OUT" '"%d %s" % (d["clusters"][0]["timelines"][0]["id"], [(g["after"], g["before"], g["missing"]) for g in d["clusters"][0]["timelines"][0]["gaps"]])')" "gaps"
expect_equal True "$(json "$OUT" '"wal_gap" in [p["code"] for p in d["clusters"][0]["problems"]]')" "wal_gap"
[[ $(json "$OUT" 'd["clusters"][0]["status"]') != ok ]] || fail "the status is ok, with a gap"
expect_status 0 pitr main info
expect_output "$(segment_after "$missing" -1)"
expect_output "$(segment_after "$missing")"

for target in "--target-name after" "--target-lsn $after_lsn" "--target-xid $xid" ""; do
  story "behind the gap: ${target:-the end of the WAL}"
  # shellcheck disable=SC2086 # option and value
  expect_status 3 pitr main restore --to "$WORK/refused" $target
  expect_error "$missing"
  expect_absent "$WORK/refused"
  # shellcheck disable=SC2086
  expect_status 3 pitr main restore --dry-run --json $target
  expect_json "$OUT"
  expect_equal False "$(json "$OUT" 'd["reachable"]')" "reachable"
  expect_equal True "$(json "$OUT" 'd["reason"]["code"] != "" and d["reason"]["message"] != ""')" "reason"
  expect_equal True "$(json "$OUT" 'd["nearest"]["before"] is not None')" "nearest"
done
expect_status 3 pitr main restore --to "$WORK/refused" --target-time "$after"
expect_error "$missing"
expect_absent "$WORK/refused"

story "before the gap"
restore_into main copy --target-time "$before"
recovered copy
expect_equal 100 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
promote copy
expect_sound copy
restore_into main named --target-name before
recovered named
expect_equal 100 "$(sql named 'SELECT count(*) FROM filled')" "rows"
crash named

story "--until-gap takes what there is before the gap, by word only"
restore_into main until --until-gap
start_copy until
wait_until 30 "the end of recovery or the target" sql until 'SELECT 1 WHERE NOT pg_is_in_recovery() OR pg_is_wal_replay_paused()'
expect_equal 101 "$(sql until 'SELECT count(*) FROM filled')" "rows"
stop until

story "the segment is back: everything is reachable"
mv "$WORK/$missing.stored" "$object"
restore_into main whole
start_copy whole
wait_until 30 "the end of recovery" out_of_recovery whole
expect_equal 204 "$(sql whole 'SELECT count(*) FROM filled')" "rows"
expect_sound whole

story "the plan's JSON lists what is missing"
mv "$object" "$WORK/$missing.stored"
expect_status 3 pitr main restore --dry-run --json
expect_equal "['$missing']" "$(json "$OUT" 'd["missing"]')" "missing"
