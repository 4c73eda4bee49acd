#!/bin/bash
# Retention counts only what can be restored: a newest backup that is damaged does not let the one before
# it go. And what it has removed itself stays no gap, whatever is kept afterwards.
source "$(dirname "$0")/lib.sh"
new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
sql main "CREATE TABLE marks AS SELECT 1 AS mark"
backup main
first=$BACKUP
archive_segments main 2
backup main
second=$BACKUP
archive_segments main 2

expire() { PITR_RETENTION_BACKUPS=1 expect_status "${1:-0}" pitr main expire --json; }
left() {
  expect_status 0 pitr main info --json
  json "$OUT" '" ".join(sorted(b["id"] for b in d["clusters"][0]["backups"]))'
}
expect_first_kept() {
  expect_equal "$(printf '%s\n' "$first" "$second" | sort | xargs)" "$(left)" "backups after $1"
  rm -rf "$WORK/copy"
  restore_into main copy --archive-mode off --backup "$first" --target-immediate
  rm -rf "$WORK/main/repository/hold"
}
bundle=$(stored main bundle-00000001 | grep "/$second/")
manifest=$(find "$WORK/main/repository/backup" -name "$second")

story "an object of the newest backup is missing, or cut"
mv "$bundle" "$WORK/bundle"
expire
expect_error "backup $second cannot be restored and does not count"
expect_first_kept "an object was lost"
head -c 1000 "$WORK/bundle" >"$bundle"
expire
expect_error "backup $second cannot be restored and does not count"
expect_first_kept "an object was cut"
rm "$bundle"
mv "$WORK/bundle" "$bundle"

story "its manifest is damaged: nothing goes, and the message says how to go on"
cp "$manifest" "$WORK/manifest"
truncate -s 1000 "$manifest"
expire 1
expect_error "nothing is removed while the manifest of a backup cannot be read"
expect_error "pitr expire --backup $second"
cp "$WORK/manifest" "$manifest"

story "damage that only reading finds counts once pitr verify has found it"
flip_byte "$bundle" 5000
expect_status 3 pitr main verify --backup "$second"
expire
expect_error "backup $second cannot be restored and does not count: pitr verify found"
expect_first_kept "pitr verify found damage"
expect_status 0 pitr main verify --backup "$first"
expire
expect_first_kept "another backup was verified"
flip_byte "$bundle" 5000
expect_status 0 pitr main verify

story "a restore that was planned before an expiry does not begin after it"
expect_status 0 pitr main keep "$first" --wal none
moment=$(sql main "SELECT clock_timestamp()")
sql main "INSERT INTO marks VALUES (2)"
archive_segments main 2
# Held up after its plan, at the first fsync: that of its hold.
(
  status=0
  as_postgres strace -f -qq -o "$WORK/strace" -e trace=fsync -e inject=fsync:delay_enter=6000000:when=1 \
    "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --backup "$first" --archive-mode off \
    --target-time "$moment" --to "$WORK/late" >"$WORK/late.out" 2>&1 || status=$?
  echo $status >"$WORK/late.status"
) &
sleep 2
backup main
expire
wait
expect_equal 1 "$(cat "$WORK/late.status")" "the restore that came late"
grep -q "pitr expire has removed something since this restore was planned" "$WORK/late.out" ||
  fail "another error: $(cat "$WORK/late.out")"
expect_absent "$WORK/late/global/pg_control"

story "what went stays no gap when a restore keeps its backup again"
restore_into main copy2 --archive-mode off --backup "$first" --target-immediate
backup main
expire
expect_status 0 pitr main info --json
expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["problems"]')" "problems"
expect_status 0 pitr main verify
expect_status 3 pitr main restore --dry-run --json --backup "$first" --target-time "$moment"
expect_equal expired "$(json "$OUT" 'd["reason"]["code"]')" "the reason"
