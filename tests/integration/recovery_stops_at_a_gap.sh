#!/bin/bash
# A server in recovery that comes to a gap must not open: rows would be missing without an error.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=1s # for the restore_command of the servers started here

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10
switch_and_wait main
base_backup main copy
archive_segments main 1
middle=$SEGMENT
archive_segments main 2
rows=$(sql main 'SELECT count(*) FROM filled')
stop main
recover copy

starts() {
  as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/$1/data" -l "$WORK/$1/server.log" -w -t 30
}

story "the server in recovery stops at the gap"
mv "$(stored main "$middle")" "$WORK/lost"
expect_status 1 starts copy
grep -q "gap: $middle missing" "$WORK/copy/server.log" || fail "the gap is not in the server's log"
! running copy || fail "the server is running"
"$PG_BIN/pg_controldata" "$WORK/copy/data" >"$WORK/control"
grep -q 'state: *in archive recovery' "$WORK/control" || fail "it has left recovery: $(cat "$WORK/control")"
[[ -e $WORK/copy/data/recovery.signal ]] || fail "recovery.signal is gone"

story "the gap is filled: it recovers, and every row is there"
mv "$WORK/lost" "$(dirname "$(stored main "$(segment_after "$middle")")")/$middle"
start copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "$rows" "$(sql copy 'SELECT count(*) FROM filled')" "rows"
