#!/bin/bash
# --standby makes a server that follows the archive and can be promoted; what it archives then is
# another timeline.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 100
backup main
fill main 100
switch_and_wait main

restore_into main standby --standby
[[ -f $WORK/standby/data/standby.signal ]] || fail "there is no standby.signal"
expect_absent "$WORK/standby/data/recovery.signal"
rows() { [[ $(sql standby 'SELECT count(*) FROM filled') == "$1" ]]; }

story "it stands by and follows the archive"
start_copy standby
wait_until 30 "the rows of the archive" rows 200
in_recovery standby || fail "the standby is no standby"
fill main 100
switch_and_wait main
wait_until 30 "the new rows" rows 300

story "promoted it goes on from there"
stop main
promote standby
sql standby 'INSERT INTO filled (contents) VALUES (1)'
expect_equal 301 "$(sql standby 'SELECT count(*) FROM filled')" "rows"
expect_equal 2 "$(sql standby 'SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 8, 1)')" "timeline"
expect_sound standby
