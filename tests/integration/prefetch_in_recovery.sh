#!/bin/bash
# Recovery takes segments that were fetched ahead, over a timeline switch; the end of the archive and a gap are
# what they were; the prefetcher may be killed at any moment; nothing of it stays when recovery has ended.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=300ms # for the restore_command of the servers started here

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10
base_backup main origin

# copy_of_origin NAME: a data directory that recovers from main's repository.
copy_of_origin() {
  as_postgres cp -a "$WORK/origin" "$WORK/$1"
  pitr_config "$1" main
  server_settings "$1"
  recover "$1"
  settings "$1" \
    "restore_command = '$PITR_BIN/pitr-restore --log-level debug --config $WORK/$1/pitr.toml %f %p'"
}
fetched_ahead() { grep -c 'was fetched ahead' "$WORK/$1/server.log" || true; }
no_folder() { [[ ! -e $WORK/$1/data/pg_wal/pitr.prefetch ]]; }
# The prefetchers of a data directory.
prefetchers() {
  local process
  for process in /proc/[0-9]*; do
    [[ $(cat "$process/comm" 2>/dev/null) == pitr-prefetch ]] || continue
    [[ $(readlink "$process/cwd") != "$WORK/$1/data"* ]] || echo "${process#/proc/}"
  done
}
no_prefetcher() { [[ -z $(prefetchers "$1") ]]; }

fill main 60000
switch_and_wait main
on_the_first=$SEGMENT
copy_of_origin second
start second
wait_until 30 "the end of recovery" out_of_recovery second

story "the first recovery took what was fetched ahead, and nothing of that is left"
expect_equal "$(sql main 'SELECT count(*) FROM filled')" "$(sql second 'SELECT count(*) FROM filled')" "rows"
(($(fetched_ahead second) >= 1)) || fail "nothing was fetched ahead"
wait_until 10 "the folder gone" no_folder second
wait_until 10 "the prefetcher gone" no_prefetcher second
stop main

fill second 40000
switch_and_wait second
rows=$(sql second 'SELECT count(*) FROM filled')
wait_until 30 "everything archived" nothing_to_archive second
stop second

story "over the switch to timeline 2, with the prefetcher killed again and again"
copy_of_origin third
(
  set +e
  while [[ ! -e $WORK/enough ]]; do
    for process in $(prefetchers third); do kill -KILL "$process"; done
    sleep "0.0$((RANDOM % 9 + 1))"
  done
) 2>/dev/null &
killer=$!
start third
wait_until 60 "the end of recovery" out_of_recovery third
touch "$WORK/enough"
wait "$killer" || true
expect_equal "$rows" "$(sql third 'SELECT count(*) FROM filled')" "rows"
stop third

story "undisturbed over the switch"
copy_of_origin fourth
start fourth
wait_until 30 "the end of recovery" out_of_recovery fourth
expect_equal "$rows" "$(sql fourth 'SELECT count(*) FROM filled')" "rows"
grep 'was fetched ahead' "$WORK/fourth/server.log" | grep -q '"00000002' || fail "nothing on timeline 2"
grep 'was fetched ahead' "$WORK/fourth/server.log" | grep -q '"00000001' || fail "nothing on timeline 1"
wait_until 10 "the folder gone" no_folder fourth

story "PostgreSQL's tools do not mind the folder"
as_postgres mkdir "$WORK/fourth/data/pg_wal/pitr.prefetch"
head -c 1000 /dev/zero >"$WORK/fourth/data/pg_wal/pitr.prefetch/000000020000000000000009.x"
chown "$PG_USER" "$WORK/fourth/data/pg_wal/pitr.prefetch"/* 2>/dev/null || true
as_postgres mkdir "$WORK/taken"
expect_status 0 "$PG_BIN/pg_basebackup" -D "$WORK/taken/data" -h "$WORK/fourth" -p 5432 -U postgres -X fetch -c fast
expect_verified taken
expect_absent "$WORK/taken/data/pg_wal/pitr.prefetch"
sql fourth "SELECT pg_switch_wal(); CHECKPOINT" >/dev/null
stop fourth

story "a gap in the middle ends recovery as ever, and the server does not open"
gap=$(segment_after "$on_the_first" -2)
mv "$(stored main "$gap")" "$WORK/lost"
copy_of_origin fifth
settings fifth "hot_standby = off"
as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/fifth/data" -l "$WORK/fifth/server.log" -W >/dev/null
gap_found() { grep -q "gap: $gap missing" "$WORK/fifth/server.log" && ! running fifth; }
wait_until 30 "the gap found, and the server down" gap_found
[[ -e $WORK/fifth/data/recovery.signal ]] || fail "recovery.signal is gone"
wait_until 10 "the folder gone with the server" no_folder fifth
wait_until 10 "the prefetcher gone with the server" no_prefetcher fifth
