#!/bin/bash
# pg_rewind fetches with pitr-restore what the old primary has removed of its own WAL, and gets the old
# primary back as a standby of the new one.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
settings main "wal_keep_size = 0" "wal_log_hints = on" "max_wal_size = '4MB'" "min_wal_size = '2MB'" \
  "restore_command = '$PITR_BIN/pitr-restore --config $WORK/main/pitr.toml %f %p'"
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log AS SELECT 1 AS n'
backup main

story "a standby is promoted while the old primary writes on"
restore_into main copy --standby --archive-mode preserve
pitr_config copy main
settings copy "archive_command = '$PITR_BIN/pitr-archive --config $WORK/copy/pitr.toml %p'"
start_copy copy
promote copy
wait_until 30 "the end of recovery" out_of_recovery copy
sql copy 'INSERT INTO log VALUES (2)'
switch_and_wait copy
for _ in {1..12}; do
  fill main 1000
  sql main 'CHECKPOINT'
  switch_and_wait main
done
stop main

story "without restore_command pg_rewind lacks WAL, with it pg_rewind has all"
rewind() {
  (cd "$WORK/main/data" && as_postgres "$PG_BIN/pg_rewind" "$@" -D "$WORK/main/data" \
    --source-server="host=$WORK/copy port=5432 user=postgres dbname=postgres" >"$WORK/rewind.log" 2>&1)
}
if rewind --dry-run; then fail "nothing was missing: $(cat "$WORK/rewind.log")"; fi
remember_folder "$WORK/main/repository"
rewind --restore-target-wal || fail "pg_rewind: $(cat "$WORK/rewind.log")"
expect_folder_unchanged "$WORK/main/repository"
expect_absent "$WORK/main/data/pg_wal/pitr.prefetch"

story "the old primary follows the new one"
server_settings main
settings main "primary_conninfo = 'host=$WORK/copy port=5432 user=postgres'" \
  "restore_command = '$PITR_BIN/pitr-restore --config $WORK/main/pitr.toml %f %p'"
as_postgres touch "$WORK/main/data/standby.signal"
start main
followed() { [[ $(sql main 'SELECT string_agg(n::text, $$ $$ ORDER BY n) FROM log') == "1 2 3" ]]; }
sql copy 'INSERT INTO log VALUES (3)'
wait_until 30 "the rows of the new primary" followed
