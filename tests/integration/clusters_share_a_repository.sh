#!/bin/bash
# A cluster that went through pg_upgrade keeps its name and its old backups under two system identifiers;
# another cluster of the same repository is asked for by its name. Neither ever takes the other's files.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
identifier() { "$PG_BIN/pg_controldata" "$WORK/$1/data" | sed -n 's/^Database system identifier: *//p'; }

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log AS SELECT 1 AS n'
backup main
old_backup=$BACKUP
sql main 'INSERT INTO log VALUES (2)'
old_moment=$(sql main 'SELECT clock_timestamp()')
sql main 'UPDATE log SET n = 0'
switch_and_wait main
old=$(identifier main)
stop main

story "pg_upgrade gives another system identifier: its WAL is refused until init --upgraded"
as_postgres mkdir "$WORK/upgraded"
as_postgres "$PG_BIN/initdb" -D "$WORK/upgraded/data" -A trust -U postgres --no-sync -k --wal-segsize=1 >/dev/null
(cd "$WORK/upgraded" && as_postgres "$PG_BIN/pg_upgrade" -b "$PG_BIN" -B "$PG_BIN" -d "$WORK/main/data" \
  -D "$WORK/upgraded/data" -U postgres -s "$WORK/upgraded" >"$WORK/upgrade.log" 2>&1) ||
  fail "pg_upgrade: $(cat "$WORK/upgrade.log")"
as_postgres mv "$WORK/main/data" "$WORK/main/old_data"
as_postgres mv "$WORK/upgraded/data" "$WORK/main/data"
server_settings main
new=$(identifier main)
[[ $new != "$old" ]] || fail "pg_upgrade kept the identifier"
expect_status 1 pitr main init
expect_error "HINT: .*--upgraded"
start main
sql main 'INSERT INTO log VALUES (3)'
sql main 'SELECT pg_switch_wal()' >/dev/null
refused() { (($(archiver main failed_count) > 0)); }
wait_until 20 "the archiving to be refused" refused
expect_status 0 pitr main init --upgraded
expect_status 0 pitr main init --upgraded
switch_and_wait main
backup main
sql main 'INSERT INTO log VALUES (4)'
switch_and_wait main

story "info tells both, and which one is current"
expect_status 0 pitr main info --json
expect_equal "$old False $old_backup,$new True $BACKUP" \
  "$(json "$OUT" '",".join(" ".join([c["system_identifier"], str(c["current"]), c["backups"][0]["id"]]) for c in sorted(d["clusters"], key=lambda c: c["current"]))')" "clusters"

story "the current one is restored; the old one where its backup is named or only it has the moment"
restore_into main copy --target-immediate --action promote
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "0 0 3" "$(sql copy "SELECT string_agg(n::text, ' ' ORDER BY n) FROM log")" "rows"
crash copy
for asked in "--backup $old_backup" ""; do
  # shellcheck disable=SC2086 # two words or none
  expect_status 0 pitr main restore --dry-run --json $asked --target-time "$old_moment"
  expect_equal "$old_backup" "$(json "$OUT" 'd["backup"]')" "backup"
  expect_error "WARNING: .*before pg_upgrade.*$old"
done
restore_into main before --target-time "$old_moment" --action promote
start_copy before
wait_until 30 "the end of recovery" out_of_recovery before
expect_equal "1 2" "$(sql before "SELECT string_agg(n::text, ' ' ORDER BY n) FROM log")" "rows"
crash before

story "a configuration that still names the data directory from before is told"
as_postgres cp "$WORK/main/pitr.toml" "$WORK/main/now.toml"
as_postgres sed -i "s|^data_directory.*|data_directory = \"$WORK/main/old_data\"|" "$WORK/main/pitr.toml"
expect_status 0 pitr main restore --dry-run
expect_error "^WARNING: .*before pg_upgrade, with system identifier $old; the current one has $new"
as_postgres cp "$WORK/main/now.toml" "$WORK/main/pitr.toml"
expect_status 0 pitr main restore --dry-run
expect_no_error 'before pg_upgrade'

story "a second cluster in the same repository, asked for by its name"
new_cluster other --wal-segsize=1
pitr_config other main
as_postgres sed -i 's/^name = .*/name = "other"/' "$WORK/other/pitr.toml"
expect_status 0 pitr other init
start other
sql other 'CREATE TABLE theirs AS SELECT 7 AS n'
backup other
stop other
expect_status 0 pitr main --cluster other info --json
expect_equal "other" "$(json "$OUT" '",".join(c["name"] for c in d["clusters"])')" "the chosen cluster"
as_postgres mkdir "$WORK/theirs"
expect_status 0 pitr main restore --cluster other --to "$WORK/theirs/data" --target-immediate --action promote
expect_verified theirs
start_copy theirs
wait_until 30 "the end of recovery" out_of_recovery theirs
expect_equal 7 "$(sql theirs 'SELECT n FROM theirs')" "rows"
crash theirs
expect_status 1 pitr main info --cluster nobody
expect_error "nobody"
