#!/bin/bash
# A restore that would do harm, or that means nothing, is refused in words before anything is written.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
fill main 10
switch_and_wait main
remember_repository main
to=$WORK/to

# refused STATUS PATTERN OPTIONS…
refused() {
  local status=$1 pattern=$2
  shift 2
  expect_status "$status" pitr main restore "$@"
  expect_error "^ERROR: "
  expect_error "$pattern"
  expect_absent "$to"
  expect_status "$status" pitr main restore "$@" --json
  expect_json "$OUT"
  [[ $(json "$OUT" 'd["error"]["message"] != "" and d["format"]') == 1 ]] || fail "no error: $(cat "$OUT")"
  expect_absent "$to"
}

story "destinations"
refused 2 '\-\-to' --target-immediate
mkdir -p "$WORK/full/inside"
for directory in "$WORK/full" "$WORK/main/data"; do
  remember_folder "$directory"
  refused 2 "not empty|server runs" --to "$directory" --target-immediate
  expect_folder_unchanged "$directory"
done
refused 2 'server runs' --to "$WORK/main/data" --delta
ln -s main/data "$WORK/link"
refused 2 'server runs' --to "$WORK/link" --delta
refused 2 "repository" --to "$WORK/main/repository/wal/new"
refused 2 "repository" --to "$WORK/main/repository"
ln -s main/repository "$WORK/into"
refused 2 "repository" --to "$WORK/into/new"
refused 2 "repository" --to "$WORK/main/repository/../repository/new"
mkdir "$WORK/file"
: >"$WORK/file/file"
refused 1 "directory" --to "$WORK/file/file"
expect_repository_unchanged main
mkdir "$WORK/around"
mv "$WORK/main/repository" "$WORK/around/"
ln -s "$WORK/around/repository" "$WORK/main/repository"
refused 2 "repository" --to "$WORK/around" --delta
rm "$WORK/main/repository"
mv "$WORK/around/repository" "$WORK/main/"

story "targets"
refused 2 'more than one|one target' --to "$to" --target-immediate --target-lsn 0/900000
refused 2 'more than one|one target' --to "$to" --target-xid 800 --before-xid 900
refused 2 'time' --to "$to" --target-time "the day after"
refused 2 'time' --to "$to" --target-time "2026-02-30 10:00"
refused 2 'LSN' --to "$to" --target-lsn 9000000
refused 2 'LSN' --to "$to" --target-lsn 0/G
refused 2 'LSN' --to "$to" --target-lsn 0/100000000
refused 2 'transaction' --to "$to" --target-xid 12x
refused 2 'transaction' --to "$to" --target-xid 0
refused 2 'transaction' --to "$to" --target-xid -5
refused 2 'restore point' --to "$to" --target-name "$(printf 'x%.0s' {1..70})"
refused 2 'timeline' --to "$to" --timeline x
refused 2 'timeline' --to "$to" --timeline 0
refused 3 'timeline' --to "$to" --timeline 7
refused 3 'no-such-backup' --to "$to" --backup no-such-backup
refused 2 'exclusive' --to "$to" --exclusive

story "a local time that exists twice or never is refused with both instants"
TZ=Europe/Berlin refused 2 '00:30:00.*01:30:00|\+02.*\+01' --to "$to" --target-time "2026-10-25 02:30:00"
TZ=Europe/Berlin refused 2 '2026-03-29' --to "$to" --target-time "2026-03-29 02:30:00"

story "actions and modes"
refused 2 'pause.*end of the WAL' --to "$to" --action pause
refused 2 'shutdown.*end of the WAL' --to "$to" --action shutdown
refused 2 'action' --to "$to" --target-immediate --action stop
refused 2 'archive' --to "$to" --archive-mode on
refused 2 'standby' --to "$to" --standby --target-immediate
refused 2 'recovery_target_lsn' --to "$to" --target-immediate --recovery-option recovery_target_lsn=0/1
refused 2 'KEY=VALUE|recovery option' --to "$to" --target-immediate --recovery-option novalue

story "unknown options: the nearest one, also for the spellings of others"
refused 2 'HINT: .*--target-time' --to "$to" --target-tme now
refused 2 'HINT: .*--action' --to "$to" --target-action promote
refused 2 'HINT: .*--timeline' --to "$to" --target-timeline latest
refused 2 'HINT: .*--cluster' --to "$to" --stanza main
expect_status 2 pitr main recover
expect_error 'HINT: .*restore'
refused 2 'tablespace' --to "$to" --tablespace /a=/b

story "a dry run refuses what can never be, and warns of a place that would be refused"
refused 2 'KEY=VALUE|recovery option' --dry-run --target-immediate --recovery-option novalue
for places in "--to $WORK/full" "--to $WORK/main/data --delta" "--to $to --tablespace /a=/b"; do
  # shellcheck disable=SC2086 # several words
  expect_status 0 pitr main restore --dry-run --target-immediate $places
  expect_output '^reachable +yes'
  expect_error '^WARNING: .*would be refused'
done
expect_status 0 pitr main restore --dry-run --target-immediate --to "$to"
expect_no_error 'refused'
expect_absent "$to"
expect_repository_unchanged main
