#!/bin/bash
# The only copy of the newest commits may lie in a crashed server's pg_wal: a restore over it moves the
# folder aside and names it. Only what the repository holds with the same contents is removed.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
fill main 100
switch_and_wait main
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
fill main 20000
crash main
unarchived=$(status_files main ready | grep -E '^[0-9A-F]{24}$' | head -n 1)
cp -r "$WORK/main/data/pg_wal" "$WORK/original"

story "pg_wal is moved aside, whole, and the output says where"
expect_status 0 pitr main restore --delta --to "$WORK/main/data"
expect_output "$WORK/main/data\.pg_wal-[0-9T]+Z"
aside=$(grep -oE "$WORK/main/data\.pg_wal-[0-9T]+Z" "$OUT" | head -n 1)
diff -r "$WORK/original" "$aside" >&2 || fail "pg_wal was not kept as it was"
[[ -f $aside/$unarchived ]] || fail "the segment that was never archived is lost"
expect_verified main
expect_equal "" "$(find "$WORK/main/data/pg_wal" -type f)" "files in the new pg_wal"

story "again, over a pg_wal that holds nothing: nothing is moved"
expect_status 0 pitr main restore --delta --to "$WORK/main/data"
expect_equal 1 "$(find "$WORK/main" -maxdepth 1 -name 'data.pg_wal-*' | wc -l)" "folders moved aside"
start main
wait_until 30 "the end of recovery" out_of_recovery main
expect_equal 100 "$(sql main 'SELECT count(*) FROM filled')" "rows"
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
sql main 'SELECT pg_reload_conf()' >/dev/null
switch_and_wait main
stop main

story "--waldir puts pg_wal elsewhere; a link there is replaced, its target untouched"
restore_into main copy --waldir "$WORK/wal of the copy"
expect_equal "$WORK/wal of the copy" "$(readlink "$WORK/copy/data/pg_wal")" "pg_wal"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
fill copy 100
stop copy immediate
remember_folder "$WORK/wal of the copy"
expect_status 0 pitr main restore --delta --to "$WORK/copy/data"
[[ -d $WORK/copy/data/pg_wal && ! -L $WORK/copy/data/pg_wal ]] || fail "pg_wal is a link still"
expect_folder_unchanged "$WORK/wal of the copy"
expect_status 2 pitr main restore --delta --to "$WORK/copy/data" --waldir "$WORK/wal of the copy"
expect_error "not empty"
expect_status 2 pitr main restore --to "$WORK/another" --waldir "$WORK/another/pg_wal_here"
expect_absent "$WORK/another"
expect_folder_unchanged "$WORK/wal of the copy"
