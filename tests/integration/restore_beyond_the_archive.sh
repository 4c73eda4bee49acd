#!/bin/bash
# Targets in the future, out of the WAL and after the last archived commit. After the last
# commit the plan ends at the last archived record, and WAL that arrives later is not let in.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10
backup main
sleep 0.1
fill main 100
switch_and_wait main
filled=$(sql main 'SELECT count(*), sum(row) FROM filled')
sleep 0.1
late=$(sql main 'SELECT clock_timestamp()')

# refused_target WHAT PATTERN OPTIONS…: status 3, windows listed, nothing written.
refused_target() {
  story "$1"
  local pattern=$2
  shift 2
  expect_status 3 pitr main restore --to "$WORK/refused" "$@"
  expect_error "^ERROR: "
  expect_error "$pattern"
  expect_output "timeline 1: from .* to "
  expect_absent "$WORK/refused"
  expect_status 3 pitr main restore --dry-run --json "$@"
  expect_json "$OUT"
  expect_equal "False None" "$(json "$OUT" '"%s %s" % (d["reachable"], d["stops_at"])')" "reachable and stops_at"
}
refused_target "in the future" future --target-time "$(date -d '+1 hour' '+%F %T%:z')"
refused_target "an LSN that was not written yet" "" --target-lsn F/0
refused_target "an LSN before the backup" "" --target-lsn 0/100
refused_target "a transaction that was not begun yet" "" --target-xid 4000000
refused_target "a restore point that nobody made" nobody --target-name nobody

story "after the last commit: a warning that names it"
expect_status 0 pitr main restore --dry-run --json --target-time "$late"
expect_json "$OUT"
expect_equal "end_of_wal True None" "$(json "$OUT" 'd["stops_at"]["kind"] + " %s %s" % (d["reachable"], d["commit_after"])')" "plan"
expect_equal True "$(json "$OUT" 'd["commit_before"]["time"] == d["stops_at"]["time"]')" "the last commit"
restore_into main copy --target-time "$late"
expect_error "^WARNING: .*not archived yet"
expect_error "pg_switch_wal"
grep -q '^recovery_target_lsn = .[0-9A-F]' "$WORK/copy/data/postgresql.auto.conf" || fail "no recovery_target_lsn"
grep -q "^recovery_target_inclusive = 'on'" "$WORK/copy/data/postgresql.auto.conf" || fail "not inclusive"

expect_status 3 pitr main restore --to "$WORK/refused" --target-time "$late" --strict
expect_absent "$WORK/refused"

story "what is archived between the restore and the start is not let in"
sql main 'DROP TABLE filled'
switch_and_wait main
sql main 'CREATE TABLE later (n int)'
switch_and_wait main
recovered copy
expect_equal "$filled" "$(sql copy 'SELECT count(*), sum(row) FROM filled')" "rows"
expect_equal 0 "$(sql copy "SELECT count(*) FROM pg_class WHERE relname = 'later'")" "later tables"
promote copy
expect_sound copy

story "the same time is an ordinary target now"
expect_status 0 pitr main restore --dry-run --json --target-time "$late" --strict
expect_equal commit "$(json "$OUT" 'd["stops_at"]["kind"]')" "kind"
restore_into main again --target-time "$late"
recovered again
promote again # until then the DROP that recovery stopped in holds its lock
expect_equal "$filled" "$(sql again 'SELECT count(*), sum(row) FROM filled')" "rows"
crash again

sleep 0.1
late=$(sql main 'SELECT clock_timestamp()')
refused_target "after the last commit, with --strict" "" --target-time "$late" --strict
