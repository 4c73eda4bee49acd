#!/bin/bash
# Whoever should read an answer is gone, or has closed the descriptor: the status says so, no answer goes
# into a file or socket of ours, and what can be done is done all the same.
source "$(dirname "$0")/lib.sh"
[[ -w /dev/full ]] || skip "no /dev/full here"
new_cluster main --wal-segsize=1
expect_status 0 pitr main init
start main
fill main 10
switch_and_wait main
backup main
run() { as_postgres "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" "$@"; }
into_full() { run "$@" >/dev/full; }
without_output() { run "$@" >&-; }
without_any() { run "$@" <&- >&- 2>&-; }

for command in "info" "info --json" "verify --json" "check --json" "restore --dry-run --json" "history --json" \
  "metrics" "expire --json --dry-run" "backup --json" "nonsense --json"; do
  story "$command"
  read -ra words <<<"$command"
  wanted=1
  [[ $command != nonsense* ]] || wanted=2
  [[ $command != expire* ]] || export PITR_RETENTION_BACKUPS=1
  expect_status $wanted into_full "${words[@]}"
  expect_error "^ERROR:  "
  expect_status $wanted without_output "${words[@]}"
  expect_error "^ERROR:  "
  expect_status $wanted without_any "${words[@]}"
done
expect_status 3 into_full check --nagios
expect_status 3 without_output check --nagios

story "a backup was taken each time, and is whole"
expect_status 0 pitr main info --json
expect_equal 4 "$(json "$OUT" 'len(d["clusters"][0]["backups"])')" "backups"
expect_status 0 pitr main verify
sql main "SELECT 1" >/dev/null

story "archiving and fetching without descriptors, or with a broken pipe for messages"
stop main
segment=$(basename "$(stored main '0000000100000000*' | grep -v backup | sort | head -n 1)")
archive_closed() {
  (cd "$WORK/main/data" && as_postgres "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "$1" <&- >&- 2>&-)
}
fetch_closed() {
  (cd "$WORK/main/data" && as_postgres "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "$1" "$2" <&- >&- 2>&-)
}
printf '1\t0/3000000\tno recovery target specified\n' >"$WORK/main/data/pg_wal/00000002.history"
expect_status 0 archive_closed pg_wal/00000002.history
expect_status 0 fetch_closed 00000002.history "$WORK/fetched"
expect_same_file "$WORK/main/data/pg_wal/00000002.history" "$WORK/fetched"
expect_status 0 fetch_closed "$segment" "$WORK/$segment"
expect_status 0 pg_waldump --quiet "$WORK/$segment"
broken_pipe() {
  local status
  (cd "$WORK/main/data" && {
    set +e
    as_postgres "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" pg_wal/nonsense 2>&1 >/dev/null
    echo $? >"$WORK/status"
  } | true)
  status=$(cat "$WORK/status")
  return "$status"
}
expect_status 1 broken_pipe

story "a secret in a connection string that cannot be parsed is not told"
PITR_CLUSTER_CONNECTION="postgresql://u:sEcret@[bad/db" expect_status 2 pitr main backup
expect_error "is not a connection string"
! grep -q sEcret "$OUT" "$ERR" || fail "the secret was told"
