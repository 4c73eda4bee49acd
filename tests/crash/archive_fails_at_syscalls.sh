#!/bin/bash
# Any one system call or operation of pitr-archive fails: it acknowledges only what is stored whole, says
# why otherwise, and leaves no half file; the same command again succeeds.
source "$(dirname "$0")/crash_lib.sh"
sample=3
operations=12

new_cluster main --wal-segsize=1
expect_status 0 pitr main init
settings main "archive_command = 'false'"
export PITR_ARCHIVE_LOOK_AHEAD=0
start main
switch main
# shellcheck disable=SC2153 # switch sets it
first=$SEGMENT
fill main 1000
switch main
second=$SEGMENT
stop main immediate
cd "$WORK/main/data" || exit 1
command=("$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml")

# remember: the repository and the state are to be as they are now before each run.
remember() {
  rm -rf "$WORK/before" "$WORK/before.state"
  cp -r "$WORK/main/repository" "$WORK/before"
  [[ ! -d $WORK/main/state ]] || cp -r "$WORK/main/state" "$WORK/before.state"
  remember_repository main
}
reset() {
  rm -rf "$WORK/main/repository" "$WORK/main/state"
  cp -r "$WORK/before" "$WORK/main/repository"
  [[ ! -d $WORK/before.state ]] || cp -r "$WORK/before.state" "$WORK/main/state"
}

# expect_all_or_nothing SEGMENT: after a run with a fault.
expect_all_or_nothing() {
  local segment=$1 file=$WORK/main/data/pg_wal/$1 status=0
  [[ $STATUS == [01] ]] || fail "$POINT: status $STATUS"
  rm -f "$WORK/fetched"
  fetch main "$segment" "$WORK/fetched" >"$WORK/fetch.out" 2>&1 || status=$?
  case $STATUS$status in
    00 | 10) expect_same_file "$file" "$WORK/fetched" ;;
    11) expect_equal "" "$(stored main "$segment")" "$POINT: stored, but not given back" ;;
    *) fail "$POINT: status $STATUS, and pitr-restore says $status
$(last_command)" ;;
  esac
  expect_repository_kept main
  [[ $POINT == unlink* ]] || expect_no_leftovers main
}

# fail_everywhere SEGMENT [PATTERN]
fail_everywhere() {
  local segment=$1 call number error fault
  remember
  fault_points "$WORK/points" "$sample" "${2:-.*}" -- "${command[@]}" "pg_wal/$segment"
  while read -r call number error; do
    reset
    failing_at "$call" "$number" "$error" "${command[@]}" "pg_wal/$segment"
    expect_all_or_nothing "$segment"
    expect_status 0 "${command[@]}" "pg_wal/$segment"
    expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
  done <"$WORK/points"
  reset
  operation_points "$WORK/points" "$operations" "${command[@]}" "pg_wal/$segment"
  while read -r number fault; do
    reset
    failing_operation "$number" "$fault" "${command[@]}" "pg_wal/$segment"
    expect_all_or_nothing "$segment"
    expect_status 0 "${command[@]}" "pg_wal/$segment"
    expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
  done <"$WORK/points"
}

export PITR_IO_RING=off
story "the first segment of all, which makes its folders"
fail_everywhere "$first"
story "the next one"
fail_everywhere "$second"
expect_faults 60 "new segments"
story "one that is stored already"
fail_everywhere "$second"
expect_faults 20 "a stored one"

story "another file under the name of a stored one is never acknowledged"
cp "pg_wal/$second" "$WORK/original"
flip_byte "pg_wal/$second" 500000
fault_points "$WORK/points" "$sample" -- "${command[@]}" "pg_wal/$second"
while read -r call number error; do
  failing_at "$call" "$number" "$error" "${command[@]}" "pg_wal/$second"
  expect_equal 1 "$STATUS" "$POINT: status"
  expect_repository_unchanged main
done <"$WORK/points"
cp "$WORK/original" "pg_wal/$second"
expect_faults 12 "another file"

story "looking ahead: what fails there is left, without a gap, and the asked-for one is acknowledged only when stored"
export PITR_ARCHIVE_LOOK_AHEAD=8 PITR_ARCHIVE_LOOK_AHEAD_TIME=30s
FSYNCS_OF_OTHERS=1
rm -rf "$WORK/main/state"
find "$WORK/main/repository" -type f \( -name "$first" -o -name "$second" \) -delete
remember
# expect_looked_ahead: after a run for the first with a fault.
expect_looked_ahead() {
  expect_all_or_nothing "$first"
  expect_no_gap "$first" "$second"
  for segment in "$first" "$second"; do
    expect_status 0 "${command[@]}" "pg_wal/$segment"
    expect_fetched main "$segment" "pg_wal/$segment"
  done
}
fault_points "$WORK/points" "$sample" -- "${command[@]}" "pg_wal/$first"
expect_equal 2 "$(stored main "0000*" | wc -l)" "stored segments of a run that nothing befell"
while read -r call number error; do
  reset
  failing_at "$call" "$number" "$error" "${command[@]}" "pg_wal/$first"
  expect_looked_ahead
done <"$WORK/points"
reset
operation_points "$WORK/points" "$operations" "${command[@]}" "pg_wal/$first"
while read -r number fault; do
  reset
  failing_operation "$number" "$fault" "${command[@]}" "pg_wal/$first"
  expect_looked_ahead
done <"$WORK/points"
expect_faults 20 "look-ahead"
unset FSYNCS_OF_OTHERS
export PITR_ARCHIVE_LOOK_AHEAD=0

story "with io_uring"
export PITR_IO_RING=auto
rm -rf "$WORK/main/state"
find "$WORK/main/repository" -name "$second" -delete
fail_everywhere "$second" 'io_uring_.*|mmap'
expect_faults 6 "io_uring"
