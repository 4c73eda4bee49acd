#!/bin/bash
# pitr backup is killed at its system calls: the server is out of backup mode, there is no new backup
# or a complete one, which restores, and the next backup succeeds and clears away what is left.
source "$(dirname "$0")/crash_lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
sample=2

small_cluster main
fill main 100
command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup --jobs 2 --json)
backup main # which makes the catalog and all folders

backups() {
  expect_status 0 pitr main info --json
  expect_json "$OUT"
  expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["problems"]')" "$POINT: problems"
  json "$OUT" '"\n".join(b["id"] for b in d["clusters"][0]["backups"])'
}

folders() { find "$WORK/main/repository/data" -type f -printf '%h\n' | sort -u | wc -l; }
nothing_half_written() { [[ -z $(find "$WORK/main/repository" -name '*.tmp.*') ]]; }

# forget ID: as if it had never been taken; the tests would pile up gigabytes.
forget() { find "$WORK/main/repository/data" "$WORK/main/repository/backup" -depth -path "*$1*" -delete; }

expect_restores() {
  rm -rf "$WORK/copy"
  restore_into main copy --backup "$1" --target-immediate
}

# kill_and_go_on CALL NUMBER: BACKUP is the only one before, and another one is after.
kill_and_go_on() {
  local before=$BACKUP after id
  killed_at "$1" "$2" "${command[@]}"
  wait_until 10 "$POINT: the server out of backup mode" no_other_session main
  after=$(backups)
  grep -qx "$before" <<<"$after" || fail "$POINT: the backup before is lost: $after"
  id=$(grep -vx "$before" <<<"$after" || true)
  if [[ -n $id ]]; then
    PUBLISHED=$((PUBLISHED + 1))
    expect_restores "$id"
  fi
  backup main
  # The .backup file of its own may be on its way into the archive still.
  wait_until 10 "$POINT: nothing half-written is left" nothing_half_written
  expect_equal "$(wc -w <<<"$before $id $BACKUP")" "$(folders)" "$POINT: folders of backups"
  for id in $before $id; do forget "$id"; done
}

PUBLISHED=0
POINT=none
for ring in off auto; do
  export PITR_IO_RING=$ring
  pattern='.*'
  if [[ $ring != off ]]; then
    pattern=io_uring_enter
    sample=4
  fi
  traced "$WORK/trace" "${command[@]}"
  for id in $(backups); do
    [[ $id == "$BACKUP" ]] || forget "$id"
  done
  points_of "$WORK/trace" "$sample" "$pattern" >"$WORK/points"
  story "$(wc -l <"$WORK/points") points, ring $ring"
  while read -r call number; do
    kill_and_go_on "$call" "$number"
  done <"$WORK/points"
  if [[ $ring == off ]]; then
    expect_killed 25 "ring off"
    ((PUBLISHED > 0)) || fail "no backup was complete when it was killed"
  elif [[ -s $WORK/points ]]; then
    expect_killed 1 "io_uring"
  fi
done

story "the server was never left in backup mode, and the last backup restores"
sql main "SELECT pg_backup_start('again', true); SELECT pg_backup_stop(false)" >/dev/null
expect_restores "$BACKUP"
