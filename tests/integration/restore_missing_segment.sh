#!/bin/bash
# Missing at the end is the end (1); missing in the middle is a gap (200); a wrong call is never 1.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 4
stop main
last=$(archived_files main | grep -E '^[0-9A-F]{24}$' | tail -n 1)
middle=$(segment_after "$SEGMENT" -1)
later=$(segment_after "$middle")
[[ -n $(stored main "$later") ]] || fail "$later is not stored"
mkdir "$WORK/standby"
touch "$WORK/standby/standby.signal"

story "after the last one: 1"
expect_refused 1 main "$(segment_after "$last")" "$(segment_after "$last")"
expect_no_error "^ERROR"
expect_refused 1 main "00000002${last:8}" "00000002${last:8}"
expect_refused 1 main 00000002.history "00000002.history"

story "in the middle, with a later one stored: 200 and both are named"
mv "$(stored main "$middle")" "$WORK/lost"
remember_repository main
expect_refused 200 main "$middle" "^ERROR: +gap: $middle missing, $later present"

story "a gap is a gap from far away"
expect_refused 200 main "${last:0:16}00000000" "^ERROR: +gap: .* missing, "

story "on a standby a gap is 1 with ERROR: PostgreSQL asks again"
expect_status 1 fetch main "$middle" "$WORK/fetched" "$WORK/standby"
expect_error "^ERROR: +gap: $middle missing"
expect_absent "$WORK/fetched"

story "names that are none, and paths, are 200 and touch nothing"
for name in ../../../etc/passwd "../$last" "./$last" "/etc/passwd" "pg_wal/$last" "" "." ".." "${last}0" \
  "${last%?}g" "$last." "$last.history" '*' "$(printf 'A%.0s' {1..300})" "$last"$'\n'; do
  expect_refused 200 main "$name" "is not the name of a WAL file"
done

story "wrong usage is 200"
restore() { (cd "$WORK/main/data" && as_postgres "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "$@"); }
expect_status 200 restore
expect_error "^ERROR: "
expect_status 200 restore "$last"
expect_error "^ERROR: "
expect_status 200 restore "$last" "$WORK/fetched" more
expect_error "^ERROR: "
expect_status 200 fetch main "$last" "$WORK/no/such/folder"
expect_error "^ERROR: .*$WORK/no/such/folder"
mkdir "$WORK/folder"
expect_status 200 fetch main "$last" "$WORK/folder"
expect_error "^ERROR: .*$WORK/folder"
expect_equal "" "$(ls -A "$WORK/folder")" "the folder's contents"
expect_absent "$WORK/fetched"

story "an old file at the destination is replaced (PostgreSQL reuses pg_wal/RECOVERYXLOG)"
echo old >"$WORK/fetched"
expect_status 0 fetch main "$last" "$WORK/fetched"
expect_same_file "$WORK/main/data/pg_wal/$last" "$WORK/fetched"
expect_repository_unchanged main
