#!/bin/bash
# Two hosts archive the same cluster's segments into one repository at the same time: both are told 0 for
# every file, each is stored once, and a third one with other contents is refused on either.
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"
unshare --uts true 2>/dev/null || skip "a second host name is not allowed here"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
settings main "archive_command = 'false'"
start main
for _ in $(seq 12); do
  fill main 1500
  switch main
done
stop main immediate
mapfile -t segments < <(status_files main ready | grep -E '^[0-9A-F]{24}$')
((${#segments[@]} >= 10)) || fail "only ${#segments[@]} segments"

# host NAME SEGMENT…: archives them, one after the other, as the host of that name.
host() {
  local name=$1 segment
  shift
  # shellcheck disable=SC2016 # for the shell inside
  unshare --uts -- bash -c '
    hostname "$1" && cd "$2" && shift 2
    user=$1 program=$2 config=$3 && shift 3
    for segment in "$@"; do
      setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups \
        "$program" --config "$config" "pg_wal/$segment" || { echo "$segment: $?"; exit 1; }
    done' - "$name" "$WORK/main/data" "$PG_USER" "$PITR_BIN/pitr-archive" "$WORK/main/pitr.toml" "$@"
}

story "the same segments at once, from both ends and in the same order"
mapfile -t backward < <(printf '%s\n' "${segments[@]}" | sort -r)
host one "${segments[@]}" >"$WORK/one" 2>&1 &
first=$!
host two "${segments[@]}" >"$WORK/two" 2>&1 &
second=$!
host three "${backward[@]}" >"$WORK/three" 2>&1 &
third=$!
wait "$first" || fail "host one: $(cat "$WORK/one")"
wait "$second" || fail "host two: $(cat "$WORK/two")"
wait "$third" || fail "host three: $(cat "$WORK/three")"
for segment in "${segments[@]}"; do
  expect_equal 1 "$(stored main "$segment" | wc -l)" "files named $segment"
  expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
done
expect_no_leftovers main
expect_status 0 pitr main catalog rebuild
expect_status 0 pitr main verify

story "what another host left half-written is left alone"
left=$(dirname "$(stored main "${segments[0]}")")/.tmp.elsewhere.4026531836.77-5.0
as_postgres touch "$left"
start main
settings main "archive_command = '\"$PITR_BIN/pitr-archive\" --config \"$WORK/main/pitr.toml\" %p'"
stop main
start main
backup main
[[ -e $left ]] || fail "a backup removed what another host was writing"
