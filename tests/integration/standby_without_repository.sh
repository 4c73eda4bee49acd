#!/bin/bash
# A primary and its repository vanish together: the standby stays up, serves reads and can be promoted.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=200ms

new_cluster main --wal-segsize=1
expect_status 0 pitr main init
start main
fill main 100
backup main
fill main 100
switch_and_wait main

# It streams from the primary and falls back to the archive. Its state directory is its own host's.
mkdir "$WORK/standby"
sed "s|^directory = .*|directory = \"$WORK/standby/state\"|" "$WORK/main/pitr.toml" >"$WORK/standby/pitr.toml"
chmod 600 "$WORK/standby/pitr.toml"
expect_status 0 pitr standby restore --standby --to "$WORK/standby/data" \
  --recovery-option "primary_conninfo=host=$WORK/main port=5432 user=postgres"
expect_verified standby
start_copy standby -c hot_standby=on -c wal_retrieve_retry_interval=200ms
streaming() { [[ $(sql main 'SELECT count(*) FROM pg_stat_replication') == 1 ]]; }
rows() { [[ $(sql standby 'SELECT count(*) FROM filled') == "$1" ]]; }
wait_until 30 "the standby streams" streaming

story "it follows by streaming, ahead of the archive"
fill main 50
wait_until 30 "rows that are in no archive" rows 250

story "the primary and its repository are gone in one moment"
mv "$WORK/main/repository" "$WORK/gone"
crash main
for _ in 1 2 3 4 5 6; do
  sleep 0.5
  in_recovery standby || fail "the standby is not in recovery any more"
done
rows 250 || fail "the standby lost rows"
# What the walreceiver says of its lost primary is no matter; the startup process is.
! grep -E "startup process .* (exited|was terminated)" "$WORK/standby/server.log" >&2 ||
  fail "the startup process died"
grep -qE "^ERROR: " "$WORK/standby/server.log" || fail "nobody said that the repository is gone"

story "restarted it stays up as well"
stop standby
start_copy standby -c hot_standby=on -c wal_retrieve_retry_interval=200ms
rows 250 || fail "the standby lost rows in a restart"

story "promoted without a repository, it goes on"
promote standby
wait_until 30 "the end of recovery" out_of_recovery standby
sql standby "INSERT INTO filled (contents) VALUES ('alone')"
expect_equal 251 "$(sql standby 'SELECT count(*) FROM filled')" "rows"
expect_equal 2 "$(sql standby 'SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 8, 1)')" "timeline"

story "the repository comes back: what the new primary wrote is archived at last"
mv "$WORK/gone" "$WORK/main/repository"
sed -i "s|^data_directory = .*|data_directory = \"$WORK/standby/data\"|" "$WORK/standby/pitr.toml"
settings standby "archive_command = '$PITR_BIN/pitr-archive --config $WORK/standby/pitr.toml %p'"
sql standby 'SELECT pg_reload_conf()' >/dev/null
switch_and_wait standby
wait_until 70 "everything archived" nothing_to_archive standby
restore_into standby copy
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 251 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
expect_sound copy
