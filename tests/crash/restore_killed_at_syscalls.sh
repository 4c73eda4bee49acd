#!/bin/bash
# pitr restore is killed at its system calls: until it was complete the directory cannot start, and the
# same command with --delta brings it to its end.
source "$(dirname "$0")/crash_lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
sample=3

small_cluster main
fill main 100
backup main
fill main 100
switch_and_wait main
stop main
mkdir "$WORK/copy" "$WORK/older" "$WORK/complete"
control=global/pg_control
command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --to "$WORK/copy/data" --jobs 2)

# What is there after the kill: nothing or what was there before, or what cannot start, or all of it.
expect_nothing_half_done() {
  local data=$WORK/copy/data
  if [[ -f $data/$control ]] && cmp -s "$data/$control" "$WORK/complete/$control"; then
    COMPLETE=$((COMPLETE + 1))
    "$PG_BIN/pg_verifybackup" -n -i pitr.restoring "$data" >"$WORK/verified" 2>&1 ||
      fail "$POINT: a pg_control, but: $(cat "$WORK/verified")"
    [[ -f $data/recovery.signal ]] || fail "$POINT: a pg_control and no recovery.signal"
    cmp "$data/backup_label" "$WORK/complete/backup_label" >&2 || fail "$POINT: no backup_label"
  elif [[ -f $data/$control ]] && cmp -s "$data/$control" "$WORK/older/data/$control"; then
    diff <(listing "$data" | grep -v pitr.restoring) "$WORK/older/listing" >"$WORK/changes" ||
      fail "$POINT: it can start, and is neither the old one nor the new one: $(head "$WORK/changes")"
  else
    expect_cannot_start copy
    [[ -z $(ls -A "$data" 2>/dev/null) || -f $data/pitr.restoring ]] ||
      fail "$POINT: no mark: $(ls -A "$data")"
  fi
}

# kill_everywhere MADE [options]: MADE is the command that makes the directory as it is before.
kill_everywhere() {
  local prepare=$1
  shift
  "$prepare"
  traced "$WORK/trace" "${command[@]}" "$@"
  points_of "$WORK/trace" "$sample" >"$WORK/points"
  story "$(wc -l <"$WORK/points") points"
  COMPLETE=0
  while read -r call number; do
    "$prepare"
    killed_at "$call" "$number" "${command[@]}" "$@"
    expect_nothing_half_done
    if [[ -f $WORK/copy/data/pitr.restoring && $(ls -A "$WORK/copy/data") != pitr.restoring ]]; then
      expect_status 2 "${command[@]}"
      expect_error "HINT: .*--delta"
    fi
    expect_status 0 "${command[@]}" --delta
    expect_absent "$WORK/copy/data/pitr.restoring"
    expect_verified copy
    rm -rf "$WORK"/copy/data.pg_wal-*
  done <"$WORK/points"
  ((COMPLETE > 0)) || fail "no restore was complete when it was killed"
}

expect_right_when_started() {
  start_copy copy
  wait_until 30 "the end of recovery" out_of_recovery copy
  expect_equal 200 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
  stop copy
}

story "into a new directory"
nothing_there() { rm -rf "$WORK/copy/data"; }
expect_status 0 "${command[@]}"
mkdir "$WORK/complete/global"
cp "$WORK/copy/data/$control" "$WORK/complete/$control"
cp "$WORK/copy/data/backup_label" "$WORK/complete/backup_label"
kill_everywhere nothing_there
expect_killed 25 "a new directory"
expect_right_when_started

story "over an older state, which could start until then"
# Something to be removed, to be cut and to be put right; and WAL that the repository does not have.
settings copy "archive_mode = off"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
sql copy 'CREATE TABLE additional AS SELECT generate_series(1, 1000)'
sql copy 'TRUNCATE filled'
stop copy
mv "$WORK/copy/data" "$WORK/older/data"
listing "$WORK/older/data" >"$WORK/older/listing"
older_state() {
  rm -rf "$WORK/copy/data"
  cp -a "$WORK/older/data" "$WORK/copy/data"
}
kill_everywhere older_state --delta
expect_killed 25 "over an older state"
expect_right_when_started
