#!/bin/bash
# The same file again is accepted, other contents under its name never: nothing is overwritten.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 3
segment=$SEGMENT
wal=$WORK/main/data/pg_wal
remember_repository main

story "the same file with the same contents again: status 0, nothing changes"
expect_status 0 archive main "pg_wal/$segment"
expect_repository_unchanged main

story "PostgreSQL offers a file again after a crash: archived without a failure"
crash main
mv "$wal/archive_status/$segment.done" "$wal/archive_status/$segment.ready"
start main
wait_until 20 "the file archived again" test -e "$wal/archive_status/$segment.done"
archive_segments main 1
expect_equal 0 "$(archiver main failed_count)" "failed_count"
expect_repository_kept main
remember_repository main

story "other contents under a stored name: refused, the stored file is kept"
mkdir "$WORK/other"
cp "$wal/$segment" "$WORK/other/"
flip_byte "$WORK/other/$segment" 300
expect_status 1 archive main "$WORK/other/$segment"
expect_error "ERROR: .*$segment.* is stored already with other contents"
expect_repository_unchanged main
expect_fetched main "$segment" "$wal/$segment"

story "so it is for the files beside the segments"
base_backup main unused
archive_segments main 1
backup=$(archived_files main | grep 'backup$')
remember_repository main
expect_status 0 archive main "pg_wal/$backup"
expect_repository_unchanged main
{ cat "$wal/$backup"; echo "# another"; } >"$WORK/other/$backup"
expect_status 1 archive main "$WORK/other/$backup"
expect_error "$backup.* is stored already with other contents"
expect_repository_unchanged main
expect_fetched main "$backup" "$wal/$backup"

story "a stored file that was damaged meanwhile is not acknowledged: PostgreSQL's copy is the only one"
file=$(stored main "$segment")
flip_byte "$file" $(($(size_of "$file") / 2))
expect_status 1 archive main "pg_wal/$segment"
expect_error "ERROR: .*$segment"
