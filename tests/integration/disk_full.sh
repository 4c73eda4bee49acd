#!/bin/bash
# The repository's disk is full: said in these words, nothing is acknowledged, and when there is
# space again archiving goes on and nothing is lost.
if [[ $(id -u) == 0 && -z ${OWN_MOUNTS-} ]] && unshare --mount true 2>/dev/null; then
  # A mount that nobody else sees, and that is gone with this script whatever happens.
  OWN_MOUNTS=1 exec unshare --mount -- bash "$0" "$@"
fi
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"

COMPRESSION=none new_cluster main --wal-segsize=1
as_postgres mkdir "$WORK/main/repository"
mount -t tmpfs -o "size=5m,mode=700,uid=$PG_USER" tmpfs "$WORK/main/repository" 2>"$ERR" ||
  skip "a small tmpfs cannot be mounted: $(cat "$ERR")"
AT_EXIT+=("umount '$WORK/main/repository'")
pitr main init >/dev/null
as_postgres dd if=/dev/zero of="$WORK/main/repository/ballast" bs=1M count=2 status=none
start main
archive_segments main 1
remember_repository main

story "a full disk is a counted failure with its cause in words"
for _ in 1 2 3; do
  fill main 500
  switch main
done
wait_until 20 "a counted failure" archiving_failed main
grep -q 'No space left' "$WORK/main/server.log" || fail "the server's log does not say why"
expect_status 1 archive main "pg_wal/$SEGMENT"
expect_error "^ERROR: .*No space left"
expect_repository_kept main
expect_no_leftovers main
[[ -e $WORK/main/data/pg_wal/archive_status/$SEGMENT.ready ]] || fail "the segment was given away"

story "what is stored can be read although the disk is full"
first=$(archived_files main | grep -E '^[0-9A-F]{24}$' | head -n 1)
expect_fetched main "$first" "$WORK/main/data/pg_wal/$first"

story "with room for the asked-for one alone it is archived, and those looked ahead to are left"
stop main
rm "$WORK/main/repository/ballast"
free=$(df --output=avail -B 1024 "$WORK/main/repository" | tail -n 1)
as_postgres dd if=/dev/zero of="$WORK/main/repository/ballast" bs=1024 count=$((free - 1600)) status=none
mapfile -t waiting < <(status_files main ready)
PITR_ARCHIVE_LOOK_AHEAD_TIME=30s expect_status 0 archive main "pg_wal/${waiting[0]}"
expect_no_error .
expect_fetched main "${waiting[0]}" "$WORK/main/data/pg_wal/${waiting[0]}"
expect_equal "" "$(stored main "${waiting[1]}")" "what there is no room for"
expect_no_leftovers main
expect_status 1 archive main "pg_wal/${waiting[1]}"
start main

story "with space again everything is archived, and nothing was lost"
rm "$WORK/main/repository/ballast"
mount -o remount,size=40m "$WORK/main/repository"
switch_and_wait main
wait_until 20 "everything archived" nothing_to_archive main
for segment in $(archived_files main | grep -E '^[0-9A-F]{24}$'); do
  expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
done
