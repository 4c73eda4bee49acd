#!/bin/bash
# A journal whose last record is torn, at each of its bytes: nobody is misled, the next archiving goes on
# behind it, and the catalog takes in what is whole.
source "$(dirname "$0")/crash_lib.sh"
step=1
[[ ${LONG-} == 1 ]] || step=3

small_cluster main
backup main
wait_until 10 "everything archived" nothing_to_archive main
expect_status 0 pitr main catalog rebuild
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
for _ in 1 2 3; do
  fill main 100
  switch main
done
stop main
mapfile -t segments < <(status_files main ready | grep -E '^[0-9A-F]{24}$' | head -n 3)
expect_equal 3 "${#segments[@]}" "segments to archive"
journal=$WORK/main/state/journal
expect_absent "$journal"
expect_status 0 archive main "pg_wal/${segments[0]}"
begin=$(size_of "$journal")
expect_status 0 archive main "pg_wal/${segments[1]}"
end=$(size_of "$journal")
cp -a "$WORK/main/state" "$WORK/state"
cp -a "$WORK/main/repository" "$WORK/repository"
story "a record of $((end - begin)) bytes"

torn_at() {
  rm -rf "$WORK/main/state"
  cp -a "$WORK/state" "$WORK/main/state"
  truncate -s "$1" "$journal"
}

remember_answer main
for ((length = begin; length <= end; length += step)); do
  torn_at "$length"
  expect_answer main "torn at $length"
done

story "archiving goes on behind the torn record, and the catalog takes everything in"
for ((length = begin; length <= end; length += 12 * step)); do
  torn_at "$length"
  rm -rf "$WORK/main/repository"
  cp -a "$WORK/repository" "$WORK/main/repository"
  expect_status 0 archive main "pg_wal/${segments[2]}"
  expect_equal $((length + end - begin)) "$(size_of "$journal")" "size of the journal"
  remember_answer main
  expect_answer main "archived behind $length"
  expect_status 0 pitr main catalog rebuild
  expect_absent "$journal"
  expect_absent "$journal.taken"
  expect_answer main "taken in at $length"
done

story "a journal that was taken when the program died, and a new one beside it"
torn_at $((end - 1))
mv "$journal" "$journal.taken"
expect_status 0 archive main "pg_wal/${segments[1]}"
remember_answer main
expect_answer main "half taken"
expect_status 0 pitr main catalog rebuild
expect_absent "$journal.taken"
expect_answer main "taken at last"
