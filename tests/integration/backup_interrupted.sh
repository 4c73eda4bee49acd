#!/bin/bash
# A backup that is killed, told to end, or whose server goes away is seen by nobody, leaves the server
# out of backup mode and is removed by the next backup.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 1000
folders() { find "$WORK/main/repository/data" -type f -printf '%h\n' | sort -u | wc -l; }
complete=0

# next_one LEFT: nobody sees the interrupted one; another backup works and removes it.
next_one() {
  story "nobody sees it; the next backup works and removes what is left of it"
  expect_backups main "$complete"
  wait_until 10 "the server out of backup mode" no_other_session main
  backup main
  complete=$((complete + 1))
  expect_backups main "$complete"
  expect_equal "$complete" "$(folders)" "folders of backups"
  expect_no_leftovers main
}

story "kill -9"
slow_backup main 5MB
kill -KILL "$BACKUP_PROCESS"
expect_backup_status 137
expect_equal 1 "$(folders)" "folders of backups"
next_one

story "SIGTERM"
slow_backup main 5MB
kill -TERM "$BACKUP_PROCESS"
status=0
wait "$BACKUP_PROCESS" 2>/dev/null || status=$?
[[ $status != 0 ]] || fail "status 0 after SIGTERM"
next_one

story "the server is gone"
slow_backup main 5MB
crash main
expect_backup_status 1
expect_error "^ERROR: "
expect_backups main "$complete"
start main
next_one

story "only its session is gone, so the server left backup mode without us"
slow_backup main 5MB
sql main "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()" >/dev/null
expect_backup_status 1
expect_error "^ERROR: "
next_one

story "what comes back of the last one is good"
restore_into main copy --target-immediate
