#!/bin/bash
# Recover, promote, write, archive; recover again to before and after each fork, on old and new timelines.
source "$(dirname "$0")/truth_lib.sh"

# goes_on: the recovered server is promoted, archives into the same repository and is the cluster now.
goes_on() {
  pitr_config "$RECOVERED" main
  cp "$WORK/$RECOVERED/pitr.toml" "$WORK/main/pitr.toml" # which archive_command and restore read
  "$PG_BIN/pg_ctl" promote -D "$WORK/$RECOVERED/data" -w -t 30 >/dev/null
  wait_until 30 "the promotion" out_of_recovery "$RECOVERED"
  # The checkpoint that follows a promotion takes its time, and would be archived behind what the log knows.
  sql "$RECOVERED" CHECKPOINT
}

truth_cluster main
pitr main init >/dev/null
start main
truth_table main
work main 1 60
backup main
begin=$(insert_lsn main)
work main 1 150 --points a
archived main 1
middle=$(insert_lsn main)
work main 1 150 --points b
archived main 1
end=$(insert_lsn main)
work main 1 30 # never archived: no recovery knows it
crash main

story "timeline 2 forks off in the middle"
pick commit 1 "$begin" "$middle"
plan pause xid "$XID"
restored --archive-mode preserve
settled pause
compared pause
goes_on
second=$RECOVERED
fork=$LSN
forked "$second" 2
work "$second" 2 60
work "$second" 2 150 --points c
archived "$second" 2
expect_equal 0 "$(archiver "$second" failed_count)" "failed_count"

story "before the fork, and after it on either side"
pick commit 1 "$begin" "$fork"
recovery pause time "$(at "$TIME")"
gone
recovery promote time "$(at "$TIME")" --timeline 1 --exclusive
gone
pick commit 1 "$middle" "$end"
recovery pause time "$(at "$TIME")" --timeline 1
gone
recovery shutdown lsn "$LSN" --timeline 1 --exclusive
gone
recovery promote xid "$XID" --timeline 1
gone
pick commit 2 "$(fork_of 2)"
recovery pause time "$(at "$TIME")"
gone
recovery pause xid "$XID" --timeline 2 --exclusive
gone
pick point 2 "$(fork_of 2)"
recovery promote name "$XID"
gone
recovery promote end '' --timeline 1
gone

story "a backup of the cluster that pitr restored; timeline 3 forks off timeline 1"
backup "$second"
after_backup=$(insert_lsn "$second")
work "$second" 2 100
archived "$second" 2
stop "$second"
pick commit 1 "$middle" "$end"
plan pause lsn "$LSN" --timeline 1
restored --archive-mode preserve
settled pause
compared pause
goes_on
third=$RECOVERED
forked "$third" 3
expect_equal 1 "$(json "$TRUTH/3.fork" "d['parent']")" "the parent of timeline 3"
work "$third" 3 100
archived "$third" 3
stop "$third"

story "three timelines"
pick commit 3 "$(fork_of 3)"
recovery promote time "$(at "$TIME")"
amcheck
checksums
gone
pick commit 2 "$after_backup"
recovery pause time "$(at "$TIME")" --timeline 2
gone
pick abort 2 "$after_backup"
recovery shutdown xid "$XID" --timeline 2 --exclusive
gone
pick record 3 "$(fork_of 3)"
recovery pause lsn "$LSN" --timeline 3
gone
recovery promote end '' --timeline latest
checksums
gone
