#!/bin/bash
# Recovery to any target brings back the rows that the log has: concurrent sessions, aborts, savepoints.
source "$(dirname "$0")/truth_lib.sh"

truth_cluster main
pitr main init >/dev/null
start main
truth_table main
work main 1 60
work main 1 250 --points a & # while the backup is taken
backup main
wait $! || fail "the workload beside the backup"
work main 1 150 --points b
archived main 1
begin=$(insert_lsn main)
work main 1 400 --sessions 6 --points c
archived main 1
end=$(insert_lsn main)

pick commit 1 "$begin"
recovery pause time "$(at "$TIME")"
gone
recovery promote time "$(at "$TIME")" --exclusive
amcheck
checksums
gone
pick commit 1 "$begin"
recovery shutdown time "$(at $((TIME - 1)))"
checksums
gone
recovery promote time "$(at $((TIME + 1)))" --exclusive
gone
pick abort 1 "$begin"
recovery pause time "$(at $((TIME - 1)))"
gone

pick commit 1 "$begin"
recovery shutdown xid "$XID"
gone
recovery pause xid "$XID" --exclusive
gone
pick abort 1 "$begin"
recovery promote xid "$XID"
gone

pick commit 1 "$begin"
recovery pause lsn "$LSN"
gone
recovery shutdown lsn "$LSN" --exclusive
gone
pick record 1 "$begin"
recovery promote lsn "$LSN"
gone
pick commit 1 "$begin"
recovery pause lsn "$(lsn_before "$LSN")" # in the record before: the first at or past it is the commit
gone

pick point 1 "$begin"
recovery pause name "$XID"
gone
recovery pause immediate ''
gone
recovery promote end ''
amcheck
checksums
gone

story "after the last archived commit: what is archived between restore and start stays out"
plan promote time "$(at $((${EPOCHREALTIME/./} - 1)))"
restored --archive-mode off
work main 1 60
switch_and_wait main
settled promote
compared promote
gone

story "the id of a subtransaction is answered with its transaction's"
pick subtransaction 1 "$begin" "$end"
expect_status 3 pitr main restore --dry-run --target-xid "$XID"
grep -qE 'part of' "$OUT" "$ERR" || fail "not told that it is a part: $(last_command)"
