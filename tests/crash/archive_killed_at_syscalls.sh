#!/bin/bash
# pitr-archive is killed at every system call: under the segment's name there is the whole file or
# none, the same command again succeeds, and what was stored before stays as it is.
source "$(dirname "$0")/crash_lib.sh"

new_cluster main --wal-segsize=1
expect_status 0 pitr main init
settings main "archive_command = 'false'"
export PITR_ARCHIVE_LOOK_AHEAD=0
cp -r "$WORK/main/repository" "$WORK/empty"
start main
switch main
fill main 1000
switch main
# shellcheck disable=SC2153 # switch sets it
second=$SEGMENT
fill main 1000
switch main
stop main immediate
first=$(status_files main ready | head -n 1)
cd "$WORK/main/data" || exit 1
command=("$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml")

# The repository and the state as they were.
reset() {
  rm -rf "$WORK/main/repository" "$WORK/main/state"
  cp -r "$WORK/before" "$WORK/main/repository"
  [[ ! -d $WORK/before.state ]] || cp -r "$WORK/before.state" "$WORK/main/state"
}

# kill_at_every_call SEGMENT [PATTERN]: in the repository as it is now.
kill_at_every_call() {
  local segment=$1 file=$WORK/main/data/pg_wal/$1 status expected call number
  rm -rf "$WORK/before" "$WORK/before.state"
  cp -r "$WORK/main/repository" "$WORK/before"
  [[ ! -d $WORK/main/state ]] || cp -r "$WORK/main/state" "$WORK/before.state"
  remember_repository main
  traced "$WORK/trace" "${command[@]}" "pg_wal/$segment"
  expected=$(repository_files main | grep -v "/\.tmp\.")
  points_of "$WORK/trace" 1000 "${2:-.*}" >"$WORK/points"
  while read -r call number; do
    reset
    killed_at "$call" "$number" "${command[@]}" "pg_wal/$segment"
    rm -f "$WORK/fetched"
    status=0
    fetch main "$segment" "$WORK/fetched" >"$OUT" 2>"$ERR" || status=$?
    case $status in
      0) expect_same_file "$file" "$WORK/fetched" ;;
      1)
        expect_absent "$WORK/fetched"
        expect_equal "" "$(stored main "$segment")" "$POINT: stored, but not given back"
        ;;
      *) fail "$POINT: pitr-restore says $status
$(last_command)" ;;
    esac
    expect_repository_kept main
    expect_status 0 "${command[@]}" "pg_wal/$segment"
    expect_fetched main "$segment" "$file"
    expect_repository_kept main
    # What the killed one left, nobody takes for a stored file.
    expect_equal "$expected" "$(repository_files main | grep -v '/\.tmp\.')" "$POINT: files in the repository"
  done <"$WORK/points"
}

for ring in off auto; do
  export PITR_IO_RING=$ring
  pattern='.*'
  [[ $ring == off ]] || pattern=io_uring_enter
  rm -rf "$WORK/main/repository" "$WORK/main/state"
  cp -r "$WORK/empty" "$WORK/main/repository"

  story "the first segment of all, which makes its folders; ring $ring"
  kill_at_every_call "$first" "$pattern"
  story "the next one; ring $ring"
  kill_at_every_call "$second" "$pattern"
  if [[ $ring == off ]]; then
    story "one that is stored already"
    kill_at_every_call "$second"
    expect_killed 60 "ring off"
  elif grep -q io_uring_enter "$WORK/trace"; then
    expect_killed 10 "io_uring"
  fi
done

story "with look-ahead: whatever is stored then is whole, in the order of the WAL and without a gap"
export PITR_IO_RING=off PITR_ARCHIVE_LOOK_AHEAD=8 PITR_ARCHIVE_LOOK_AHEAD_TIME=30s
rm -rf "$WORK/main/repository" "$WORK/main/state"
cp -r "$WORK/empty" "$WORK/main/repository"
PITR_ARCHIVE_LOOK_AHEAD=0 expect_status 0 "${command[@]}" "pg_wal/$first"
remember_repository main
mapfile -t behind < <(status_files main ready | tail -n +2)
rm -rf "$WORK/before" "$WORK/before.state"
cp -r "$WORK/main/repository" "$WORK/before"
cp -r "$WORK/main/state" "$WORK/before.state"
traced "$WORK/trace" "${command[@]}" "pg_wal/$second"
points_of "$WORK/trace" 12 >"$WORK/points"
while read -r call number; do
  reset
  killed_at "$call" "$number" "${command[@]}" "pg_wal/$second"
  expect_no_gap "${behind[@]}"
  for segment in "${behind[@]}"; do
    expect_status 0 "${command[@]}" "pg_wal/$segment"
    expect_fetched main "$segment" "pg_wal/$segment"
  done
  expect_repository_kept main
done <"$WORK/points"
expect_killed 20 "look-ahead"
