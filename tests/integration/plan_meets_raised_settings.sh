#!/bin/bash
# max_connections and the four settings like it are raised after the backup: a hot standby with the
# backup's own would stop on the way. The restore raises them, and the server pauses at its target.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

five=(max_connections max_worker_processes max_wal_senders max_prepared_transactions max_locks_per_transaction)

# expect_settings COPY VALUE…: what postgresql.auto.conf says of the five, in their order; - is nothing.
expect_settings() {
  local file=$WORK/$1/data/postgresql.auto.conf name found
  shift
  for name in "${five[@]}"; do
    found=$(sed -nE "s/^$name = '(.*)'\$/\\1/p" "$file" | xargs)
    expect_equal "$1" "${found:--}" "$name in postgresql.auto.conf"
    shift
  done
}

moment() { sql main 'SELECT clock_timestamp()'; }
# commit TEXT: a row, in a moment of its own.
commit() {
  sql main "INSERT INTO log VALUES ('$1')"
  sleep 0.02
}
rows() { sql "$1" "SELECT string_agg(word, ' ' ORDER BY word) FROM log"; }

new_cluster main --wal-segsize=1
settings main 'fsync = off' 'max_connections = 40' 'max_worker_processes = 4' 'max_wal_senders = 4' \
  'max_prepared_transactions = 0' 'max_locks_per_transaction = 64' 'hot_standby = on'
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (word text)'
commit 1
backup main
commit 2
before=$(moment)
commit 3

story "all five are raised, in two steps; then some are lowered again"
stop main
cp "$WORK/main/data/postgresql.conf" "$WORK/postgresql.conf"
settings main 'max_connections = 60' 'max_worker_processes = 12' 'max_wal_senders = 9'
start main
commit 4
stop main
settings main 'max_prepared_transactions = 7' 'max_locks_per_transaction = 100'
start main
commit 5
stop main
settings main 'max_connections = 50' 'max_locks_per_transaction = 70'
start main
commit 6
after=$(moment)
commit 7
switch_and_wait main
stop main

story "before they were raised nothing is raised"
restore_into main early --target-time "$before"
expect_no_error 'raised'
expect_settings early - - - - -
recovered early
expect_equal "1 2" "$(rows early)" "rows"
stop early

story "behind it each has the greatest value of the path, and the server pauses at the target"
restore_into main copy --target-time "$after"
expect_error 'settings were raised'
expect_settings copy 60 12 9 7 100
expect_same_file "$WORK/postgresql.conf" "$WORK/copy/data/postgresql.conf" # the backup's, with the old ones
recovered copy
expect_equal "1 2 3 4 5 6" "$(rows copy)" "rows"
expect_equal 60 "$(sql copy 'SHOW max_connections')" "max_connections"
grep -q 'pausing at the end of recovery' "$WORK/copy/server.log" || fail "it does not pause at its target"
if grep -q 'insufficient parameter' "$WORK/copy/server.log"; then fail "PostgreSQL found a setting too low"; fi
sql copy 'SELECT pg_wal_replay_resume()' >/dev/null
expect_sound copy

story "the record that raises them, replayed as the last one"
mapfile -t segments < <(cd "$WORK/main/data/pg_wal" && find . -name '00000001*' ! -name '*.backup' -printf '%f\n' | sort)
# pg_waldump goes on to where the WAL ends, and does not like it.
change=$({ pg_waldump -p "$WORK/main/data/pg_wal" -r XLOG "${segments[0]}" "${segments[-1]}" 2>/dev/null || :; } |
  grep 'PARAMETER_CHANGE max_connections=60 .*max_prepared_xacts=7' | sed -E 's|.*lsn: ([0-9A-F/]+),.*|\1|')
restore_into main record --target-lsn "$change"
expect_settings record 60 12 9 7 100
recovered record
if grep -q 'insufficient parameter' "$WORK/record/server.log"; then fail "PostgreSQL found a setting too low"; fi
stop record
restore_into main before_record --target-lsn "$change" --exclusive
expect_settings before_record 60 12 9 0 64

# stops_short COPY ROWS SETTINGS…: a copy without the lines of these settings pauses on the way.
stops_short() {
  local copy=$1 expected=$2 name
  shift 2
  restore_into main "$copy" --target-time "$after"
  for name in "$@"; do sed -i "/^$name = /d" "$WORK/$copy/data/postgresql.auto.conf"; done
  recovered "$copy"
  grep -q 'hot standby is not possible because of insufficient parameter settings' "$WORK/$copy/server.log" ||
    fail "PostgreSQL does not miss $*: the test has no teeth"
  grep -qE "$1 = [0-9]+ is a lower setting than on the primary server" "$WORK/$copy/server.log" ||
    fail "PostgreSQL does not name $1"
  if grep -q 'recovery stopping' "$WORK/$copy/server.log"; then fail "it reached the target without $*"; fi
  expect_equal "$expected" "$(rows "$copy")" "rows without $*"
  crash "$copy"
}

story "a rehearsal raises them, too"
scratch_space
expect_status 0 pitr main drill --json --target-time "$after" --scratch "$SCRATCH" --bin-dir "$PG_BIN"
expect_equal "ok False" "$(json "$OUT" 'd["status"] + " " + str(d["promoted"])')" "the report"
nothing_is_left

story "without these lines PostgreSQL does not reach it"
stops_short none "1 2 3" "${five[@]}"
stops_short locks "1 2 3 4" max_locks_per_transaction
