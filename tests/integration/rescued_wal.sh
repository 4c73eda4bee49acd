#!/bin/bash
# A primary is killed with three segments that were never archived and one half filled: restored over
# its own data directory with --wal-from not one commit is lost. pitr push archives such a folder by hand.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
expect_status 0 pitr main init
start main
fill main 100
backup main
fill main 100
switch_and_wait main

story "three segments and a half that archiving refuses; then the server is killed"
settings main "archive_command = 'false'" "log_min_messages = error"
sql main 'SELECT pg_reload_conf()' >/dev/null
for rows in 1 2 3; do
  fill main "$rows"00
  switch main
done
moment=$(sql main "SELECT clock_timestamp()")
sql main "SELECT pg_sleep(0.01)" >/dev/null
fill main 1000
half=$(sql main 'SELECT pg_walfile_name(pg_current_wal_lsn())')
crash main
expect_equal 3 "$(status_files main ready | grep -cE '^[0-9A-F]{24}$')" "segments that were not archived"
expect_absent "$WORK/main/data/pg_wal/archive_status/$half.ready"
remember_repository main
cp -a "$WORK/main" "$WORK/crashed"
[[ -z $(stored main "$half") ]] || fail "the last segment is stored"

# as_crashed NAME: main's directory as the crash left it, the repository as it was.
as_crashed() {
  rm -rf "$WORK/main"
  cp -a "$WORK/crashed" "$WORK/main"
}

# expect_rows COUNT: what the started main has once it has recovered.
expect_rows() {
  start main
  wait_until 30 "the end of recovery" out_of_recovery main
  expect_equal "$1" "$(sql main 'SELECT count(*) FROM filled')" "rows"
  stop main
}

story "the plan counts the rescued WAL, and writes nothing"
expect_status 0 pitr main restore --dry-run --json
without=$(json "$OUT" 'd["segment_count"]')
remember_folder "$WORK/main"
expect_status 0 pitr main restore --dry-run --json --wal-from "$WORK/main/data/pg_wal"
expect_json "$OUT"
expect_equal "$half" "$(json "$OUT" 'd["last_segment"]')" "last segment of the plan"
expect_equal $((without + 4)) "$(json "$OUT" 'd["segment_count"]')" "segments of the plan"
expect_folder_unchanged "$WORK/main"

story "a moment inside the rescued WAL is refused without it"
expect_status 0 pitr main restore --dry-run --json --target-time "$moment"
expect_equal end_of_wal "$(json "$OUT" 'd["stops_at"]["kind"]')" "without: stops at"
expect_status 3 pitr main restore --dry-run --json --strict --target-time "$moment"
expect_status 0 pitr main restore --dry-run --json --strict --target-time "$moment" --wal-from "$WORK/main/data/pg_wal"
expect_equal commit "$(json "$OUT" 'd["stops_at"]["kind"]')" "with: stops at"

story "over its own data directory, with its own pg_wal: nothing is lost, the half segment included"
expect_status 0 pitr main restore --delta --to "$WORK/main/data" --wal-from "$WORK/main/data/pg_wal"
expect_verified main
expect_rows 1800
expect_repository_kept main

story "the same with pg_wal moved away first, as an operator would"
as_crashed
mv "$WORK/main/data/pg_wal" "$WORK/rescued"
expect_status 0 pitr main restore --delta --to "$WORK/main/data" --wal-from "$WORK/rescued"
expect_output "^  pitr --config .* push --from $WORK/rescued$"
expect_verified main
expect_rows 1800

story "to the moment inside"
as_crashed
expect_status 0 pitr main restore --delta --to "$WORK/main/data" --wal-from "$WORK/rescued" \
  --target-time "$moment" --action promote
expect_verified main
expect_rows 800

story "the same command again after one that did not come to its end: nothing is lost either"
as_crashed
cp -a "$WORK/main/data/pg_wal" "$WORK/original"
killed_at() {
  timeout 60 strace -f -qq -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" \
    "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --delta --to "$WORK/main/data" \
    --wal-from "$WORK/main/data/pg_wal" >"$OUT" 2>"$ERR"
}
# as_crashed_linked: the same, of a server made by initdb --waldir.
as_crashed_linked() {
  as_crashed
  rm -rf "$WORK/elsewhere"
  mv "$WORK/main/data/pg_wal" "$WORK/elsewhere"
  ln -s "$WORK/elsewhere" "$WORK/main/data/pg_wal"
}
for call in "unlink 1" "rename 1" "mkdirat 5" "fchmod 50" "syncfs 1" "fsync 8" \
  "unlink 1 linked" "fchmod 50 linked" "syncfs 1 linked"; do
  strace -o /dev/null true 2>/dev/null || break
  read -r name number linked <<<"$call"
  [[ -z $linked ]] || as_crashed_linked
  { killed_at "$name" "$number" || true; } 2>/dev/null
  # Either it goes on with the WAL that was moved aside, or it says where that lies now.
  status=0
  pitr main restore --delta --to "$WORK/main/data" --wal-from "$WORK/main/data/pg_wal" \
    >"$OUT" 2>"$ERR" || status=$?
  LAST_COMMAND="restore --wal-from, after one that was killed at $call"
  if [[ $status == 0 ]]; then
    expect_verified main
    expect_rows 1800
  else
    expect_error "^ERROR: "
    expect_error "data\.pg_wal-"
  fi
  kept=$(find "$WORK/main" ${linked:+"$WORK/elsewhere"} -name "$half" | head -n 1)
  [[ -n $kept ]] || fail "killed at $call: the rescued WAL is gone"
  as_crashed
done

story "pg_wal was a link, to a folder that stays as it is"
for to in "" "$WORK/new_wal"; do
  as_crashed_linked
  remember_folder "$WORK/elsewhere"
  expect_status 0 pitr main restore --delta --to "$WORK/main/data" --wal-from "$WORK/main/data/pg_wal" \
    ${to:+--waldir "$to"}
  expect_folder_unchanged "$WORK/elsewhere"
  expect_verified main
  expect_rows 1800
done

story "push archives the folder; a second call changes nothing"
as_crashed
expect_status 0 pitr main push --from "$WORK/rescued"
expect_repository_kept main
for segment in "$(segment_after "$half" -3)" "$(segment_after "$half" -2)" "$(segment_after "$half" -1)"; do
  expect_fetched main "$segment" "$WORK/rescued/$segment"
done
remember_repository main
expect_status 0 pitr main push --from "$WORK/rescued" --json
expect_json "$OUT"
expect_equal "[]" "$(json "$OUT" 'd["refused"]')" "refused"
expect_repository_unchanged main
expect_no_leftovers main

story "another cluster's segment is refused, the others are stored"
new_cluster other --wal-segsize=1
settings other "archive_mode = off"
start other
until [[ ${foreign-} > $half && ! -e $WORK/rescued/$foreign ]]; do
  switch other
  foreign=$SEGMENT
done
stop other immediate
as_crashed
cp -a "$WORK/rescued" "$WORK/mixed"
expect_absent "$WORK/mixed/$foreign"
cp "$WORK/other/data/pg_wal/$foreign" "$WORK/mixed/$foreign"
expect_status 1 pitr main push --from "$WORK/mixed" --json
expect_json "$OUT"
expect_error "system identifier"
expect_equal "['$foreign']" "$(json "$OUT" 'd["refused"]')" "refused"
expect_equal "" "$(stored main "$foreign")" "the foreign segment"
[[ -n $(stored main "$(segment_after "$half" -1)") ]] || fail "its neighbours were not stored"

story "a history file alone does not say whose it is: refused in words, not passed over"
mkdir "$WORK/alone"
printf '1\t0/3000000\tno recovery target specified\n' >"$WORK/alone/00000002.history"
expect_status 1 pitr main push --from "$WORK/alone" --json
expect_equal "['00000002.history']" "$(json "$OUT" 'd["refused"]')" "refused"
expect_error "^ERROR: .*00000002.history.* does not say whose it is"

story "a pipe and a link to nowhere under segments' names: refused in words, not passed over"
mkdir "$WORK/no-files"
mkfifo "$WORK/no-files/$half"
ln -s "$WORK/nowhere" "$WORK/no-files/$(segment_after "$half" 1)"
expect_status 1 pitr main push --from "$WORK/no-files" --json
expect_equal "['$half', '$(segment_after "$half" 1)']" "$(json "$OUT" 'd["refused"]')" "refused"
expect_error "^ERROR: .*$half\" is not a regular file"
expect_status 0 pitr main restore --dry-run --wal-from "$WORK/no-files"
expect_error "^WARNING: .*$half\" is passed over: it is not a regular file"

story "after a push a restore needs no --wal-from, but for the half segment's tail; it may still have it"
rm -rf "$WORK/copy"
expect_status 0 pitr main restore --dry-run --json --wal-from "$WORK/rescued"
expect_equal "$half" "$(json "$OUT" 'd["last_segment"]')" "last segment of the plan after a push"
restore_into main copy
settings copy "archive_command = 'false'"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 1800 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
expect_sound copy
