#!/bin/bash
# A pipe in the place of a file is refused at once: to open it would wait for ever for a writer, and
# the archiver with it.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
segment=000000010000000000000001
mkfifo "$WORK/$segment"

within_5_seconds() { (cd "$WORK/main/data" && timeout 5 "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "$1"); }

story "a pipe is refused, not waited for"
expect_status 1 within_5_seconds "$WORK/$segment"
expect_error "^ERROR: .*$segment.* is not a regular file"

story "a journal that is a pipe, or whose lock somebody keeps, is a warning: the segment is acknowledged"
settings main "archive_command = 'false'"
start main
fill main 100
switch main
stop main immediate
segment=pg_wal/$SEGMENT
as_postgres mkdir -p "$WORK/main/state"
as_postgres mkfifo "$WORK/main/state/journal"
expect_status 0 within_5_seconds "$segment"
expect_error '^WARNING: .*could not note'
sleep 60 <>"$WORK/main/state/journal" & # somebody reads and writes it
reader=$!
rm -r "$WORK/main/repository/wal"
expect_status 0 within_5_seconds "$segment"
expect_error '^WARNING: .*could not note'
kill "$reader"
rm "$WORK/main/state/journal"
: >"$WORK/main/state/journal"
exec {held}>>"$WORK/main/state/journal"
flock -x "$held"
rm -r "$WORK/main/repository/wal"
expect_status 0 within_5_seconds "$segment"
expect_error '^WARNING: .*could not note'
exec {held}>&-
rm -r "$WORK/main/repository/wal"
expect_status 0 within_5_seconds "$segment"
expect_no_error .
