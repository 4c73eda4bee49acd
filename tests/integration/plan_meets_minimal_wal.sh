#!/bin/bash
# WAL that was written under wal_level = minimal lies in the archive because an operator put it there:
# PostgreSQL does not cross it. A target behind it is refused, one before it is reached, and a later
# backup serves what comes after.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

moment() { sql main 'SELECT clock_timestamp()'; }
commit() {
  sql main "INSERT INTO log VALUES ('$1')"
  sleep 0.02
}
rows() { sql "$1" "SELECT string_agg(word, ' ' ORDER BY word) FROM log"; }
# a_point NAME: a restore point of that name. LSN is its.
a_point() { LSN=$(sql main "SELECT pg_create_restore_point('$1')"); }

new_cluster main --wal-segsize=1
settings main 'fsync = off'
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (word text)'
commit 1
backup main
first=$BACKUP
commit 2
before=$(moment)
commit 3
xid=$(sql main "INSERT INTO log VALUES ('4') RETURNING xmin")
switch_and_wait main

story "a load without archiving, at the lowest level; the operator pushes what was written meanwhile"
stop main
cp "$WORK/main/data/postgresql.conf" "$WORK/postgresql.conf"
settings main 'wal_level = minimal' 'archive_mode = off' 'max_wal_senders = 0'
start main
last=$(sql main "BEGIN; CREATE TABLE loaded AS SELECT generate_series(1, 1000) AS n; COMMIT; SELECT pg_walfile_name(pg_switch_wal())")
commit 5
during=$(moment)
sleep 0.05
commit 6
stop main
cp "$WORK/postgresql.conf" "$WORK/main/data/postgresql.conf"
start main
commit 7
mkdir "$WORK/copied"
cp "$WORK"/main/data/pg_wal/0* "$WORK/copied/"
expect_status 0 pitr main push --from "$WORK/copied"
[[ -n $(stored main "$last") ]] || fail "the segment of the load was not pushed"
after=$(moment)
commit 8
a_point after
after_lsn=$LSN
after_xid=$(sql main "INSERT INTO log VALUES ('9') RETURNING xmin")
switch_and_wait main
expect_status 0 pitr main info --json
expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["timelines"][0]["gaps"]')" "gaps: the WAL is all there"

# The record itself: PostgreSQL dies of it where it is replayed.
change=$(pg_waldump -p "$WORK/main/data/pg_wal" -r XLOG "$(segment_after "$last" -1)" "$last" 2>/dev/null |
  grep 'PARAMETER_CHANGE.*wal_level=minimal' | sed -E 's|.*lsn: ([0-9A-F/]+),.*|\1|')
[[ $change ]] || fail "no record says wal_level=minimal: the test has no teeth"

# refused OPTIONS…: for that reason, whole and in words; nothing is written.
refused() {
  story "behind it: ${*:-the end of the WAL}"
  expect_status 3 pitr main restore --dry-run --json "$@"
  expect_json "$OUT"
  expect_equal "False wal_level_minimal None" \
    "$(json "$OUT" '"%s %s %s" % (d["reachable"], d["reason"]["code"], d["stops_at"])')" "the plan"
  expect_status 3 pitr main restore --to "$WORK/refused" "$@"
  expect_error 'wal_level = minimal'
  expect_absent "$WORK/refused"
}
refused --target-time "$after"
refused --target-time "$during"
refused --target-lsn "$after_lsn"
refused --target-lsn "$change"
refused --target-xid "$after_xid"
refused --before-xid "$after_xid"
refused --target-name after
refused
refused --target-time "$(moment)" # after the last commit

story "before it"
restore_into main early --target-time "$before"
recovered early
expect_equal "1 2" "$(rows early)" "rows"

story "PostgreSQL itself does not cross it: the same directory, with a later target"
stop early
sed -i "s/^recovery_target_time = .*/recovery_target_time = '$after'/" "$WORK/early/data/postgresql.auto.conf"
expect_cannot_start early
grep -qE 'WAL was generated with "?wal_level=minimal"?, cannot continue recovering' "$WORK/early/start.log" ||
  fail "PostgreSQL says something else: $(cat "$WORK/early/start.log")"
rm -r "${WORK:?}/early"

story "the last transaction before it"
expect_status 0 pitr main restore --dry-run --json --target-xid "$xid"
expect_equal "$first" "$(json "$OUT" 'd["backup"]')" "backup"

expect_status 0 pitr main restore --dry-run --target-lsn "$change" --exclusive

story "a backup taken after it serves what is later, and only that"
backup main
second=$BACKUP
commit a
later=$(moment)
commit b
switch_and_wait main
refused --target-time "$after"
refused --target-time "$later" --backup "$first"
expect_status 0 pitr main restore --dry-run --json --target-time "$before"
expect_equal "$first" "$(json "$OUT" 'd["backup"]')" "backup"
restore_into main late --target-time "$later" --json
expect_equal "$second" "$(json "$OUT" 'd["backup"]')" "backup"
recovered late
expect_equal "1 2 3 4 5 6 7 8 9 a" "$(rows late)" "rows"
expect_equal 1000 "$(sql late 'SELECT count(*) FROM loaded')" "rows that were loaded"
sql late 'SELECT pg_wal_replay_resume()' >/dev/null
expect_sound late
