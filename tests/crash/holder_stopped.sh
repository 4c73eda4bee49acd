#!/bin/bash
# A process that holds a lock is stopped, and a disk is slow: nobody waits without an end, everybody says
# for whom, archiving goes on, and when the process goes on, too, nothing is lost.
source "$(dirname "$0")/crash_lib.sh"

small_cluster main
backup main
archive_segments main 1
lock=$WORK/main/state/catalog.lock
held() { ! flock --nonblock "$lock" true; }
seconds_since() { echo $(((${EPOCHREALTIME/./} - $1) / 1000000)); }

# stopped_at CALL command…: runs it in the background until it is stopped before such a system call;
# STOPPED is its process, TRACER strace's.
stopped_at() {
  local call=$1
  shift
  strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=STOP:when=1" "$@" \
    >"$WORK/stopped.out" 2>&1 &
  TRACER=$!
  STOPPED=
  is_stopped() { STOPPED=$(pgrep -P "$TRACER" | head -n 1) && [[ $(ps -o state= -p "$STOPPED") == [Tt] ]]; }
  wait_until 20 "the process stopped" is_stopped
  STOPPED=$(pgrep -P "$TRACER" | head -n 1)
  AT_EXIT+=("kill -KILL $STOPPED $TRACER 2>/dev/null")
}

story "the holder of the catalog is stopped: others give up in time and name it; archiving goes on"
stopped_at fdatasync "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" catalog rebuild
held || fail "it does not hold the catalog"
begin=${EPOCHREALTIME/./}
expect_status 1 pitr main catalog rebuild --lock-timeout 1s
expect_error "^DETAIL: .*process $STOPPED on $(uname -n) \(pitr catalog rebuild\)"
(($(seconds_since "$begin") < 6)) || fail "it did not give up in time"
archive_segments main 1
expect_equal 0 "$(archiver main failed_count)" "failed_count"
expect_status 0 pitr main info
expect_status 0 pitr main verify
kill -CONT "$STOPPED"
wait "$TRACER" || fail "it did not go on: $(cat "$WORK/stopped.out")"
expect_status 0 pitr main catalog rebuild --lock-timeout 10s

story "a backup is stopped: a second one is refused and names it; killed, it is in nobody's way"
stopped_at renameat2 "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup
expect_status 1 pitr main backup
expect_error "another backup of this cluster is running"
expect_error "$STOPPED"
kill -KILL "$STOPPED"
wait "$TRACER" || true
backup_is_free() { pitr main backup; }
wait_until 20 "a backup after the killed one" backup_is_free
[[ -z $(find "$WORK/main/repository" -name '*.tmp.*') ]] || fail "something half-written is left"
expect_status 0 pitr main verify

story "pitr-archive is stopped in mid-segment: the same segment by another call is stored meanwhile"
settings main "archive_command = 'false'"
stop main
start main
fill main 1000
switch main
cd "$WORK/main/data"
stopped_at fsync env PITR_IO_RING=off "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "pg_wal/$SEGMENT"
expect_status 0 archive main "pg_wal/$SEGMENT"
kill -CONT "$STOPPED"
wait "$TRACER" || fail "the stopped one: $(cat "$WORK/stopped.out")"
expect_equal 1 "$(stored main "$SEGMENT" | wc -l)" "files named $SEGMENT"
expect_fetched main "$SEGMENT" "$WORK/main/data/pg_wal/$SEGMENT"

story "a disk on which every write and every fsync takes its time: slower, and as safe"
fill main 1000
switch main
expect_status 0 env PITR_IO_RING=off strace -f -qq -o /dev/null -e trace=pwrite64,fsync \
  -e inject=pwrite64,fsync:delay_exit=300000 \
  "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "pg_wal/$SEGMENT"
expect_fetched main "$SEGMENT" "$WORK/main/data/pg_wal/$SEGMENT"
begin=${EPOCHREALTIME/./}
expect_status 0 strace -f -qq -o /dev/null -e trace=pread64,openat -e inject=openat:delay_enter=50000 \
  "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "$SEGMENT" "$WORK/slow"
expect_same_file "$WORK/main/data/pg_wal/$SEGMENT" "$WORK/slow"
