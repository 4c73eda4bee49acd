#!/bin/bash
# Chunks that TimescaleDB dropped come back with all their rows, also those younger than the backup.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s # for the restore_command of the servers started here

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
[[ -n $(sql main "SELECT name FROM pg_available_extensions WHERE name = 'timescaledb'") ]] ||
  skip "the server of \"$PG_BIN\" has no timescaledb"
stop main
# The copies have these settings, too: without workers nothing but this story commits or connects.
settings main "shared_preload_libraries = 'timescaledb'" "timescaledb.max_background_workers = 0" \
  "timescaledb.telemetry_level = off" "timezone = 'UTC'"
start main
sql main "SET client_min_messages = warning; CREATE EXTENSION timescaledb"
sql main "CREATE TABLE measured (at timestamptz NOT NULL, sensor int NOT NULL, value text NOT NULL)"
sql main "SELECT create_hypertable('measured', by_range('at', INTERVAL '1 day'))" >/dev/null

# measure DAY ROWS: of a day in March 2026, which is a chunk.
measure() {
  sql main "INSERT INTO measured SELECT timestamptz '2026-03-$1' + i * interval '1 second', i % 7, md5(i::text)
              FROM generate_series(1, $2) i"
}

# rows SERVER: of each chunk the name, the number of rows and what is in them.
rows() {
  sql "$1" "SELECT tableoid::regclass, count(*), md5(string_agg(at || ' ' || sensor || value, ' ' ORDER BY at))
              FROM measured GROUP BY tableoid ORDER BY tableoid"
}

# chunk DAY: the name of the table that has its rows.
chunk() {
  sql main "SELECT relname FROM pg_class WHERE oid =
              (SELECT DISTINCT tableoid FROM measured WHERE at::date = '2026-03-$1')"
}

measure 01 1000
measure 02 1100
measure 03 1200
backup main
measure 02 50 # rows of an older chunk that only the WAL has
measure 04 1300
old=$(chunk 01) and_old=$(chunk 02) young=$(chunk 04)
target=$(sql main 'SELECT clock_timestamp()')
at_target=$(rows main)
sleep 0.1
measure 03 15 # recovery stops before this commit; a drop on the way would hold its lock
before=$(rows main)
sql main "SELECT drop_chunks('measured', older_than => timestamptz '2026-03-03')" >/dev/null
measure 03 25
between=$(rows main)
sql main "SELECT drop_chunks('measured', newer_than => timestamptz '2026-03-04')" >/dev/null
measure 05 1400 # the server goes on
measure 03 10
switch_and_wait main
expect_equal 4 "$(wc -l <<<"$before")" "chunks before the drops"
expect_equal 2 "$(wc -l <<<"$between")" "chunks between them"

story "the history names the chunks, also the one that was made after the backup and its map"
expect_status 0 pitr main history --json
expect_json "$OUT"
schema=postgres._timescaledb_internal
expect_equal "$schema.$old $schema.$and_old
$schema.$young" "$(json "$OUT" '"\n".join(" ".join(sorted(
  "%(database)s.%(schema)s.%(name)s" % r for r in e["relations"]))
  for e in d["events"] if e["kind"] == "drop")')" "drops"

# expect_back COPY EXPECTED [options of restore]: it pauses with all rows of each chunk.
expect_back() {
  local copy=$1 expected=$2
  shift 2
  restore_into main "$copy" --archive-mode off "$@"
  recovered "$copy" "-c timescaledb.max_background_workers=0"
  expect_equal t "$(sql "$copy" 'SELECT pg_is_in_recovery()')" "in recovery"
  expect_equal "$expected" "$(rows "$copy")" "rows of each chunk"
  expect_equal "$(wc -l <<<"$expected")" "$(sql "$copy" "SELECT count(*) FROM show_chunks('measured')")" \
    "chunks that TimescaleDB knows"
  stop "$copy"
}

story "a time before the drops brings back every row of every chunk"
expect_back by_time "$at_target" --target-time "$target"

story "so does --before-drop of a chunk that the backup has"
expect_back by_old "$before" --before-drop "$old"

story "and --before-drop of one that only the WAL has, without those dropped before"
expect_back by_young "$between" --before-drop "_timescaledb_internal.$young"

story "promoted, the copy is sound, and TimescaleDB makes new chunks in it"
start_copy by_time
promote by_time
sql by_time "INSERT INTO measured VALUES ('2026-03-09', 1, 'one')"
expect_equal 5 "$(sql by_time "SELECT count(*) FROM show_chunks('measured')")" "chunks"
expect_sound by_time
