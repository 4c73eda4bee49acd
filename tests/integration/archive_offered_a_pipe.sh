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
