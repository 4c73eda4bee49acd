#!/bin/bash
# Where the data directory cannot be read, the server sends the backup itself: the same manifest, the
# same checks, the same recovery, tablespaces and files of any size included.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
mkdir "$WORK/space"
sql main "CREATE TABLESPACE space LOCATION '$WORK/space'"
sql main "CREATE TABLE away TABLESPACE space AS SELECT n, repeat('x', 100) AS t FROM generate_series(1, 20000) n"
sql main "CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 100) AS n"
sql main "CREATE TABLE empty (n int)"
fill main 30000

story "the stream brings everything, while rows are written"
(for _ in {1..20}; do fill main 50; done) &
writer=$!
backup main --method stream --label streamed
wait "$writer"
expect_equal stream "$(json "$OUT" 'd["method"]')" "method"
switch_and_wait main
rows=$(sql main 'SELECT count(*), sum(row) FROM filled')
target=$(sql main 'SELECT clock_timestamp()')
sleep 0.1
fill main 1
sql main 'DROP TABLE away'
switch_and_wait main

story "pg_verifybackup accepts it, and it recovers to the moment"
restore_into main copy --target-time "$target" --action promote --archive-mode off \
  --tablespace "$WORK/space=$WORK/copy_space"
expect_absent "$WORK/copy/data/tablespace_map"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "$rows" "$(sql copy 'SELECT count(*), sum(row) FROM filled')" "rows"
expect_equal 20000 "$(sql copy 'SELECT count(*) FROM away')" "rows in the tablespace"
expect_equal 0 "$(sql copy 'SELECT count(*) FROM unlogged')" "rows of the unlogged table"
expect_sound copy

story "a data directory that cannot be read: the stream is chosen, and small files are in bundles"
mkdir -m 000 "$WORK/closed"
PITR_CLUSTER_DATA_DIRECTORY=$WORK/closed backup main
expect_equal stream "$(json "$OUT" 'd["method"]')" "method"
expect_backups main 2
objects=$(find "$WORK/main/repository/data" -path "*$BACKUP*" -type f | wc -l)
((objects < 40)) || fail "$objects objects for a small cluster"
restore_into main second --target-immediate --archive-mode off --tablespace "$WORK/space=$WORK/second_space"
recovered second
stop second

story "the server goes away in the middle: nothing is published"
slow_backup main 5MB --method stream
crash main
expect_backup_status 1
start main
expect_backups main 2
backup main --method stream
expect_backups main 3
