#!/bin/bash
# valgrind's memcheck finds nothing in a short run of pitr. (pitr-archive and pitr-restore are static,
# which memcheck cannot follow; the unit tests of their parts run under it in scripts/test --long.)
source "$(dirname "$0")/lib.sh"
! has_sanitizers || skip "for programs without sanitizers"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 1

checked() {
  valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" "$@"
}

export PITR_IO_RING=off # memcheck does not see what the kernel writes through a ring
expect_status 0 checked backup
expect_status 0 checked backup --method stream
expect_status 0 checked info
expect_status 0 checked restore --to "$WORK/copy" --target-immediate
expect_status 0 checked catalog rebuild
