#!/bin/bash
# Any one system call or operation of pitr-restore fails: the file that PostgreSQL asked for is there whole,
# or the status is 200; 1, which would open the database, is never the answer for what is stored, nor in
# front of a gap.
source "$(dirname "$0")/crash_lib.sh"
sample=3
export PITR_ARCHIVE_LOOK_AHEAD=0 # one stays missing
export PITR_RESTORE_PREFETCH=0 # strace would wait for the prefetcher; see prefetch_trusts_nothing.sh
operations=8

new_cluster main --wal-segsize=1
expect_status 0 pitr main init
settings main "archive_command = 'false'"
start main
for _ in 1 2 3; do
  fill main 500
  switch main
done
stop main immediate
mapfile -t segments < <(status_files main ready | head -n 3)
expect_status 0 archive main "pg_wal/${segments[0]}"
expect_status 0 archive main "pg_wal/${segments[2]}"
printf '1\t0/100000\tno recovery target specified\n' >"$WORK/main/data/pg_wal/00000002.history"
expect_status 0 archive main pg_wal/00000002.history
remember_repository main
destination=$WORK/main/data/pg_wal/RECOVERYXLOG
export PITR_RESTORE_RETRY_TIME=50ms # no second try
cd "$WORK/main/data" || exit 1

nothing_there() { rm -rf "$destination"* "$WORK/main/state"; }
# What an earlier call has left.
older_file_there() {
  nothing_there
  head -c 300000 /dev/zero >"$destination"
  head -c 3000000 /dev/zero >"$destination.pitr"
}

# expect_answer_of ORIGINAL STATUSES: after a run with a fault.
expect_answer_of() {
  [[ " $2 " == *" $STATUS "* ]] || fail "$POINT: status $STATUS, expected one of $2
$(last_command)"
  if [[ $STATUS == 0 ]]; then
    expect_same_file "$1" "$destination"
  elif [[ -e $destination ]] && ! cmp -s "$destination" "$WORK/older"; then
    # It was handed over, and what came after failed.
    [[ -n $1 ]] || fail "$POINT: a file that is not stored"
    expect_same_file "$1" "$destination"
  fi
  [[ $POINT == unlink* || $(size_of "$destination.pitr" 2>/dev/null) == 3000000 ]] ||
    expect_absent "$destination.pitr"
  expect_repository_unchanged main
}

# fail_everywhere PREPARE FILE ORIGINAL STATUSES: STATUS is that of the command without a fault; the
# statuses are all that may come with one.
fail_everywhere() {
  local prepare=$1 file=$2 original=$3 allowed=$4 usual=${4%% *} call number error fault
  local command=("$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "$file" "$destination")
  nothing_there
  [[ $prepare == nothing_there ]] || older_file_there
  cp "$destination" "$WORK/older" 2>/dev/null || rm -f "$WORK/older"
  fault_points "$WORK/points" "$sample" -- "${command[@]}"
  while read -r call number error; do
    "$prepare"
    failing_at "$call" "$number" "$error" "${command[@]}"
    expect_answer_of "$original" "$allowed"
    expect_status "$usual" "${command[@]}"
    [[ $usual != 0 ]] || expect_same_file "$original" "$destination"
  done <"$WORK/points"
  "$prepare"
  operation_points "$WORK/points" "$operations" "${command[@]}"
  while read -r number fault; do
    "$prepare"
    failing_operation "$number" "$fault" "${command[@]}"
    expect_answer_of "$original" "$allowed"
  done <"$WORK/points"
}

story "a stored segment"
fail_everywhere nothing_there "${segments[0]}" "$WORK/main/data/pg_wal/${segments[0]}" "0 200"
expect_faults 30 "a segment"
story "over the file of an earlier call"
fail_everywhere older_file_there "${segments[2]}" "$WORK/main/data/pg_wal/${segments[2]}" "0 200"
expect_faults 30 "over an older file"
story "a history file"
fail_everywhere nothing_there 00000002.history "$WORK/main/data/pg_wal/00000002.history" "0 200"
expect_faults 30 "a history file"
story "a missing segment in front of a stored one"
fail_everywhere nothing_there "${segments[1]}" "" "200"
expect_faults 20 "a gap"
story "the end of the archive"
fail_everywhere nothing_there "$(segment_after "${segments[2]}")" "" "1 200"
expect_faults 20 "the end"
