#!/bin/bash
# A standby that archives always shares the repository; the primary is lost, the standby promoted:
# every moment before and after the failover is there.
source "$(dirname "$0")/truth_lib.sh"

truth_cluster main
pitr main init >/dev/null
start main
truth_table main
work main 1 60

story "a standby beside the primary, both archive into one repository"
base_backup main standby
settings standby "primary_conninfo = 'host=$WORK/main port=5432 user=postgres'" "archive_mode = always" \
  "restore_command = '$PITR_BIN/pitr-restore --config $WORK/standby/pitr.toml %f %p'" "hot_standby = on"
touch "$WORK/standby/data/standby.signal"
start standby
backup main
begin=$(insert_lsn main)
work main 1 150 --points a
archived main 1
middle=$(insert_lsn main)
work main 1 120 --points b
replayed() { [[ $(sql standby 'SELECT pg_last_wal_replay_lsn()') == "$(insert_lsn main)" ]]; }
wait_until 30 "the standby has all of it" replayed

story "the primary is lost in the middle of a segment, the standby takes over"
crash main
"$PG_BIN/pg_ctl" promote -D "$WORK/standby/data" -w -t 30 >/dev/null
wait_until 30 "the promotion" out_of_recovery standby
forked standby 2
# Where the parent's WAL is known from: the standby's own pg_wal.
truth ingest --data "$WORK/main/data" --timeline 1 --last "$(last_segment main)" || fail "timeline 1"
cp "$WORK/standby/pitr.toml" "$WORK/main/pitr.toml" # the cluster is the standby now
work standby 2 120 --points c
archived standby 2
wait_until 30 "nothing is left to archive" nothing_to_archive standby
expect_equal 0 "$(archiver standby failed_count)" "failed_count"
# shellcheck disable=SC2034 # truth_lib.sh reads it
ORIGIN=standby

story "before, at and after the failover"
pick commit 1 "$begin" "$middle"
recovery pause time "$(at "$TIME")"
gone
recovery shutdown xid "$XID" --timeline 1 --exclusive
gone
pick commit 1 "$middle" "$(fork_of 2)"
recovery promote time "$(at "$TIME")"
amcheck
gone
recovery pause lsn "$LSN"
gone
recovery pause xid "$XID"
gone
pick point 1 "$middle" "$(fork_of 2)"
recovery promote name "$XID"
checksums
gone
pick commit 2 "$(fork_of 2)"
recovery pause time "$(at $((TIME - 1)))"
gone
recovery shutdown lsn "$LSN" --exclusive
gone
recovery promote end ''
checksums
gone

story "a backup of the promoted standby"
backup standby
after=$(insert_lsn standby)
work standby 2 100
archived standby 2
pick commit 2 "$after"
recovery promote xid "$XID" --exclusive
amcheck
gone
recovery pause immediate ''
gone
