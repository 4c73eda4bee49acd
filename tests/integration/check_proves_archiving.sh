#!/bin/bash
# check forces a segment through archive_command into the repository and names what fails; --nagios
# says it in one line, with a monitoring system's statuses, and switches nothing.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null

# nagios STATUS WORD
nagios() {
  expect_status "$1" pitr main check --nagios
  expect_equal 1 "$(wc -l <"$OUT")" "lines"
  expect_output "$2[^|]*\|[^|]*$"
}

story "no server"
expect_status 3 pitr main check --timeout 2s
expect_output "^failed +server"
nagios 2 CRITICAL

story "archiving works, on an idle server too"
start main
expect_status 0 pitr main check
expect_output "^ok +segment switch: .*[0-9A-F]{24}"
segment=$(grep -oE '[0-9A-F]{24}' "$OUT" | tail -n 1)
[[ -n $(stored main "$segment") ]] || fail "$segment is not in the repository"
expect_status 0 pitr main check --json
expect_json "$OUT"
expect_equal "1 ok True" "$(json "$OUT" '"%s %s %s" % (d["format"], d["status"], all(c["status"] == "ok" and c["name"] and c["message"] for c in d["checks"]))')" "checks"

story "--nagios switches no segment"
lsn=$(sql main 'SELECT pg_current_wal_insert_lsn()')
nagios 0 OK
nagios 0 OK
expect_equal "$lsn" "$(sql main 'SELECT pg_current_wal_insert_lsn()')" "the position in the WAL"

story "a role with what pitr needs, and no more; without one of it, it is named"
sql main "CREATE ROLE keeper LOGIN; GRANT pg_read_all_settings TO keeper;
          GRANT EXECUTE ON FUNCTION pg_backup_start, pg_backup_stop, pg_create_restore_point, pg_switch_wal TO keeper"
as_keeper() { PITR_CLUSTER_CONNECTION="host=$WORK/main dbname=postgres user=keeper" pitr main "$@"; }
expect_status 0 as_keeper check
expect_output "^ok +privileges: the role has"
expect_status 0 as_keeper backup --method files
sql main 'REVOKE EXECUTE ON FUNCTION pg_backup_start FROM keeper'
expect_status 3 as_keeper check
expect_output "^failed +privileges: .*EXECUTE on pg_backup_start"
sql main 'ALTER ROLE keeper REPLICATION' # by stream, then
expect_status 0 as_keeper check

story "an archive_command that fails is named"
settings main "archive_command = 'false # pitr'"
sql main 'SELECT pg_reload_conf()' >/dev/null
switch main
wait_until 20 "a counted failure" archiving_failed main
expect_status 3 pitr main check --timeout 2s
expect_output "^failed +(archiver|segment switch)"
nagios 2 CRITICAL
expect_status 3 pitr main check --json --timeout 2s
expect_json "$OUT"

story "one that stores nothing is found out by the switch"
settings main "archive_command = 'true # pitr'"
sql main 'SELECT pg_reload_conf()' >/dev/null
wait_until 20 "everything given away" nothing_to_archive main
expect_status 3 pitr main check --timeout 2s
expect_output "^failed +segment switch: .*[0-9A-F]{24}"

story "one that is not pitr's, and none"
settings main "archive_command = 'true'"
sql main 'SELECT pg_reload_conf()' >/dev/null
sleep 0.2
expect_status 3 pitr main check --timeout 2s
expect_output "^failed +archive settings: .*archive_command"
settings main "archive_command = ''"
sql main 'SELECT pg_reload_conf()' >/dev/null
sleep 0.2
expect_status 3 pitr main check --timeout 2s
expect_output "^failed +archive settings"
nagios 2 CRITICAL
settings main "archive_mode = off"
stop main
start main
expect_status 3 pitr main check --timeout 2s
expect_output "archive_mode"

story "wrong usage and configuration"
expect_status 2 pitr main check --nagos
expect_error "HINT: .*--nagios"
expect_status 2 pitr main check --timeout soon
cp "$WORK/main/pitr.toml" "$WORK/good.toml"
echo '[archve]' >>"$WORK/main/pitr.toml"
expect_status 2 pitr main check
nagios 3 UNKNOWN
expect_status 3 "$PITR_BIN/pitr" check --nagios --config "$WORK/nowhere.toml"
cp "$WORK/good.toml" "$WORK/main/pitr.toml"
expect_status 3 pitr main check --nagios --no-such-option
expect_output "UNKNOWN"
for wrong in 's/^connection.*/connection = "nonsense==x y"/' 's/^connection.*/connection = "password=x"/' \
  '/^data_directory/d'; do
  sed -i "$wrong" "$WORK/main/pitr.toml"
  expect_status 2 pitr main check
  nagios 3 UNKNOWN
  cp "$WORK/good.toml" "$WORK/main/pitr.toml"
done
