#!/bin/bash
# pitr-archive is killed at any moment: there is never half a file under a segment's name, and the
# next call succeeds.
source "$(dirname "$0")/lib.sh"

COMPRESSION=zstd:9 new_cluster main
pitr main init >/dev/null
start main
archive_segments main 1
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
fill main 40000
switch main
stop main immediate
segments=$(status_files main ready | grep -E '^[0-9A-F]{24}$')
remember_repository main

killed=0
story "killed later and later: under the name there is the whole file or none"
for segment in $segments; do
  for delay in {1..100}; do
    (cd "$WORK/main/data" && exec "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" \
      "pg_wal/$segment") >/dev/null 2>&1 &
    process=$!
    sleep "0.$(printf %03d $((delay * 8 + RANDOM % 8)))"
    kill -KILL "$process" 2>/dev/null || true
    status=0
    wait "$process" 2>/dev/null || status=$?
    if [[ $status == 0 ]]; then
      [[ -n $(stored main "$segment") ]] || fail "status 0 without a stored file"
      break
    fi
    expect_equal 137 "$status" "status"
    killed=$((killed + 1))
    [[ -z $(stored main "$segment") ]] ||
      expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
  done
  expect_repository_kept main
  expect_status 0 archive main "pg_wal/$segment"
  expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
done
((killed > 2)) || fail "killed only $killed times"
echo "killed $killed times"
# What the killed ones left has a name that nobody takes for a stored file; a backup clears it away.
diff <({ sed 's/^[^ ]* [ *]//' "$WORK/main/remembered"; (cd "$WORK/main/repository" &&
  for segment in $segments; do find . -name "$segment"; done); } | sort) \
  <(repository_files main | grep -v '/\.tmp\.') >&2 || fail "there is more in the repository"

story "the server goes on"
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
start main
switch_and_wait main
wait_until 20 "everything archived" nothing_to_archive main
expect_equal 0 "$(archiver main failed_count)" "failed_count"
