#!/bin/bash
# The repository is gone for a while: nothing is acknowledged, no recovery ends early, a standby
# stays up, and afterwards all goes on.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 2
first=$SEGMENT
wal=$WORK/main/data/pg_wal

mkdir "$WORK/standby"
touch "$WORK/standby/standby.signal"
remember_repository main

# fetch_on_standby FILE: the working directory tells what the server is.
fetch_on_standby() {
  rm -f "$WORK/fetched"
  fetch main "$1" "$WORK/fetched" "$WORK/standby"
}

mv "$WORK/main/repository" "$WORK/away"

story "no repository: pitr-archive fails and names it"
expect_status 1 archive main "pg_wal/$first"
expect_error "^ERROR: .*$WORK/main/repository"
expect_absent "$WORK/main/repository"

story "PostgreSQL keeps the segment"
switch main
wait_until 20 "a counted failure" archiving_failed main
[[ -e $wal/archive_status/$SEGMENT.ready ]] || fail "the segment was given away"

story "pitr-restore answers 200, since it cannot know"
expect_refused 200 main "$first" "^ERROR: .*$WORK/main/repository"
expect_refused 200 main "$(segment_after "$first" 100)" "^ERROR: "
expect_refused 200 main 00000004.history "^ERROR: "

story "an empty directory in its place (a volume that is not mounted) is no empty repository"
mkdir "$WORK/main/repository"
expect_status 1 archive main "pg_wal/$first"
expect_error "^ERROR: "
expect_refused 200 main "$first" "^ERROR: "
expect_refused 200 main "$(segment_after "$first" 100)" "^ERROR: "
rmdir "$WORK/main/repository"

story "on a standby an unreachable repository is 1 with ERROR: PostgreSQL asks again"
expect_status 1 fetch_on_standby "$first"
expect_error "^ERROR: "
expect_absent "$WORK/fetched"

story "standby_unreachable = \"stop\": 200 on a standby too"
PITR_RESTORE_STANDBY_UNREACHABLE=stop expect_status 200 fetch_on_standby "$first"
expect_error "^ERROR: "

mv "$WORK/away" "$WORK/main/repository"

story "the repository is back: everything is served, and the kept segments are archived"
expect_repository_unchanged main
expect_fetched main "$first" "$wal/$first"
expect_status 0 fetch_on_standby "$first"
kept=$SEGMENT
archive_segments main 1
expect_fetched main "$kept" "$wal/$kept"
expect_fetched main "$SEGMENT" "$wal/$SEGMENT"
expect_repository_kept main
