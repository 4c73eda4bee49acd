#!/bin/bash
# A backup leaves the page cache as it found it: what was in memory stays, what was not does not come in,
# and neither does what the backup writes. fincore says what is there.
WORK_BELOW=${WORK_BELOW:-/var/tmp} # memory has no page cache of its own
source "$(dirname "$0")/lib.sh"
[[ $(stat -f -c %T "$WORK") != tmpfs ]] || skip "$WORK lies in memory"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
for table in cold warm; do
  sql main "CREATE TABLE $table AS SELECT n, repeat('x', 500) AS filler FROM generate_series(1, 20000) n"
done
cold=$WORK/main/data/$(sql main "SELECT pg_relation_filepath('cold')")
warm=$WORK/main/data/$(sql main "SELECT pg_relation_filepath('warm')")
sql main CHECKPOINT
cached() { fincore --noheadings --bytes --output RES "$1" | xargs; }
forget() { dd if="$1" iflag=nocache count=0 status=none; }

story "before"
sync "$cold" "$warm"
cat "$warm" >/dev/null
forget "$cold"
forget "$cold"
size=$(stat -c %s "$cold")
((size > 8 << 20)) || fail "the table has $size bytes"
(($(cached "$cold") < size / 10)) || fail "$(cached "$cold") bytes of the cold file are cached"
((($(cached "$warm")) >= size)) || fail "only $(cached "$warm") bytes of the warm file are cached"

for jobs in 1 2; do
  story "a backup with $jobs jobs"
  backup main --jobs "$jobs"
  (($(cached "$cold") < size / 10)) || fail "$(cached "$cold") bytes of the cold file are cached"
  (($(cached "$warm") >= size)) || fail "only $(cached "$warm") bytes of the warm file are cached"
  for object in "$WORK"/main/repository/data/*/"$BACKUP"/*{chunk,bundle}*; do
    (($(cached "$object") < 1 << 20)) || fail "$(cached "$object") bytes of $object are cached"
  done
done
story "with a low priority it is nicer than others while it runs"
PITR_BACKUP_PRIORITY=low slow_backup main 20MB
expect_equal "10" "$(ps -o ni= -p "$BACKUP_PROCESS" | xargs)" "nice"
expect_equal "best-effort: prio 7" "$(ionice -p "$BACKUP_PROCESS")" "I/O priority"
expect_backup_status 0
restore_into main copy --target-immediate --action promote
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "20000 20000" "$(sql copy "SELECT (SELECT count(*) FROM cold) || ' ' || (SELECT count(*) FROM warm)")" "rows"
