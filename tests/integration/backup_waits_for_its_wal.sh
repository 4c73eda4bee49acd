#!/bin/bash
# A backup becomes visible only with all its WAL in the repository: if that does not come in time it
# is a failure, and said so.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
switch_and_wait main

story "archiving stops working while the backup runs"
PITR_BACKUP_WAL_TIMEOUT=2s slow_backup main 12MB
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
expect_backup_status 1
expect_error "^ERROR: .*(segment|WAL)"
expect_error "archive_command|archiv"
expect_backups main 0
expect_status 3 pitr main restore --dry-run --target-immediate
wait_until 5 "the server out of backup mode" no_other_session main

story "with archiving again the next one is visible and restores"
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
sql main 'SELECT pg_reload_conf()' >/dev/null
switch_and_wait main
backup main
expect_backups main 1
for segment in $(sql main "SELECT pg_walfile_name('$(json "$OUT" 'd["clusters"][0]["backups"][0]["start_lsn"]')')"); do
  [[ -n $(stored main "$segment") ]] || fail "$segment is not stored"
done
restore_into main copy
start_copy copy
expect_sound copy
