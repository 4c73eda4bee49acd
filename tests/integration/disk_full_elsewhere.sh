#!/bin/bash
# A full disk under the state directory costs a warning, never an archived file or a backup. Under the
# destination of a restore it ends the restore in words; the directory cannot start, and --delta goes on.
if [[ $(id -u) == 0 && -z ${OWN_MOUNTS-} ]] && unshare --mount true 2>/dev/null; then
  # Mounts that nobody else sees, and that are gone with this script whatever happens.
  OWN_MOUNTS=1 exec unshare --mount -- bash "$0" "$@"
fi
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"

# small_disk FOLDER SIZE: a folder with so much room.
small_disk() {
  as_postgres mkdir -p "$1"
  mount -t tmpfs -o "size=$2,mode=700,uid=$PG_USER" tmpfs "$1" 2>"$ERR" ||
    skip "a small tmpfs cannot be mounted: $(cat "$ERR")"
  AT_EXIT+=("umount '$1' 2>/dev/null")
}
fill_up() { as_postgres dd if=/dev/zero of="$1/ballast" bs=4k status=none 2>/dev/null || true; }

new_cluster main --wal-segsize=1
small_disk "$WORK/main/state" 4m
pitr main init >/dev/null
start main
archive_segments main 1
rm -f "$WORK/main/state/journal" # its last page would have room
fill_up "$WORK/main/state"

story "the state directory's disk is full: everything is archived and acknowledged"
fill main 2000
switch_and_wait main
expect_equal 0 "$(archiver main failed_count)" "failed_count"
grep -q "WARNING: .*could not note .* for the catalog: .*No space left" "$WORK/main/server.log" ||
  fail "the server's log does not say that the journal could not be written"

story "a backup is published, and everybody finds it"
expect_status 0 pitr main backup --json
expect_error "WARNING: .*catalog was not brought up to date"
BACKUP=$(json "$OUT" 'd["id"]')
expect_status 0 pitr main info --json
expect_equal "$BACKUP" "$(json "$OUT" 'd["clusters"][0]["backups"][0]["id"]')" "backup"
expect_status 0 pitr main restore --dry-run
expect_status 0 pitr main verify --backup "$BACKUP"

story "with space again the catalog knows everything"
rm "$WORK/main/state/ballast"
expect_status 0 pitr main catalog rebuild
expect_status 0 pitr main verify

story "the destination's disk is full: in words, and the directory cannot start"
small_disk "$WORK/copy" 12m
expect_status 1 pitr main restore --to "$WORK/copy/data" --archive-mode off
expect_error "^ERROR: .*No space left"
expect_absent "$WORK/copy/data/global/pg_control"
if as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/copy/data" -l "$WORK/copy.log" -w -t 10 >/dev/null 2>&1; then
  fail "a half-restored directory started"
fi

story "with space again --delta goes on, and nothing is missing"
mount -o remount,size=200m "$WORK/copy"
expect_status 0 pitr main restore --to "$WORK/copy/data" --delta --archive-mode off --action promote
expect_verified copy
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "$(sql main 'SELECT count(*) FROM filled')" "$(sql copy 'SELECT count(*) FROM filled')" "rows"
stop copy
