#!/bin/bash
# A repository that may not be written: archiving fails and says so; restoring works from it.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 2
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
fill main 100
switch main
new=$SEGMENT
stop main immediate
first=$(archived_files main | grep -E '^[0-9A-F]{24}$' | head -n 1)
remember_repository main

story "without permission to write: 1"
chmod -R a-w "$WORK/main/repository"
expect_status 1 archive main "pg_wal/$new"
expect_error "^ERROR: .*Permission denied"
expect_repository_unchanged main

story "restoring needs no permission to write"
expect_fetched main "$first" "$WORK/main/data/pg_wal/$first"

story "without any permission: archiving 1, restoring 200, never \"not there\""
chmod -R u+w "$WORK/main/repository"
chmod 000 "$WORK/main/repository"
expect_status 1 archive main "pg_wal/$new"
expect_error "^ERROR: .*Permission denied"
expect_refused 200 main "$first" "^ERROR: .*Permission denied"
expect_refused 200 main "$(segment_after "$new")" "^ERROR: .*Permission denied"
chmod 700 "$WORK/main/repository"

story "so with a single folder inside"
folder=$(dirname "$(stored main "$first")")
chmod 000 "$folder"
expect_status 1 archive main "pg_wal/$new"
expect_error "^ERROR: .*Permission denied"
expect_refused 200 main "$first" "^ERROR: .*Permission denied"
expect_refused 200 main "$(segment_after "$new")" "^ERROR: .*Permission denied"
chmod 700 "$folder"

story "a state directory that cannot be written does not fail an archive that is durable"
chmod 500 "$WORK/main/state"
chmod -R a-w "$WORK/main/state"
expect_status 0 archive main "pg_wal/$new"
expect_error "^WARNING: "
expect_fetched main "$new" "$WORK/main/data/pg_wal/$new"
expect_repository_kept main
