#!/bin/bash
# Tables truncated, dropped and grown, and databases dropped and made, while a backup reads the data
# directory: recovery makes a whole of it, with exactly the rows that were committed.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
for table in truncated dropped rewritten; do
  sql main "CREATE TABLE $table AS SELECT n, repeat('pitr', 50) AS contents FROM generate_series(1, 10000) n"
done
fill main 5000
sql main 'CREATE INDEX ON filled (row)'
sql main 'CREATE DATABASE goes'
sql main CHECKPOINT

slow_backup main 12MB --json
sql main 'TRUNCATE truncated'
sql main 'DROP TABLE dropped'
sql main 'DROP DATABASE goes'
sql main 'CREATE DATABASE comes'
sql main 'VACUUM FULL rewritten'
sql main CHECKPOINT # now the files go
while kill -0 "$BACKUP_PROCESS" 2>/dev/null; do
  fill main 1000
  sql main 'DELETE FROM rewritten WHERE n = (SELECT min(n) FROM rewritten)'
  sql main 'CREATE TABLE passing AS SELECT generate_series(1, 1000)'
  sql main 'DROP TABLE passing'
  sql main CHECKPOINT
done
expect_backup_status 0
expect_json "$OUT"
expect_equal ok "$(json "$OUT" 'd["status"]')" "status"
fill main 100
rows="SELECT (SELECT count(*) FROM truncated),
  (SELECT count(*) || ',' || sum(n) FROM rewritten),
  (SELECT count(*) || ',' || md5(string_agg(contents, '' ORDER BY row)) FROM filled),
  (SELECT count(*) FROM pg_class WHERE relname IN ('dropped', 'passing')),
  (SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database)"
expected=$(sql main "$rows")
switch_and_wait main

story "beside the running origin, to the end of the WAL"
restore_into main copy
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "$expected" "$(sql copy "$rows")" "rows"
expect_sound copy

story "and as soon as the backup is consistent"
restore_into main early --target-immediate --action promote
start_copy early
expect_sound early
