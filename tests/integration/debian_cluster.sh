#!/bin/bash
# A cluster made by pg_createcluster keeps its configuration in /etc: it is backed up too, and a copy
# restored beside the running origin starts with the printed command and leaves the origin alone.
# shellcheck disable=SC2034 # lib.sh reads it
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"
[[ $(id -u) == 0 ]] || skip "pg_createcluster needs root"
command -v pg_createcluster >/dev/null || skip "this is no Debian"
export PITR_RESTORE_RETRY_TIME=2s

version=15
PG_BIN=/usr/lib/postgresql/$version/bin
cluster=pitr_test_$$
port=$((20000 + $$ % 10000))
# Run by the exit trap, before WORK goes.
drop_it() {
  pg_dropcluster --stop "$version" "$cluster"
  rm -rf "/etc/postgresql/$version/$cluster" "/var/log/postgresql/postgresql-$version-$cluster.log"*
}
AT_EXIT+=("drop_it >/dev/null 2>&1")
mkdir "$WORK/debian"
chown "$PG_USER" "$WORK/debian"
pg_createcluster "$version" "$cluster" --port "$port" --datadir "$WORK/debian/data" \
  --socketdir "$WORK/debian" --start-conf manual -- -A trust -k --wal-segsize=1 >"$OUT" 2>"$ERR" ||
  fail "pg_createcluster: $(cat "$OUT" "$ERR")"
etc=/etc/postgresql/$version/$cluster
as_postgres tee "$etc/conf.d/pitr.conf" >/dev/null <<END
listen_addresses = ''
archive_mode = on
archive_command = '$PITR_BIN/pitr-archive --config $WORK/debian/pitr.toml %p'
END
pitr_config debian
sed -i "s|port=5432|port=$port|" "$WORK/debian/pitr.toml"
origin_sql() { as_postgres "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$WORK/debian" -p "$port" -U postgres -d postgres -c "$1"; }
pitr debian init >/dev/null
pg_ctlcluster "$version" "$cluster" start
expect_absent "$WORK/debian/data/postgresql.conf"

origin_sql 'CREATE TABLE filled AS SELECT generate_series(1, 1000) AS n'
expect_status 0 pitr debian backup
origin_sql 'INSERT INTO filled VALUES (0)'
segment=$(origin_sql 'SELECT pg_walfile_name(pg_switch_wal())')
stored_now() { [[ -n $(stored debian "$segment") ]]; }
wait_until 20 "$segment archived" stored_now

# start_with_printed_command COPY
start_with_printed_command() {
  local command
  command=$(grep -A 1 '^Start the server with' "$OUT" | tail -n 1)
  [[ -n $command ]] || fail "no command was printed: $(cat "$OUT")"
  command=${command//PORT/5432}
  # Socket folder and port are all that the test adds.
  as_postgres bash -c "PGOPTIONS= $command -w -t 30 -l '$WORK/$1/server.log' -o '-c unix_socket_directories=$WORK/$1 -c port=5432'" \
    >"$WORK/start.log" 2>&1 || fail "the printed command fails: $command: $(cat "$WORK/start.log")"
}

story "restored beside the running origin with a configuration of its own"
origin_sql CHECKPOINT
remember_folder "$WORK/debian/data/base"
remember_folder "$etc"
origin_pid=$(head -n 1 "$WORK/debian/data/postmaster.pid")
mkdir "$WORK/copy"
chown "$PG_USER" "$WORK/copy"
expect_status 0 pitr debian restore --to "$WORK/copy/data" --with-config
cp "$OUT" "$WORK/printed"
expect_verified copy
cp "$WORK/printed" "$OUT"
start_with_printed_command copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 1001 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
expect_equal "$WORK/copy/data" "$(sql copy 'SHOW data_directory')" "data_directory"
[[ $(sql copy 'SHOW config_file') != /etc/* ]] || fail "the copy reads the origin's configuration"
[[ $(sql copy 'SHOW hba_file') != /etc/* ]] || fail "the copy reads the origin's pg_hba.conf"
expect_sound copy

story "and without, from the origin's configuration but on its own directory"
mkdir "$WORK/second"
chown "$PG_USER" "$WORK/second"
expect_status 0 pitr debian restore --to "$WORK/second/data"
expect_output "data_directory="
start_with_printed_command second
wait_until 30 "the end of recovery" out_of_recovery second
expect_equal "$WORK/second/data" "$(sql second 'SHOW data_directory')" "data_directory"
stop second

story "a rehearsal needs nothing of /etc"
scratch_space
expect_status 0 pitr debian drill --scratch "$SCRATCH" # by Debian's own programs
nothing_is_left

story "the origin runs on and was not touched"
expect_equal "$origin_pid" "$(head -n 1 "$WORK/debian/data/postmaster.pid")" "the origin's process"
expect_equal "$WORK/debian/data" "$(origin_sql 'SHOW data_directory')" "the origin's data directory"
expect_folder_unchanged "$WORK/debian/data/base"
expect_folder_unchanged "$etc"
expect_equal 1001 "$(origin_sql 'SELECT count(*) FROM filled')" "the origin's rows"
