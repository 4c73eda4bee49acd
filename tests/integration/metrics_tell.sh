#!/bin/bash
# pitr metrics says what is so, before and after each thing that can happen to backups, in a form that
# promtool accepts; thresholds and alerts go by the same numbers.
source "$(dirname "$0")/lib.sh"
command -v promtool >/dev/null || fail "promtool is missing: scripts/install-dependencies"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
identifier=$(sql main 'SELECT system_identifier FROM pg_control_system()')

# metrics: prints them into $OUT, well-formed and with the identity of the cluster on every sample.
metrics() {
  expect_status 0 pitr main metrics
  promtool check metrics <"$OUT" >"$WORK/promtool" 2>&1 || fail "promtool: $(cat "$WORK/promtool" "$OUT")"
  ! grep -v '^#' "$OUT" | grep -vF "cluster=\"main\",system_identifier=\"$identifier\"" ||
    fail "a sample without identity"
}
# value NAME [LABEL]: of a sample; empty where there is none.
value() {
  awk -v name="$1{" -v label="${2-}" 'index($0, name) == 1 && index($0, label) { print $NF }' "$OUT"
}
# expect_value EXPECTED NAME [LABEL]
expect_value() { expect_equal "$1" "$(value "$2" "${3-}")" "$2 ${3-}"; }
# expect_between LEAST MOST NAME [LABEL]
expect_between() {
  awk -v least="$1" -v most="$2" -v v="$(value "$3" "${4-}")" \
    'BEGIN { exit !(v != "" && v >= least && v <= most) }' ||
    fail "$3 is \"$(value "$3" "${4-}")\", not from $1 to $2"
}

story "before the first backup"
switch_and_wait main
metrics
for name in pitr_up pitr_repository_up pitr_server_up; do expect_value 1 $name; done
expect_value 0 pitr_backups
expect_value "" pitr_backup_last_timestamp_seconds
expect_value 0 pitr_archive_lag_seconds
expect_value 0 pitr_archive_lag_segments
expect_value 0 pitr_archive_ready_files
expect_value "$(archiver main archived_count)" pitr_archiver_archived_total
expect_value 0 pitr_archiver_failing
expect_value 1 pitr_server_timeline
expect_value "" pitr_verify_ok
expect_between $((EPOCHSECONDS - 20)) $((EPOCHSECONDS + 1)) pitr_archive_last_timestamp_seconds
df=$(df -B1 --output=size "$WORK/main/repository" | tail -n 1)
expect_value "$((df))" pitr_repository_volume_bytes
expect_value "$(du -bc "$(stored main "$SEGMENT")" | tail -n 1 | cut -f 1)" pitr_repository_stored_bytes 'kind="wal"'

story "after a backup and a verification"
backup main
stored_bytes=$(json "$OUT" 'd["stored_bytes"]') size=$(json "$OUT" 'd["size_bytes"]')
fill main 100
switch_and_wait main
expect_status 0 pitr main verify
metrics
expect_value 1 pitr_backups
expect_value 1 pitr_backups_usable
expect_value "$stored_bytes" pitr_backup_last_stored_bytes 'type="full"'
expect_value "$size" pitr_backup_last_size_bytes 'type="full"'
expect_between $((EPOCHSECONDS - 30)) $((EPOCHSECONDS + 1)) pitr_backup_last_timestamp_seconds
expect_between 0 30 pitr_backup_last_duration_seconds
expect_value 1 pitr_verify_ok
expect_value 0 pitr_verify_problems
expect_value 0 pitr_wal_gaps 'timeline="1"'
expect_between $((EPOCHSECONDS - 30)) $((EPOCHSECONDS + 1)) pitr_recoverable_to_timestamp_seconds
expect_between $((EPOCHSECONDS - 30)) $((EPOCHSECONDS + 1)) pitr_command_last_timestamp_seconds 'command="verify",outcome="ok"'

story "a textfile is replaced as a whole, readable for everyone, and nothing is left beside it"
as_postgres mkdir "$WORK/textfiles"
echo "old" >"$WORK/textfiles/pitr.prom"
before=$(stat -c %i "$WORK/textfiles/pitr.prom")
expect_status 0 pitr main metrics --textfile "$WORK/textfiles/pitr.prom"
expect_equal "" "$(cat "$OUT")" "standard output"
expect_equal 644 "$(stat -c %a "$WORK/textfiles/pitr.prom")" "mode"
[[ $before != "$(stat -c %i "$WORK/textfiles/pitr.prom")" ]] || fail "it was written into, not replaced"
expect_equal pitr.prom "$(ls -A "$WORK/textfiles")" "files"
promtool check metrics <"$WORK/textfiles/pitr.prom" >/dev/null || fail "promtool"
expect_status 1 pitr main metrics --textfile "$WORK/nowhere/pitr.prom"
expect_error "^ERROR: .*nowhere/pitr.prom"
if [[ $(id -u) != 0 ]]; then
  chmod 500 "$WORK/textfiles"
  expect_status 1 pitr main metrics --textfile "$WORK/textfiles/pitr.prom"
  expect_error "Permission denied"
  promtool check metrics <"$WORK/textfiles/pitr.prom" >/dev/null || fail "the old file is gone"
  chmod 700 "$WORK/textfiles"
fi
expect_status 2 pitr main metrics --json
expect_status 2 pitr main metrics --textfile ''

# alerted N: so many documents have reached the command by now.
alerted() { expect_equal "$1" "$(wc -l <"$WORK/alerts")" "alerts"; }
# alert N FIELD: of the Nth document.
alert() { sed -n "$1p" "$WORK/alerts" >"$WORK/alert" && json "$WORK/alert" "d[\"$2\"]"; }
: >"$WORK/alerts"
cat >>"$WORK/main/pitr.toml" <<END
[alert]
backup_age = "1h"
archive_lag = "1s"
ready_files = 1
free_space = "0%"
verify_age = "1d"
command = "cat >>'$WORK/alerts'; echo told"
END

story "thresholds that are kept: every check is ok, nobody is told"
expect_status 0 pitr main check
expect_output "^ok +backup age: .* 1\.0 h|60 min are allowed"
expect_output "^ok +verify age"
expect_status 0 pitr main check --nagios
expect_equal 1 "$(wc -l <"$OUT")" "lines"
expect_output '^PITR OK - .* \| checks=.* backup_age=[0-9]+s;;3600 archive_lag=0s;;1 ready_files=0;;1;0 free_space=[0-9.]+%;;0:;0;100 verify_age=[0-9]+s;86400;$'
alerted 0

story "archiving stops: ready files and lag grow, and it is told once"
settings main "archive_command = 'false # pitr'"
sql main 'SELECT pg_reload_conf()' >/dev/null
for i in 1 2 3; do switch main; done
wait_until 20 "a counted failure" archiving_failed main
sleep 1.2
metrics
expect_value 1 pitr_archiver_failing
expect_between 1 100 pitr_archiver_failed_total
expect_value 3 pitr_archive_lag_segments
expect_between $((3 << 20)) $((4 << 20)) pitr_archive_lag_bytes
expect_value "$(status_files main ready | wc -l)" pitr_archive_ready_files
expect_between 1 60 pitr_archive_lag_seconds
expect_status 2 pitr main check --nagios
expect_output '^PITR CRITICAL - archiver: .*ready_files=3;;1;0'
alerted 0 # a monitoring system tells by itself
expect_status 3 pitr main check --timeout 200ms
expect_output "^failed +archive lag: WAL waits since"
expect_output "^failed +ready files: [34] WAL files"
expect_error "alert command: told"
alerted 4
expect_equal "problem" "$(alert 1 event)" "event"
expect_equal "$identifier" "$(alert 1 system_identifier)" "identity"
expect_equal "archiver,archive lag,ready files,segment switch" \
  "$(for i in 1 2 3 4; do alert $i check; done | sort | paste -sd, | sed 's/archive lag,archiver/archiver,archive lag/')" "checks"
expect_status 3 pitr main check --timeout 200ms
alerted 4
PITR_ALERT_REPEAT=0s expect_status 3 pitr main check --timeout 200ms
alerted 8
expect_equal "reminder" "$(alert 8 event)" "event"

story "it is over: told once"
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
sql main 'SELECT pg_reload_conf()' >/dev/null
switch_and_wait main
wait_until 20 "everything archived" nothing_to_archive main
expect_status 0 pitr main check
alerted 12
expect_equal "over" "$(alert 12 event)" "event"
expect_status 0 pitr main check
alerted 12

story "a gap and a damaged backup, found by metrics and by verify"
segment=$(status_files main 'done' | grep -E '^[0-9A-F]{24}$' | tail -n 3 | head -n 1)
as_postgres mv "$(stored main "$segment")" "$WORK/taken"
object=$(find "$WORK/main/repository/data" -name '*bundle*' -size +1k | head -n 1)
flip_byte "$object" 700
expect_status 3 pitr main verify
metrics
expect_value 1 pitr_wal_gaps 'timeline="1"'
expect_value 1 pitr_wal_missing_segments 'timeline="1"'
expect_value 0 pitr_verify_ok
[[ $(value pitr_verify_problems) -ge 2 ]] || fail "problems: $(value pitr_verify_problems)"
expect_status 3 pitr main check
expect_output "^failed +verify age: the last pitr verify, .* found [0-9]+ problems"
expect_output "^failed +archived WAL: segments are missing behind the newest usable base backup"
alerted 14
expect_status 2 pitr main check --nagios
expect_output '^PITR CRITICAL - .* wal_gaps=1;0;;0'

story "a command that is missing, fails or hangs is a warning, and it is told again"
rm "$WORK/main/state/alerts.json"
PITR_ALERT_COMMAND="/no/such/command" expect_status 3 pitr main check
expect_error "WARNING: .*verify age.* 127"
PITR_ALERT_COMMAND="exit 9" expect_status 3 pitr main check
expect_error "WARNING: .*ended with status 9"
PITR_ALERT_COMMAND="sleep 60" PITR_ALERT_TIMEOUT=200ms expect_status 3 pitr main check
expect_error "WARNING: .*longer than 200 ms"
expect_absent "$WORK/main/state/alerts.json"
echo '{"clusters": {"main"' >"$WORK/main/state/alerts.json" # torn
expect_status 3 pitr main check
alerted 16

story "words of the server with quotes and line ends arrive as they are"
# shellcheck disable=SC2016 # the quotes and the dollar are the point
settings main "archive_command = 'false \"q\" \$(id)'"
sql main 'SELECT pg_reload_conf()' >/dev/null
sleep 0.3
expect_status 3 pitr main check
alerted 17
# shellcheck disable=SC2016
[[ $(alert 17 message) == *'false "q" $(id)'* ]] || fail "message: $(alert 17 message)"

story "a server that is there and does not answer keeps nobody waiting"
postmaster=$(head -n 1 "$WORK/main/data/postmaster.pid")
kill -STOP "$postmaster"
check_in_time() {
  local status=0
  as_postgres env -u PGCONNECT_TIMEOUT timeout 20 "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" check --nagios ||
    status=$?
  kill -CONT "$postmaster"
  return $status
}
expect_status 2 check_in_time
expect_output '^PITR CRITICAL - server: '

story "the server is gone: the rest is told"
stop main
metrics
expect_value 0 pitr_server_up
expect_value 0 pitr_up
expect_value 1 pitr_backups
expect_value "" pitr_archive_lag_bytes
expect_error "WARNING: .*server"

story "the repository is gone: that is told, with status 0"
mv "$WORK/main/repository" "$WORK/main/away"
metrics
expect_value 0 pitr_repository_up
expect_value "" pitr_backups
expect_value 0 pitr_verify_ok # the audit log is elsewhere
mv "$WORK/main/away" "$WORK/main/repository"
echo '{"torn' >>"$WORK/main/state/audit.log"
metrics
expect_value 1 pitr_repository_up
expect_value 0 pitr_verify_ok
