#!/bin/bash
# A record that begins in one segment and ends in the next, and whose bytes are damaged in the second one:
# neither segment alone shows it. It is archived, and said; a server never opens with what came later gone.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=300ms

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10
backup main
switch_and_wait main
base_backup main copy
switch_and_wait main
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
for _ in 1 2 3 4; do fill main 6000; done
switch main
stop main immediate
mkdir "$WORK/damaged"
victim=
second=$(status_files main ready | grep -E '^[0-9A-F]{24}$' | sed -n 2p)
for segment in $(status_files main ready | grep -E '^[0-9A-F]{24}$'); do
  file=$WORK/main/data/pg_wal/$segment
  remaining=$(od -An -tu4 -j 16 -N 4 "$file" | tr -d ' ') # xlp_rem_len
  if [[ -z $victim && $remaining -gt 60 && $segment > $second ]]; then
    victim=$segment
    cp "$file" "$WORK/damaged/"
    flip_byte "$WORK/damaged/$segment" 80
    file=$WORK/damaged/$segment
  fi
  expect_status 0 archive main "$file"
done
[[ -n $victim && $victim < $segment ]] || fail "no record goes over a border, or nothing comes behind it"

story "PostgreSQL's own recovery is stopped there: it does not open"
recover copy
if "$PG_BIN/pg_ctl" start -D "$WORK/copy/data" -l "$WORK/copy/server.log" -w -t 60 -o "-k $WORK/copy" >/dev/null 2>&1; then
  wait_until 20 "the server gone" eval '! running copy'
fi
grep -q "ERROR: .*\"$victim\" ends an invalid record" "$WORK/copy/server.log" ||
  fail "pitr-restore did not say why: $(tail -n 20 "$WORK/copy/server.log")"

story "plan and verify say it"
expect_status 3 pitr main restore --dry-run
expect_status 3 pitr main verify --wal --json
expect_equal "['corrupt']" "$(json "$OUT" 'sorted({p["kind"] for p in d["problems"]})')" "kinds of problems"

story "a server whose replay begins behind it gets the segment"
mkdir -p "$WORK/later/global" "$WORK/later/pg_wal"
cp "$WORK/main/data/global/pg_control" "$WORK/later/global/"
number=$((16#${victim:16}))
printf 'START WAL LOCATION: 0/%X (file %s)\n' $((number * 1048576 + 0x8000)) "$victim" >"$WORK/later/backup_label"
expect_status 0 fetch main "$victim" "$WORK/later/pg_wal/RECOVERYXLOG" "$WORK/later"
rm "$WORK/later/backup_label"
printf 'START WAL LOCATION: 0/%X (file %s)\n' $(((number - 1) * 1048576)) "$victim" >"$WORK/later/backup_label"
expect_status 200 fetch main "$victim" "$WORK/later/pg_wal/RECOVERYXLOG" "$WORK/later"
