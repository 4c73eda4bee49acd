#!/bin/bash
# The core story without io_uring, as on kernels and containers that forbid it; and both ways read
# what the other wrote.
source "$(dirname "$0")/lib.sh"

new_cluster main
pitr main init >/dev/null

story "PITR_IO_RING=off: PostgreSQL archives, everything is given back"
export PITR_IO_RING=off
start main # the archiver inherits it
archives_and_gives_back main 2

story "what was written without a ring is read with one, and the other way round"
PITR_IO_RING=auto expect_fetched main "$SEGMENT" "$WORK/main/data/pg_wal/$SEGMENT"
PITR_IO_RING=auto expect_status 0 archive main "pg_wal/$SEGMENT"
stop main
export PITR_IO_RING=auto
start main
archives_and_gives_back main 1
PITR_IO_RING=off expect_fetched main "$SEGMENT" "$WORK/main/data/pg_wal/$SEGMENT"
