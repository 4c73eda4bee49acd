#!/bin/bash
# Each backup, restore and verification leaves one line in the audit log, also one that fails; and
# what happens to the log never fails a command.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
log=$WORK/main/state/audit.log

# entry N EXPRESSION: a value out of the Nth line, or of the last one for -1.
entry() {
  python3 -c 'import json, sys
d = [json.loads(line) for line in open(sys.argv[1])][int(sys.argv[2])]
print(eval(sys.argv[3]))' "$log" "$1" "$2"
}
lines() { wc -l <"$log"; }

story "a backup, and one that fails"
expect_status 0 pitr main backup --json
id=$(json "$OUT" 'd["id"]')
expect_equal "backup ok 0 None main $id True" \
  "$(entry 0 'd["command"], d["outcome"], d["status"], d["error"], d["cluster"], d["did"]["backup"], d["did"]["bytes"] > 0' | tr -d "(),'")" \
  "the backup's line"
expect_equal "$(sql main 'SELECT system_identifier FROM pg_control_system()')" \
  "$(entry 0 'd["system_identifier"]')" "the cluster"
expect_equal "$(hostname) $(id -un)" "$(entry 0 'd["host"]+" "+d["user"]')" "who"
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
PITR_CLUSTER_CONNECTION="host=$WORK/nowhere" expect_status 1 pitr main backup
expect_equal "failed None True" \
  "$(entry -1 'd["outcome"], d["status"], len(d["error"]["message"]) > 0' | tr -d "(),'")" "the failed one"

story "a restore, one whose target is out of reach, and none for a question"
expect_status 0 pitr main restore --to "$WORK/copy" --target-immediate
expect_equal "restore ok $id immediate $WORK/copy 1" \
  "$(entry -1 'd["command"], d["outcome"], d["did"]["backup"], d["did"]["target"]["kind"], d["did"]["directory"], d["did"]["timeline"]' | tr -d "(),'")" "the restore"
expect_status 3 pitr main restore --to "$WORK/copy2" --target-lsn F/0
expect_equal "finding 3 None" "$(entry -1 'd["outcome"], d["status"], d["did"]["backup"]' | tr -d "(),'")" "out of reach"
before=$(lines)
expect_status 0 pitr main restore --dry-run --target-immediate
expect_status 0 pitr main info
expect_status 2 pitr main restore --dry-run --no-such-option
expect_equal "$before" "$(lines)" "lines after questions"

story "a verification that finds something"
expect_status 0 pitr main verify
expect_equal "verify ok 0" "$(entry -1 'd["command"], d["outcome"], d["did"]["problems"]' | tr -d "(),'")" "all is well"
rm "$(stored main backup_label)"
expect_status 3 pitr main verify
expect_equal "finding 3 True" "$(entry -1 'd["outcome"], d["status"], d["did"]["problems"] > 0' | tr -d "(),'")" "damage"

story "a line that was cut short does not take the next one with it"
printf '{"format": 1, "comm' >>"$log"
expect_status 3 pitr main verify
expect_equal verify "$(tail -n 1 "$log" | python3 -c 'import json; print(json.loads(input())["command"])')" "the last line"

story "several at once: no line is mixed with another"
rm "$log"
for _ in 1 2 3 4 5 6; do pitr main restore --to "$WORK/copy3" --target-lsn F/0 >/dev/null 2>&1 & done
wait
expect_equal 6 "$(lines)" "lines"
entry -1 d >/dev/null

story "a log that cannot be written is a warning"
PITR_AUDIT_FILE=/proc/nowhere/audit.log expect_status 3 pitr main verify
expect_error "^WARNING:  the audit log has no line of this command: could not .*/proc/nowhere"
PITR_AUDIT_FILE=/dev/full expect_status 3 pitr main verify
expect_error "^WARNING:  the audit log has no line of this command: could not write"
PITR_AUDIT_FILE=relative expect_status 2 pitr main verify
expect_error "audit.file|PITR_AUDIT_FILE"
PITR_AUDIT_FILE=$WORK/elsewhere/audit.log expect_status 3 pitr main verify
expect_equal 1 "$(wc -l <"$WORK/elsewhere/audit.log")" "lines elsewhere"
