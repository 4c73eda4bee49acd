#!/bin/bash
# Retention removes what the policy does not keep: what stays restores and holds the right rows, the rest
# is no gap, and nothing that is in use goes.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
sql main "CREATE TABLE marks (mark int)"

# expire STATUS [options]: with JSON in $OUT where it is 0.
expire() {
  local status=$1
  shift
  expect_status "$status" pitr main expire --json "$@"
  expect_json "$OUT"
}
removed() { json "$OUT" '" ".join(sorted(b["id"] for b in d["clusters"][0]["backups"] if b["removed"]))'; }
ids() {
  pitr main info --json >"$WORK/info"
  json "$WORK/info" '" ".join(sorted(b["id"] for b in d["clusters"][0]["backups"]))'
}
sorted() { tr ' ' '\n' <<<"$*" | sort | paste -sd' '; }
segments() { find "$WORK/main/repository/wal" -type f | wc -l; }

# A backup, then a mark and an archived segment. MARKED[n] is a moment after the nth mark's commit.
declare -a IDS MARKED
round() {
  backup main
  IDS[$1]=$BACKUP
  sql main "INSERT INTO marks VALUES ($1)"
  MARKED[$1]=$(sql main "SELECT clock_timestamp()")
  sleep 0.05
  sql main "INSERT INTO marks VALUES (-1)"
  archive_segments main 2
}
for n in 1 2 3 4 5 6; do round $n; done

# expect_marks COUNT [restore options]: a copy restored so holds the marks 1 to COUNT.
expect_marks() {
  local count=$1
  shift
  rm -rf "$WORK/copy"
  restore_into main copy --archive-mode off "$@"
  recovered copy
  expect_equal "$count" "$(sql copy 'SELECT max(mark) FROM marks')" "the last mark of $*"
  stop copy immediate
}

story "without a rule nothing is removed, and a question removes nothing"
remember_repository main
expire 2
expect_error "there is no retention policy"
PITR_RETENTION_BACKUPS=0 expire 2
PITR_RETENTION_BACKUPS=x expire 2
PITR_RETENTION_BACKUPS=2 expire 0 --dry-run
expect_equal "$(sorted "${IDS[@]:1:4}")" "$(removed)" "what would go"
PITR_RETENTION_BACKUPS=2 expect_status 0 pitr main expire --dry-run
expect_output "would go +backup ${IDS[1]}"
expect_output "kept +backup ${IDS[6]} .*the newest usable backup"
expect_repository_unchanged main

story "unknown, pinned, and in use"
expire 2 --backup 20200101T000000Z-000000
expect_error "there is no backup"
expire 2 --backup ../../wal
expect_status 0 pitr main keep "${IDS[2]}" --wal none
expect_status 0 pitr main keep "${IDS[2]}" --wal none
expect_status 2 pitr main keep 20200101T000000Z-000000
expect_status 2 pitr main keep "${IDS[2]}" --wal some
expire 2 --backup "${IDS[2]}"
expect_error "it is pinned"
expect_marks 4 --backup "${IDS[4]}" --target-time "${MARKED[4]}"
expire 2 --backup "${IDS[4]}"
expect_error "in use by the recovery that pitr restore"

story "the policy, once and twice: backups = 2, a pin without WAL, and a recovery that may go on"
export PITR_RETENTION_BACKUPS=2
before=$(segments)
expire 0
expect_equal "$(sorted "${IDS[1]}" "${IDS[3]}")" "$(removed)" "removed"
expect_equal "$(sorted "${IDS[2]}" "${IDS[4]}" "${IDS[5]}" "${IDS[6]}")" "$(ids)" "left"
(($(segments) < before)) || fail "no WAL was removed"
expect_equal "2" "$(find "$WORK/main/repository/data" -mindepth 2 -maxdepth 2 -name "*${IDS[2]}" -o -mindepth 2 -maxdepth 2 -name "*${IDS[6]}" | wc -l)" "data of kept backups"
expect_absent "$WORK/main/repository/data/main-$(sql main 'SELECT system_identifier FROM pg_control_system()')/${IDS[1]}"
remember_repository main
expire 0
expect_equal "" "$(removed)" "removed the second time"
expect_repository_unchanged main

story "no gap, no finding; a moment that expired is said to be"
expect_equal "[]" "$(json "$WORK/info" 'd["clusters"][0]["problems"]')" "problems"
expect_status 0 pitr main verify
pitr main catalog rebuild >/dev/null
rebuilt=$(ids)
expect_equal "$(sorted "${IDS[2]}" "${IDS[4]}" "${IDS[5]}" "${IDS[6]}")" "$rebuilt" "backups after a rebuild"
expect_status 0 pitr main verify
expect_expired() {
  expect_status 3 pitr main restore --dry-run --json "$@"
  expect_equal expired "$(json "$OUT" 'd["reason"]["code"]')" "the reason for $*"
}
expect_expired --target-time "${MARKED[2]}"
expect_expired --target-time "${MARKED[3]}"
expect_expired --backup "${IDS[1]}"
first=$(json "$WORK/info" 'd["clusters"][0]["timelines"][0]["first_segment"]')
expect_refused 200 main "$(segment_after "$first" -1)" "gap|missing"

story "what stays restores and holds the right rows"
rm -rf "$WORK/copy"
restore_into main copy --archive-mode off --backup "${IDS[2]}" --target-immediate
recovered copy
expect_equal 1 "$(sql copy 'SELECT max(mark) FROM marks')" "marks in the pinned backup"
stop copy immediate
expect_marks 4 --target-time "${MARKED[4]}"
expect_marks 5 --target-time "${MARKED[5]}"
expect_marks 6 --target-time "${MARKED[6]}"

story "when the recoveries' time is over, their backups go, too; so does an unpinned one"
expect_status 0 pitr main keep "${IDS[2]}" --remove
PITR_RETENTION_AFTER_RESTORE=1ms expect_marks 6 --target-time "${MARKED[6]}"
rm -r "$WORK/main/repository/hold" # as if two days had gone by
expire 0
expect_equal "$(sorted "${IDS[2]}" "${IDS[4]}")" "$(removed)" "removed"
expire 2 --backup x/y
backup main --keep
expire 2 --backup "$BACKUP"
expect_error "it is pinned"
expect_status 0 pitr main keep "$BACKUP" --remove
expire 0 --backup "$BACKUP"
expire 0 --backup "${IDS[5]}"
expire 2 --backup "${IDS[6]}"
expect_error "it is the last usable backup"
expect_equal "${IDS[6]}" "$(ids)" "the last one"

story "during a backup it waits, then refuses; the backup is not disturbed"
fill main 20000
slow_backup main 10MB --json
expect_status 1 pitr main expire --json --lock-timeout 200ms
expect_equal lock_timeout "$(json "$OUT" 'd["error"]["code"]')" "code"
expect_error "In the way is backup .* by process $BACKUP_PROCESS on "
expect_status 0 pitr main expire --lock-timeout 60s
expect_backup_status 0
expire 0
expect_status 0 pitr main verify

# stopped_at CALL NUMBER options: a pitr in the background that stands still there, until go_on.
stopped_at() {
  local call=$1 number=$2
  shift 2
  rm -f "$WORK/strace"
  strace -f -qq -o "$WORK/strace" -e "trace=$call" -e "inject=$call:signal=STOP:when=$number" \
    "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" "$@" >"$WORK/stopped.out" 2>&1 &
  STOPPED=$!
  wait_until 20 "pitr $1 stands still" grep -q 'stopped by SIGSTOP' "$WORK/strace"
}
go_on() {
  pkill -CONT -P "$STOPPED"
  wait "$STOPPED" || fail "what was stopped: $(cat "$WORK/stopped.out")"
}

story "a restore holds its backup while it runs"
newest=$(json "$WORK/backup.out" 'd["id"]')
stopped_at syncfs 1 restore --to "$WORK/slow" --backup "${IDS[6]}" --target-immediate
PITR_RETENTION_BACKUPS=1 expire 0
expect_equal "$(sorted "${IDS[6]}" "$newest")" "$(ids)" "left while the restore runs"
expect_in "$OUT" "the reasons" "in use by pitr restore, process "
expire 2 --backup "${IDS[6]}"
go_on
"$PG_BIN/pg_verifybackup" -n "$WORK/slow" >/dev/null || fail "what was restored is not whole"

story "a backup that should go and could not stays under a longer policy; lost later, it is missed"
rm -r "$WORK/main/repository/hold"
manifest=$(find "$WORK/main/repository/backup" -path "*${IDS[6]}*" -type f)
PITR_RETENTION_BACKUPS=1 strace -f -qq -o "$WORK/strace" -P "$manifest" -e inject=unlink,unlinkat:error=EIO \
  "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" expire >/dev/null 2>&1 &&
  fail "an expiry succeeded that could not remove $manifest"
grep -q INJECTED "$WORK/strace" || fail "the expiry failed before it came to $manifest"
expire 0
expect_equal "" "$(removed)" "removed by the longer policy"
expect_status 0 pitr main verify
mv "$manifest" "$WORK/manifest"
expect_status 3 pitr main verify
mv "$WORK/manifest" "$manifest"

story "while an expiry runs a restore waits, and another expiry, too"
export PITR_RETENTION_BACKUPS=1
stopped_at unlink 4 expire # the manifest of a backup
expect_status 1 pitr main restore --to "$WORK/late" --target-immediate --json --lock-timeout 200ms
expect_equal lock_timeout "$(json "$OUT" 'd["error"]["code"]')" "code"
expect_error "By pitr expire, process [0-9]+ on "
expect_absent "$WORK/late"
expire 1 --lock-timeout 200ms
go_on
expect_status 0 pitr main restore --to "$WORK/late" --target-immediate
expect_equal "$newest" "$(ids)" "left"
expect_status 0 pitr main verify

story "a damaged hold: nothing is removed, and a restore goes on"
hold=$(find "$WORK/main/repository/hold" -type f | head -n 1)
flip_byte "$hold" 40
expire 1
expect_error 'stored file ".*hold/.*" is damaged'
rm -rf "$WORK/late"
expect_status 0 pitr main restore --to "$WORK/late" --target-immediate
expect_error '^WARNING: +stored file ".*hold/.*" is damaged'
expect_status 3 pitr main verify
rm "$hold"

story "a repository that may not be written: a restore warns, and goes on"
chmod -R a-w "$WORK/main/repository"
rm -rf "$WORK/late"
expect_status 0 pitr main restore --to "$WORK/late" --target-immediate
expect_error "^WARNING: +pitr expire is not kept from removing what this restore reads: .*Permission denied"
expire 1
chmod -R u+w "$WORK/main/repository"

story "the audit log tells what went"
python3 - "$WORK/main/state/audit.log" "${IDS[1]}" <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
done = [l for l in lines if l["command"] == "expire" and l["outcome"] == "ok" and "clusters" in l["did"]]
first = done[0]["did"]["clusters"][0]
assert sys.argv[2] in first["backups"] and first["wal"][0]["segments"] > 0, first
assert any(l["command"] == "expire" and l["outcome"] == "failed" for l in lines)
END
