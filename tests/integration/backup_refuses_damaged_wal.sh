#!/bin/bash
# The WAL of a backup holds an invalid record: the backup could never become consistent, and is not published.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
cat >"$WORK/damaging" <<END
#!/bin/bash
mkdir -p "$WORK/copies"
cp "\$1" "$WORK/copies/"
file=$WORK/copies/\$(basename "\$1")
case \$file in *.backup | *.history) ;; *) printf UUU | dd of="\$file" bs=1 seek=300000 conv=notrunc status=none ;; esac
exec "$PITR_BIN/pitr-archive" --rescued --config "$WORK/main/pitr.toml" "\$file"
END
chmod 755 "$WORK/damaging"
start main
fill main 500
switch_and_wait main
settings main "archive_command = '$WORK/damaging %p'"
sql main 'SELECT pg_reload_conf()' >/dev/null
slow_backup main 12MB --json
for _ in 1 2 3 4; do fill main 3000; done
status=0
wait "$BACKUP_PROCESS" || status=$?
expect_equal 1 "$status" "status of the backup"
grep -q "^ERROR: .*the WAL of the backup holds an invalid record" "$WORK/backup.err" || fail "$(cat "$WORK/backup.err")"
expect_status 0 pitr main info --json
expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["backups"]')" "backups"
expect_equal f "$(sql main "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pitr%'")" "a session"

story "when the WAL is sound again, so is the backup"
settings main "archive_command = '\"$PITR_BIN/pitr-archive\" --config \"$WORK/main/pitr.toml\" %p'"
sql main 'SELECT pg_reload_conf()' >/dev/null
backup main
expect_status 0 pitr main restore --dry-run --target-immediate
