#!/bin/bash
# --delta brings any older or newer state of the same cluster to the backup's: what is changed, missing
# or too much is put right, what matches is kept. Another cluster's directory is refused.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10000
sql main 'CREATE TABLE kept AS SELECT generate_series(1, 100000) AS n'
sql main 'CREATE TABLE missing AS SELECT generate_series(1, 1000) AS n'
backup main
restore_into main copy
listing_of_backup=$(listing "$WORK/copy/data")
sql main 'INSERT INTO missing VALUES (0)'
switch_and_wait main
expected=$(sql main 'SELECT (SELECT count(*) FROM filled), (SELECT sum(n) FROM kept), (SELECT count(*) FROM missing)')

story "the copy goes its own way"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
sql copy 'DELETE FROM filled WHERE row % 2 = 0'
sql copy 'CREATE DATABASE additional'
sql copy 'CREATE TABLE additional AS SELECT generate_series(1, 10000)'
missing=$(sql copy "SELECT pg_relation_filepath('missing')")
kept=$(sql copy "SELECT pg_relation_filepath('kept')")
filled=$(sql copy "SELECT pg_relation_filepath('filled')")
stop copy
rm "$WORK/copy/data/$missing"
flip_byte "$WORK/copy/data/$kept" 20000  # neither size nor time tell
touch -r "$WORK/main/data/$kept" "$WORK/copy/data/$kept"
truncate -s 8192 "$WORK/copy/data/$filled"
mkdir -p "$WORK/copy/data/additional/folder"
echo additional >"$WORK/copy/data/additional/folder/file"
ln -s "$WORK/main" "$WORK/copy/data/additional/link"
rm "$WORK/copy/data/PG_VERSION"
echo "port = 99" >>"$WORK/copy/data/postgresql.conf"
touch "$WORK/copy/data/standby.signal"
sql main CHECKPOINT
remember_folder "$WORK/main/data/base"

story "--delta puts everything right"
expect_status 0 pitr main restore --delta --to "$WORK/copy/data"
expect_output "[0-9]+ kept"
expect_verified copy
expect_absent "$WORK/copy/data/additional"
expect_absent "$WORK/copy/data/standby.signal"
expect_absent "$WORK/copy/data/pitr.restoring"
diff <(echo "$listing_of_backup" | grep -vE 'postgresql.auto.conf|pg_wal') \
  <(listing "$WORK/copy/data" | grep -vE 'postgresql.auto.conf|pg_wal') >&2 ||
  fail "the directory is not as a fresh restore made it"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "$expected" "$(sql copy 'SELECT (SELECT count(*) FROM filled), (SELECT sum(n) FROM kept), (SELECT count(*) FROM missing)')" "rows"
expect_sound copy
expect_folder_unchanged "$WORK/main/data/base"

story "--json counts what was kept"
expect_status 0 pitr main restore --delta --to "$WORK/copy/data" --json --target-immediate
expect_json "$OUT"
expect_verified copy

story "of a file that differs only the pages that do are written"
cp "$WORK/copy/data/$kept" "$WORK/whole"
flip_byte "$WORK/copy/data/$kept" 20000
flip_byte "$WORK/copy/data/$kept" 900000
expect_status 0 strace -f -y -e trace=pwrite64 -o "$WORK/writes" "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" \
  restore --delta --to "$WORK/copy/data" --target-immediate
expect_same_file "$WORK/whole" "$WORK/copy/data/$kept"
expect_equal "8192 8192" "$(sed -n "s|.*/$kept>.* = \([0-9]*\)\$|\1|p" "$WORK/writes" | xargs)" "bytes written to $kept"
expect_verified copy

story "a restore that was killed goes on with --delta"
mkdir "$WORK/killed"
for delay in 0.03 0.06 0.1 0.15; do
  (exec "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --delta --to "$WORK/killed/data" \
    --target-immediate) >/dev/null 2>&1 &
  sleep "$delay"
  kill -KILL $! 2>/dev/null || true
  wait $! 2>/dev/null || true
done
expect_status 0 pitr main restore --delta --to "$WORK/killed/data" --target-immediate
expect_verified killed
recovered killed
stop killed

story "another cluster's directory, or what is no data directory, is refused and stays as it is"
new_cluster other --wal-segsize=1
mkdir "$WORK/nothing"
echo contents >"$WORK/nothing/file"
for directory in "$WORK/other/data" "$WORK/nothing"; do
  remember_folder "$directory"
  expect_status 2 pitr main restore --delta --to "$directory" --target-immediate
  expect_error "^ERROR: .*$directory"
  expect_folder_unchanged "$directory"
done
