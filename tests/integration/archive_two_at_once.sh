#!/bin/bash
# Several processes archive the same file at the same time: all succeed, one file is stored.
source "$(dirname "$0")/lib.sh"

COMPRESSION=zstd:9 new_cluster main --wal-segsize=4
pitr main init >/dev/null
start main
archive_segments main 1
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
for _ in 1 2 3; do
  fill main 5000
  switch main
done
stop main immediate
remember_repository main

story "the same segment at once: all 0, one stored file, no leftovers"
for segment in $(status_files main ready | grep -E '^[0-9A-F]{24}$'); do
  processes=()
  for n in 1 2 3; do
    archive main "pg_wal/$segment" >"$WORK/output.$n" 2>&1 &
    processes+=($!)
  done
  for process in "${processes[@]}"; do
    wait "$process" || fail "status $? for $segment: $(cat "$WORK"/output.*)"
  done
  expect_equal 1 "$(stored main "$segment" | wc -l)" "stored files named $segment"
  expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
done
expect_no_leftovers main
expect_repository_kept main

story "different contents under one name at once: exactly one wins, and it is whole"
mkdir "$WORK/a" "$WORK/b"
printf '1\t0/5000000\tno recovery target specified\n' >"$WORK/a/00000009.history"
printf '1\t0/6000000\tno recovery target specified\n' >"$WORK/b/00000009.history"
archive main "$WORK/a/00000009.history" >/dev/null 2>&1 &
first=$!
archive main "$WORK/b/00000009.history" >/dev/null 2>&1 &
second=$!
statuses=
for process in $first $second; do
  status=0
  wait "$process" || status=$?
  statuses+=$status
done
case $statuses in
  01) expect_fetched main 00000009.history "$WORK/a/00000009.history" ;;
  10) expect_fetched main 00000009.history "$WORK/b/00000009.history" ;;
  *) fail "statuses $statuses, expected one 0 and one 1" ;;
esac
expect_no_leftovers main
