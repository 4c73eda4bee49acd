#!/bin/bash
# Any one system call or operation of pitr restore fails: the directory is complete, or an error says why
# not and PostgreSQL cannot start on it; the same command with --delta brings it to its end.
source "$(dirname "$0")/crash_lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
sample=2
operations=8

small_cluster main
fill main 100
backup main
fill main 100
switch_and_wait main
stop main
mkdir "$WORK/copy" "$WORK/older" "$WORK/complete"
control=global/pg_control
command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --to "$WORK/copy/data" --jobs 2)

# restore_command names the program beside the one that restored.
listing_of_copy() {
  listing "$WORK/copy/data" | grep -v '[0-9a-f] .*postgresql.auto.conf$'
  sed 's|/tests/faulty/|/|' "$WORK/copy/data/postgresql.auto.conf"
}

# To the byte and mode as a restore that met no fault.
expect_complete() {
  diff <(listing_of_copy) "$WORK/complete/listing" >"$WORK/changes" ||
    fail "$POINT: it is not complete: $(head "$WORK/changes")"
}

# expect_complete_or_words [older]: after a run with a fault.
expect_complete_or_words() {
  local data=$WORK/copy/data
  expect_status_of_pitr "cannot be moved aside"
  if [[ $STATUS == 0 ]]; then
    expect_complete
    return
  fi
  if [[ -f $data/$control ]] && cmp -s "$data/$control" "$WORK/complete/$control"; then
    # Its last deed failed: all is there, with the mark or without it.
    "$PG_BIN/pg_verifybackup" -n -i pitr.restoring "$data" >"$WORK/verified" 2>&1 ||
      fail "$POINT: a pg_control, but: $(cat "$WORK/verified")"
  elif [[ -f $data/$control && $# == 1 ]] && cmp -s "$data/$control" "$WORK/older/data/$control"; then
    diff <(listing "$data" | grep -v pitr.restoring) "$WORK/older/listing" >"$WORK/changes" ||
      fail "$POINT: it can start, and is neither the old one nor the new one: $(head "$WORK/changes")"
  elif [[ -e $data/$control ]]; then
    cmp "$data/$control" "$WORK/complete/$control" >"$WORK/changes" 2>&1 || true
    fail "$POINT: half a pg_control: $(cat "$WORK/changes")"
  else
    [[ -z $(ls -A "$data" 2>/dev/null) || -f $data/pitr.restoring ]] ||
      fail "$POINT: no mark: $(ls -A "$data")"
  fi
}

expect_brought_to_its_end() {
  if [[ $STATUS != 0 ]]; then
    expect_status 0 "${command[@]}" --delta
    expect_complete
  fi
  rm -rf "$WORK"/copy/data.pg_wal-*
}

# fail_everywhere PREPARE [options]: PREPARE makes the directory as it is before.
fail_everywhere() {
  local prepare=$1 call number error fault
  shift
  "$prepare"
  fault_points "$WORK/points" "$sample" -- "${command[@]}" "$@"
  while read -r call number error; do
    "$prepare"
    failing_at "$call" "$number" "$error" "${command[@]}" "$@"
    expect_complete_or_words "$@"
    expect_brought_to_its_end
  done <"$WORK/points"
  "$prepare"
  operation_points "$WORK/points" "$operations" "${command[@]}" "$@"
  while read -r number fault; do
    "$prepare"
    failing_operation "$number" "$fault" "${command[@]}" "$@"
    expect_complete_or_words "$@"
    expect_brought_to_its_end
  done <"$WORK/points"
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
expect_verified copy
listing_of_copy >"$WORK/complete/listing"
mkdir "$WORK/complete/global"
cp "$WORK/copy/data/$control" "$WORK/complete/$control"
fail_everywhere nothing_there
expect_faults 30 "a new directory"
expect_status 0 "${command[@]}" --delta
expect_right_when_started

story "over an older state, which could start until then"
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
sample=1
fail_everywhere older_state --delta
expect_faults 20 "over an older state"
expect_status 0 "${command[@]}" --delta
expect_right_when_started
