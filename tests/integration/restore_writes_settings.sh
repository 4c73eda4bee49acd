#!/bin/bash
# The recovery settings that a restore writes are the last word: what the origin had set for an
# earlier recovery does not survive, and a configuration path with any characters works.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
for setting in "recovery_target_name = 'an old one'" "restore_command = 'false'" \
  "archive_cleanup_command = 'touch $WORK/cleaned'" "recovery_end_command = 'touch $WORK/ended'" \
  "recovery_target_action = 'shutdown'" "recovery_target_inclusive = off" "work_mem = '7MB'" \
  "primary_conninfo = 'host=nowhere'"; do
  sql main "ALTER SYSTEM SET $setting"
done
echo "# standby.signal of a mistake" >"$WORK/main/data/standby.signal" # the server runs: no effect
backup main
rm "$WORK/main/data/standby.signal"
fill main 100
sql main "SELECT pg_create_restore_point('here')" >/dev/null
filled=$(sql main 'SELECT count(*), sum(row) FROM filled')
fill main 100
switch_and_wait main

folder="$WORK/it's %f 100% \"odd\" \\ \$HOME &"
mkdir "$folder"
cp -p "$WORK/main/pitr.toml" "$folder/my pitr.toml"
odd() { as_postgres "$PITR_BIN/pitr" --config "$folder/my pitr.toml" "$@"; }

story "only recovery.signal, and postgresql.auto.conf ends with the plan"
mkdir "$WORK/copy"
expect_status 0 odd restore --to "$WORK/copy/data" --target-name here
expect_verified copy
settings_file=$WORK/copy/data/postgresql.auto.conf
[[ -f $WORK/copy/data/recovery.signal ]] || fail "there is no recovery.signal"
expect_absent "$WORK/copy/data/standby.signal"
expect_absent "$WORK/copy/data/pitr.restoring"
expect_absent "$WORK/copy/data/tablespace_map"
[[ -f $WORK/copy/data/backup_label ]] || fail "there is no backup_label"
grep -q "^work_mem = '7MB'" "$settings_file" || fail "work_mem did not survive"
expect_equal 1 "$(grep -c '^restore_command' "$settings_file")" "lines of restore_command"
expect_equal "recovery_target_name = 'here'" "$(grep '^recovery_target' "$settings_file" | tail -n 1)" \
  "the last target"
expect_equal "recovery_target_timeline = '1'" "$(grep '^recovery_target_timeline' "$settings_file")" "timeline"
expect_equal "" "$(grep -E 'an old one|false|touch' "$settings_file" || true)" "old settings"

story "PostgreSQL stops exactly there"
recovered copy
expect_equal "$filled" "$(sql copy 'SELECT count(*), sum(row) FROM filled')" "rows"
expect_equal here "$(sql copy 'SHOW recovery_target_name')" "recovery_target_name"
expect_equal "" "$(sql copy 'SHOW recovery_end_command')" "recovery_end_command"
promote copy
expect_sound copy
expect_absent "$WORK/cleaned"
expect_absent "$WORK/ended"

story "a time is written with its zone, an exclusive target as such; each action"
now=$(sql main 'SELECT clock_timestamp()')
fill main 1
switch_and_wait main
TZ=America/New_York restore_into main timed --target-time "$now" --action shutdown
grep -qE "^recovery_target_time = '.*([+-][0-9]{2}|Z|UTC)" "$WORK/timed/data/postgresql.auto.conf" ||
  fail "no zone: $(grep recovery_target_time "$WORK/timed/data/postgresql.auto.conf")"
grep -q "^recovery_target_action = 'shutdown'" "$WORK/timed/data/postgresql.auto.conf" || fail "no shutdown"
restore_into main exclusive --target-lsn "$(sql main 'SELECT pg_current_wal_flush_lsn() - 2000000')" --exclusive --action promote || true
grep -q "^recovery_target_inclusive = 'off'" "$WORK/exclusive/data/postgresql.auto.conf" || fail "inclusive"

story "--recovery-option adds; --archive-mode says whether the copy archives"
restore_into main options --target-immediate --recovery-option "recovery_min_apply_delay=0" \
  --recovery-option "max_connections=200" --archive-mode off
recovered options
expect_equal "200 off" "$(sql options 'SHOW max_connections') $(sql options 'SHOW archive_mode')" "settings"
promote options
expect_sound options
restore_into main preserving --target-immediate --action promote --archive-mode preserve
start_copy preserving
wait_until 30 "the end of recovery" out_of_recovery preserving
expect_equal on "$(sql preserving 'SHOW archive_mode')" "archive_mode"
wait_until 20 "a refused archive: the copy is not the configured directory" archiving_failed preserving
[[ -z $(stored main 00000002.history) ]] || fail "a copy archived into its origin's repository"

story "a configuration that leads to the original's files: the printed command starts the copy all the same"
settings main "data_directory = '$WORK/main/data'" "hba_file = '$WORK/main/data/pg_hba.conf'" \
  "external_pid_file = '$WORK/main/ext.pid'"
backup main
restore_into main led --target-immediate --action promote --archive-mode off --backup "$BACKUP"
expect_error "WARNING:  postgresql.conf names files by itself"
expect_status 0 pitr main restore --json --delta --to "$WORK/led/data" --target-immediate --action promote \
  --archive-mode off --backup "$BACKUP"
printed=$(json "$OUT" 'd["restored"]["start_command"]')
stop main
as_postgres env PATH="$PG_BIN:$PATH" bash -c "$printed -l '$WORK/led/server.log' -w -t 30" >/dev/null || fail "it does not start: $printed"
expect_equal "$WORK/led/data $WORK/led/data/pg_hba.conf" \
  "$(sql main 'SHOW data_directory') $(sql main 'SHOW hba_file')" "of the server that the command started"
stop led
expect_absent "$WORK/main/ext.pid"
odd="$WORK/it's an odd place/data" # pg_ctl itself quotes with \"
mkdir -p "$(dirname "$odd")"
expect_status 0 pitr main restore --json --to "$odd" --target-immediate --action promote --archive-mode off --backup "$BACKUP"
printed=$(json "$OUT" 'd["restored"]["start_command"]')
as_postgres env PATH="$PG_BIN:$PATH" bash -c "$printed -l '$WORK/led/server.log' -w -t 30" >/dev/null || fail "it does not start: $printed"
expect_equal "$odd" "$(sql main 'SHOW data_directory')" "of the server that the command started"
"$PG_BIN/pg_ctl" stop -D "$odd" -m immediate >/dev/null
expect_absent "$WORK/main/data/postmaster.pid"
