#!/bin/bash
# Any one system call or operation of pitr backup fails: a backup is there that restores, or an error says
# why not; the server is out of backup mode, and the next backup succeeds and clears away what is left.
source "$(dirname "$0")/crash_lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
sample=2
operations=6

small_cluster main
fill main 100
command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup --jobs 2 --json)
backup main # which makes the catalog and all folders

# The ids of all backups, and that nothing is wrong with the repository.
backups() {
  expect_status 0 pitr main info --json
  json "$OUT" '"\n".join([b["id"] for b in d["clusters"][0]["backups"]] + d["clusters"][0]["problems"])'
}

folders() { find "$WORK/main/repository/data" -type f -printf '%h\n' | sort -u | wc -l; }
nothing_half_written() { [[ -z $(find "$WORK/main/repository" -name '*.tmp.*') ]]; }
forget() { find "$WORK/main/repository/data" "$WORK/main/repository/backup" -depth -path "*$1*" -delete; }

expect_restores() {
  rm -rf "$WORK/copy"
  restore_into main copy --backup "$1" --target-immediate
}

# expect_backup_or_words: after a run with a fault. BACKUP is the one that is there before and after.
expect_backup_or_words() {
  local before=$BACKUP after id
  expect_status_of_pitr
  wait_until 10 "$POINT: the server out of backup mode" no_other_session main
  after=$(backups)
  grep -qx "$before" <<<"$after" || fail "$POINT: the backup before is lost: $after"
  id=$(grep -vx "$before" <<<"$after" || true)
  if [[ -n $id ]]; then
    expect_restores "$id" # a problem is no id
    PUBLISHED=$((PUBLISHED + 1))
  elif [[ $STATUS == 0 ]]; then
    fail "$POINT: status 0, and no backup"
  fi
  if [[ $STATUS == 0 ]]; then
    forget "$id"
    return
  fi
  backup main
  wait_until 10 "$POINT: nothing half-written is left" nothing_half_written
  expect_equal "$(wc -w <<<"$before $id $BACKUP")" "$(folders)" "$POINT: folders of backups"
  for id in $before $id; do forget "$id"; done
}
PUBLISHED=0

# What a traced run or a counting one has taken is forgotten.
forget_others() {
  local id
  for id in $(backups); do
    [[ $id == "$BACKUP" ]] || forget "$id"
  done
}

# fail_everywhere PATTERN OPERATIONS
fail_everywhere() {
  local call number error fault
  fault_points "$WORK/points" "$sample" "$1" -- "${command[@]}"
  forget_others
  while read -r call number error; do
    failing_at "$call" "$number" "$error" "${command[@]}"
    expect_backup_or_words
  done <"$WORK/points"
  operation_points "$WORK/points" "$2" "${command[@]}"
  forget_others
  while read -r number fault; do
    failing_operation "$number" "$fault" "${command[@]}"
    expect_backup_or_words
  done <"$WORK/points"
}

POINT=none
story "plain calls"
PITR_IO_RING=off fail_everywhere '.*' "$operations"
expect_faults 25 "plain calls"
story "io_uring"
PITR_IO_RING=auto fail_everywhere 'io_uring_.*' "$operations"
expect_faults 4 "io_uring"

story "the server was never left in backup mode, and the last backup restores"
sql main "SELECT pg_backup_start('again', true); SELECT pg_backup_stop(false)" >/dev/null
expect_restores "$BACKUP"
