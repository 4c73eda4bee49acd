#!/bin/bash
# An empty directory that others may enter is made what PostgreSQL demands: otherwise the server would
# refuse to start on it.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
mkdir -p "$WORK/copy/data"
chmod 755 "$WORK/copy/data"
restore_into main copy --target-immediate
expect_equal 700 "$(stat -c %a "$WORK/copy/data")" "mode of the directory"
recovered copy
