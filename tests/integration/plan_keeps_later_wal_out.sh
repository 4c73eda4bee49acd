#!/bin/bash
# What is archived after a restore and before its server is started stays out of it, a DROP TABLE in
# particular: behind a time after the last archived commit, also where the WAL ended in a tail of a
# segment that comes whole later, and behind --before-drop.
# (restore_beyond_the_archive.sh has the plain time and its JSON.)
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

# filled TABLE COUNT: a table with so many rows.
filled() { sql main "CREATE TABLE $1 AS SELECT i AS row, md5(i::text) AS text FROM generate_series(1, $2) i"; }
# contents SERVER TABLE: nothing where there is none.
contents() {
  if [[ $(sql "$1" "SELECT to_regclass('$2') IS NOT NULL") == t ]]; then
    sql "$1" "SELECT count(*), sum(row), md5(string_agg(text, '' ORDER BY row)) FROM $2"
  fi
}
moment() { sql main 'SELECT clock_timestamp()'; }
current_segment() { sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())'; }

# at_target COPY: PostgreSQL stopped there because of its target, not because the WAL ended.
at_target() {
  recovered "$1"
  grep -q 'recovery stopping' "$WORK/$1/server.log" || fail "\"$1\" does not say that it stopped at a target"
}
expect_contents() { expect_equal "$3" "$(contents "$1" "$2")" "rows of \"$2\" in \"$1\""; }

new_cluster main --wal-segsize=1
settings main 'fsync = off'
pitr main init >/dev/null
start main
backup main
filled orders 1000
filled customers 500
orders=$(contents main orders)
customers=$(contents main customers)
switch_and_wait main
sleep 0.05
late=$(moment)

story "a time after the last archived commit; then both tables are dropped, and that is archived"
restore_into main late --target-time "$late" --archive-mode off
expect_error '^WARNING: .*not archived yet'
sql main 'DROP TABLE orders'
switch_and_wait main
fill main 10
switch_and_wait main
at_target late
expect_contents late orders "$orders"
expect_contents late customers "$customers"
promote late
expect_sound late

story "--before-drop; then the other table is dropped, and that is archived"
restore_into main before --before-drop orders --archive-mode off
sql main 'DROP TABLE customers'
switch_and_wait main
at_target before
expect_contents before orders "$orders"
expect_contents before customers "$customers"
expect_contents before filled ""
sql before 'SELECT pg_wal_replay_resume()' >/dev/null
expect_sound before

story "the same --before-drop where the DROP was the last that is archived"
restore_into main last --before-drop customers --archive-mode off
filled customers 7 # another one of that name, that goes as well
sql main 'DROP TABLE customers'
sql main 'DROP TABLE filled'
switch_and_wait main
at_target last
expect_contents last customers "$customers"
expect_equal 10 "$(sql last 'SELECT count(*) FROM filled')" "rows"
sql last 'SELECT pg_wal_replay_resume()' >/dev/null
expect_sound last

story "the archive ends in a tail; then the segment comes whole, with the DROP in it"
filled late_orders 100
late_orders=$(contents main late_orders)
sql main CHECKPOINT
segment=$(current_segment)
mkdir "$WORK/tail"
cp "$WORK/main/data/pg_wal/$segment" "$WORK/tail/"
expect_status 0 archive main "$WORK/tail/$segment"
expect_equal "" "$(stored main "$segment")" "the whole segment"
sleep 0.05
late=$(moment)
restore_into main tail --target-time "$late" --archive-mode off
expect_error '^WARNING: .*not archived yet'
sql main 'DROP TABLE late_orders'
expect_equal "$segment" "$(current_segment)" "the segment of the DROP"
switch_and_wait main
[[ -n $(stored main "$segment") ]] || fail "the whole segment is not stored"
at_target tail
expect_contents tail late_orders "$late_orders"
sql tail 'SELECT pg_wal_replay_resume()' >/dev/null
expect_sound tail

story "the end of the WAL means what is archived when the server starts: there they are gone"
restore_into main end --archive-mode off
start_copy end
wait_until 30 "the end of recovery" out_of_recovery end
for table in orders customers late_orders; do expect_contents end "$table" ""; done
