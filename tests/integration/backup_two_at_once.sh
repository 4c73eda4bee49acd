#!/bin/bash
# A second backup of the same cluster at the same time is refused, naming host, process and start.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
slow_backup main 8MB --json
story "the second one"
expect_status 1 pitr main --lock-timeout 0s backup
expect_error "^ERROR: .*$BACKUP_PROCESS|^DETAIL: .*$BACKUP_PROCESS"
expect_error "$(hostname)"
expect_error "$(date +%Y-%m-%d)"
expect_status 1 pitr main --lock-timeout 0s backup --json
expect_json "$OUT"

story "nor one that comes through another database: locks are of one database each"
sql main 'CREATE DATABASE other'
expect_status 1 env PITR_CLUSTER_CONNECTION="host=$WORK/main dbname=other user=postgres" \
  "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup
expect_error "another backup of this cluster is running"

story "the first one is not disturbed, and nothing of the second is left"
expect_backup_status 0
expect_backups main 1
expect_equal 1 "$(find "$WORK/main/repository/data" -mindepth 2 -maxdepth 2 | wc -l)" "folders of backups"

story "after it another one succeeds"
backup main
expect_backups main 2
