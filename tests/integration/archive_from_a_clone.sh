#!/bin/bash
# A copy of the data directory is a clone: it may not archive into its origin's repository.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 2
stop main
mkdir "$WORK/clone"
cp -a "$WORK/main/data" "$WORK/clone/data"
remember_repository main

in_directory() { (cd "$1" && as_postgres "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "$2"); }

story "pitr-archive in a copy of the data directory is refused"
expect_status 1 in_directory "$WORK/clone/data" "pg_wal/$SEGMENT"
expect_error "working directory is not the configured data directory"
expect_error "$WORK/main/data"
expect_status 1 in_directory "$WORK" "$WORK/main/data/pg_wal/$SEGMENT"
expect_error "working directory is not the configured data directory"

story "the configured data directory by another name (a link) is itself"
ln -s "$WORK/main" "$WORK/link"
expect_status 0 in_directory "$WORK/link/data" "pg_wal/$SEGMENT"

story "a started clone archives nothing, and keeps its WAL"
settings clone "unix_socket_directories = '$WORK/clone'"
start clone
switch clone
wait_until 20 "the refusal in the log" grep -q "not the configured data directory" "$WORK/clone/server.log"
wait_until 20 "the failure counted" archiving_failed clone
stop clone immediate
[[ -e $WORK/clone/data/pg_wal/archive_status/$SEGMENT.ready ]] || fail "the clone's WAL was given away"
expect_repository_unchanged main
