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

# lsn_of RECORD FROM: where the first such record begins, as pg_waldump says.
lsn_of() {
  pg_waldump -p "$WORK/main/data/pg_wal" -s "$2" >"$WORK/waldump" 2>"$WORK/waldump.err" ||
    grep -q "error in WAL record" "$WORK/waldump.err" || fail "pg_waldump: $(cat "$WORK/waldump.err")"
  sed -n "s|.* lsn: \([0-9A-F/]*\), .*desc: $1.*|\1|p" "$WORK/waldump" | head -n 1
}

story "the record that ends a backup is the earliest inclusive target, and no exclusive one"
sql main 'CREATE DATABASE kept'
backup main
third=$BACKUP
pitr main info --json >"$WORK/info"
started=$(json "$WORK/info" '[b for b in d["clusters"][0]["backups"] if b["id"] == "'"$third"'"][0]["start_lsn"]')
ends=$(lsn_of BACKUP_END "$started")
[[ -n $ends ]] || fail "pg_waldump finds no BACKUP_END"
sql main 'INSERT INTO log VALUES (5)'
dropping=$(sql main 'SELECT pg_current_wal_insert_lsn()')
sql main 'DROP DATABASE kept'
commit=$(lsn_of COMMIT "$(lsn_of DROP "$dropping")")
[[ -n $commit ]] || fail "pg_waldump finds no commit of DROP DATABASE"
sql main 'INSERT INTO log VALUES (6)'
switch_and_wait main
expect_status 3 pitr main restore --dry-run --backup "$third" --exclusive --target-lsn "$ends"
restore_into main earliest --backup "$third" --target-lsn "$ends"
recovered earliest
expect_equal "1 2 3 4" "$(sql earliest "SELECT string_agg(n::text, ' ' ORDER BY n) FROM log")" "rows"
crash earliest

story "between a dropped database's files and its commit recovery ends with the commit before"
restore_into main amid --exclusive --target-lsn "$commit" --action promote
expect_error "WARNING: .*being dropped"
start_copy amid
wait_until 30 "the end of recovery" out_of_recovery amid
expect_equal "1 2 3 4 5" "$(sql amid "SELECT string_agg(n::text, ' ' ORDER BY n) FROM log")" "rows"
expect_equal kept "$("$PG_BIN/psql" -X -q -A -t -h "$WORK/amid" -U postgres -d kept -c 'SELECT current_database()')" "database"
crash amid
