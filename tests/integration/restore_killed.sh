#!/bin/bash
# A restore that is killed at any moment leaves a directory in which PostgreSQL does not start, until
# the restore was brought to its end.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 100
backup main
fill main 100
switch_and_wait main
stop main
mkdir "$WORK/copy"

# restore_killed_after SECONDS [options]: STATUS is its status after.
restore_killed_after() {
  local delay=$1
  shift
  STATUS=0
  (exec "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --to "$WORK/copy/data" --jobs 1 "$@") \
    >/dev/null 2>&1 &
  local process=$!
  sleep "$delay"
  kill -KILL "$process" 2>/dev/null || true
  wait "$process" 2>/dev/null || STATUS=$?
}

story "a fresh restore, killed later and later"
killed=0
for delay in 0.03 0.07 0.10 0.13 0.16 0.20 0.25 0.3 0.5 1 2; do
  rm -rf "$WORK/copy/data"
  restore_killed_after "$delay"
  [[ $STATUS == 137 ]] || break
  [[ -d $WORK/copy/data ]] || continue
  killed=$((killed + 1))
  if [[ -e $WORK/copy/data/global/pg_control ]]; then
    # It was killed between its last deed and its end: then all must be there.
    expect_absent "$WORK/copy/data/pitr.restoring"
    expect_verified copy
  else
    expect_cannot_start copy
  fi
done
((killed > 1)) || fail "killed only $killed times"
echo "killed $killed times"

story "over a cluster that could start, killed later and later: it cannot start any more"
rm -rf "$WORK/copy/data"
restore_into main copy
for delay in 0.03 0.07 0.1 0.15 0.2; do
  restore_killed_after "$delay" --delta
  [[ -e $WORK/copy/data/pitr.restoring ]] || continue
  if [[ -e $WORK/copy/data/global/pg_control ]]; then
    # It was killed before its first deed or behind its last one: then all is there.
    cp "$WORK/copy/data/pitr.restoring" "$WORK/mark"
    rm "$WORK/copy/data/pitr.restoring"
    expect_verified copy
    cp "$WORK/mark" "$WORK/copy/data/pitr.restoring"
  else
    expect_cannot_start copy
  fi
done

story "without --delta it is refused, with a word on how to go on; with it, it is brought to its end"
rm -rf "$WORK/copy/data"
restore_killed_after 0.1
if [[ -e $WORK/copy/data/pitr.restoring ]]; then
  expect_status 2 pitr main restore --to "$WORK/copy/data"
  expect_error "HINT: .*--delta"
fi
expect_status 0 pitr main restore --to "$WORK/copy/data" --delta
expect_verified copy
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 200 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
expect_sound copy
