#!/bin/bash
# What `restore --dry-run --json` says of each kind of target is what PostgreSQL then does.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (n int)'
backup main
for n in 1 2 3 4 5 6; do
  sql main "INSERT INTO log VALUES ($n)"
  sleep 0.02
done
xid=$(sql main 'SELECT xmin FROM log WHERE n = 4')
sql main "SELECT pg_create_restore_point('point')" >/dev/null
lsn=$(sql main 'SELECT pg_current_wal_insert_lsn()')
middle=$(sql main 'SELECT clock_timestamp()')
sleep 0.05
sql main 'INSERT INTO log VALUES (7)'
sql main "BEGIN; INSERT INTO log VALUES (100); ROLLBACK"
sql main 'INSERT INTO log VALUES (8)'
switch_and_wait main
stop main

# planned KIND STOP OPTIONS…
planned() {
  local kind=$1 stop=$2
  shift 2
  expect_status 0 pitr main restore --dry-run --json "$@"
  expect_json "$OUT"
  expect_equal "$kind $stop True None" "$(json "$OUT" 'd["target"]["kind"] + " " + d["stops_at"]["kind"] + " %s %s" % (d["reachable"], d["reason"])')" "plan of $*"
  expect_equal "[]" "$(json "$OUT" '[k for o, ks in [(d, "format target reachable reason stops_at backup timeline timeline_path first_segment"),
    (d, "last_segment segment_count missing bytes_to_fetch estimated_seconds nearest commit_before commit_after"),
    (d["target"], "kind value inclusive"), (d["stops_at"], "kind lsn time xid")] for k in ks.split() if k not in o]')" "missing fields"
  expect_equal "1 $BACKUP 1 [1] [] None" "$(json "$OUT" '"%s %s %s %s %s %s" % (d["format"], d["backup"], d["timeline"], d["timeline_path"], d["missing"], d["nearest"])')" "values"
  expect_equal True "$(json "$OUT" 'd["segment_count"] == int(d["last_segment"], 16) - int(d["first_segment"], 16) + 1 and d["bytes_to_fetch"] > 0')" "segments"
  cp "$OUT" "$WORK/plan"
}

# comes_true COPY ROWS OPTIONS…: the restored server stops at the last commit that was planned.
comes_true() {
  local copy=$1 rows=$2 last
  shift 2
  restore_into main "$copy" "$@"
  recovered "$copy"
  expect_equal "$rows" "$(sql "$copy" "SELECT string_agg(n::text, ' ' ORDER BY n) FROM log")" "rows of $*"
  if [[ $(json "$WORK/plan" 'd["commit_before"]') != None ]]; then
    last=$(sql "$copy" "SELECT to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    expect_equal "$(json "$WORK/plan" 'd["commit_before"]["time"]')" "$last" "the last commit"
  fi
  crash "$copy"
  rm -r "${WORK:?}/$copy"
}

story "a time"
planned time commit --target-time "$middle"
comes_true time "1 2 3 4 5 6" --target-time "$middle"
expect_equal True "$(json "$WORK/plan" 'd["commit_before"]["xid"] == d["stops_at"]["xid"] and d["commit_after"]["xid"] == d["commit_before"]["xid"] + 1')" "transactions"
exactly=$(json "$WORK/plan" 'd["commit_after"]["time"]')
planned time commit --target-time "$exactly"
expect_equal "$exactly" "$(json "$OUT" 'd["stops_at"]["time"]')" "time"
planned time commit --target-time "$exactly" --exclusive
expect_equal False "$(json "$OUT" 'd["target"]["inclusive"]')" "inclusive"
comes_true time "1 2 3 4 5 6" --target-time "$exactly" --exclusive

story "a transaction"
planned xid commit --target-xid "$xid"
expect_equal "$xid" "$(json "$OUT" 'd["stops_at"]["xid"]')" "xid"
comes_true xid "1 2 3 4" --target-xid "$xid"
planned xid commit --target-xid "$xid" --exclusive
expect_equal $((xid - 1)) "$(json "$OUT" 'd["stops_at"]["xid"]')" "xid"
comes_true xid "1 2 3" --target-xid "$xid" --exclusive
planned xid commit --before-xid "$xid"

story "an LSN, a restore point, the backup itself, the end"
planned lsn lsn --target-lsn "$lsn" --exclusive
comes_true lsn "1 2 3 4 5 6" --target-lsn "$lsn" --exclusive
planned lsn lsn --target-lsn "$lsn"
planned name restore_point --target-name point
comes_true name "1 2 3 4 5 6" --target-name point
planned immediate consistency --target-immediate
planned end end_of_wal
expect_equal None "$(json "$OUT" 'd["commit_after"]')" "a later commit"

story "a dry run wrote nothing, and is possible for a reader who may not"
remember_repository main
remember_folder "$WORK/main/state"
chmod -R a-w "$WORK/main/repository" "$WORK/main/state"
planned time commit --target-time "$middle"
chmod -R u+w "$WORK/main/repository" "$WORK/main/state"
expect_folder_unchanged "$WORK/main/state"
expect_repository_unchanged main
