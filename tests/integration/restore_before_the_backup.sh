#!/bin/bash
# A time before the oldest backup cannot be reached: the backup holds later commits. With two backups
# the one before the time is taken, and a time between them never gives what came after it.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
too_early=$(sql main 'SELECT clock_timestamp()')
sql main 'CREATE TABLE log AS SELECT 1 AS n'
backup main
first=$BACKUP

# refused_time TIME [options]
refused_time() {
  story "$*"
  expect_status 3 pitr main restore --to "$WORK/refused" --target-time "$@"
  expect_error "^ERROR: "
  expect_output "timeline 1: from .* to "
  expect_absent "$WORK/refused"
  expect_status 3 pitr main restore --dry-run --json --target-time "$@"
  expect_equal "False True" "$(json "$OUT" '"%s %s" % (d["reachable"], d["nearest"]["after"] is not None)')" "reachable, and what comes next"
}
story "nothing was committed after the backup"
refused_time "$too_early"
refused_time "2001-01-01 00:00:00+00"

story "with later commits"
sql main 'INSERT INTO log VALUES (2)'
between=$(sql main 'SELECT clock_timestamp()')
sleep 0.1
sql main 'INSERT INTO log VALUES (3)'
switch_and_wait main
refused_time "$too_early"
refused_time "2001-01-01 00:00:00+00"

story "the second backup holds a commit later than the time: the first one is taken"
backup main
second=$BACKUP
sql main 'INSERT INTO log VALUES (4)'
switch_and_wait main
refused_time "$between" --backup "$second"
refused_time "$too_early"
restore_into main copy --target-time "$between"
expect_status 0 pitr main restore --dry-run --json --target-time "$between"
expect_equal "$first" "$(json "$OUT" 'd["backup"]')" "backup"
recovered copy
expect_equal "1 2" "$(sql copy "SELECT string_agg(n::text, ' ' ORDER BY n) FROM log")" "rows"
crash copy
