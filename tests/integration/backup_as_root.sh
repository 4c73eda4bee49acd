#!/bin/bash
# Started by root, pitr backs up, checks and restores as the owner of the data directory: nothing that
# archiving needs is root's afterwards.
# shellcheck disable=SC2034 # lib.sh reads it
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"
[[ $(id -u) == 0 ]] || skip "only root can show this"
export PITR_RESTORE_RETRY_TIME=2s
as_root() { "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" "$@"; }
roots() { find "$@" -user root; }

new_cluster main --wal-segsize=1
story "init, check, backup and info by root"
expect_status 0 as_root init
start main
expect_status 0 as_root check
expect_status 0 as_root backup
expect_status 0 as_root info
expect_equal "" "$(roots "$WORK/main/repository" "$WORK/main/state")" "files of root"
switch_and_wait main
expect_equal 0 "$(archiver main failed_count)" "failed_count"

story "what root restores belongs to the owner of the origin"
mkdir "$WORK/restored" # root's
expect_status 0 as_root restore --to "$WORK/restored/data" --target-immediate
expect_equal "" "$(roots "$WORK/restored/data")" "files of root"
expect_equal "" "$(find "$WORK/restored/data" ! -group "$(id -gn "$PG_USER")")" "files of another group"
chown "$PG_USER" "$WORK/restored"
expect_verified restored
recovered restored
stop restored

story "again into an empty directory, and over it with --delta"
mkdir -p "$WORK/second/data"
expect_status 0 as_root restore --to "$WORK/second/data" --target-immediate
expect_status 0 as_root restore --to "$WORK/second/data" --target-immediate --delta
expect_equal "" "$(roots "$WORK/second/data")" "files of root"
expect_verified second
expect_equal "" "$(roots "$WORK/main/repository" "$WORK/main/state")" "files of root"

story "a rehearsal by root is held by the owner, too"
scratch_space
expect_status 0 as_root drill --scratch "$SCRATCH" --bin-dir "$PG_BIN"
nothing_is_left
expect_equal "" "$(roots "$WORK/main/repository" "$WORK/main/state")" "files of root"
