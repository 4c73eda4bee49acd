#!/bin/bash
# A rehearsal that ends badly: status 3, the cause in one sentence, and nothing is left behind. What
# could not be found out is 1, what was refused is 2.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=200ms

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 3000
backup main
switch_and_wait main
archive_segments main 1
middle=$SEGMENT
archive_segments main 1
scratch_space
export PITR_DRILL_DIRECTORY=$SCRATCH PITR_DRILL_BIN_DIRECTORY=$PG_BIN PITR_DRILL_TIMEOUT=60s

# expect_failed PATTERN [options]: the cause, in the one document and in one line of the log.
expect_failed() {
  local cause=$1
  shift
  expect_status 3 pitr main drill --json "$@"
  expect_json "$OUT"
  json "$OUT" 'd["status"] + " " + d["cause"]' >"$WORK/cause"
  expect_in "$WORK/cause" "the cause" "^failed .*$cause"
  expect_equal 1 "$(wc -l <"$WORK/cause")" "lines of the cause"
  expect_error "^ERROR:  the rehearsal failed: .*$cause"
  nothing_is_left
}

story "a missing segment"
place=$(stored main "$middle")
mv "$place" "$WORK/lost"
expect_failed "cannot be reached: the WAL has a gap: \"$middle\" is missing"
expect_equal "None $middle" "$(json "$OUT" 'd["stopped_at"], d["plan"]["missing"][0]' | tr -d "(),'")" "the report"
mv "$WORK/lost" "$place"

tail -n 1 "$WORK/main/state/audit.log" >"$WORK/line"
expect_equal "drill finding 3 end True" \
  "$(json "$WORK/line" 'd["command"], d["outcome"], d["status"], d["did"]["target"]["kind"], "gap" in d["did"]["cause"]' | tr -d "(),'")" "the audit log"

story "a damaged segment: what pitr-restore said is the cause"
object=$(stored main "$middle")
cp "$object" "$WORK/whole"
chmod u+w "$object"
flip_byte "$object" 5000
expect_failed "the server ended before it reached the target: .*$middle"
expect_equal True "$(json "$OUT" 'd["restored_bytes"] > 0 and d["replayed_bytes"] is None and d["phases"][-1]["name"] == "replay"')" "the report"
cp "$WORK/whole" "$object"

story "a damaged backup"
object=$(find "$WORK/main/repository/data" -type f -size +10k | head -n 1)
cp "$object" "$WORK/whole"
chmod u+w "$object"
flip_byte "$object" $(($(size_of "$object") / 2))
expect_failed "$(basename "$object")"
expect_equal None "$(json "$OUT" 'd["restored_bytes"]')" "restored bytes"
cp "$WORK/whole" "$object"
mv "$object" "$WORK/whole"
expect_failed "$(basename "$object")|$BACKUP"
mv "$WORK/whole" "$object"

story "questions that get another answer, none, or an error: each is told, the first is the cause"
cp "$WORK/main/pitr.toml" "$WORK/main/plain.toml"
cat >>"$WORK/main/pitr.toml" <<'END'
[[drill.check]]
name = "count"
sql = "SELECT count(*) FROM filled WHERE row <= 3000"
expect = "3001"
[[drill.check]]
name = "none"
sql = "SELECT 1 WHERE false"
[[drill.check]]
name = "error"
sql = "SELECT 1 / 0"
[[drill.check]]
name = "elsewhere"
database = "not there"
sql = "SELECT true"
[[drill.check]]
name = "two"
sql = "SELECT true; SELECT true"
[[drill.check]]
name = "slow"
sql = "SELECT pg_sleep(60)"
[[drill.check]]
name = "writes"
sql = "DELETE FROM filled RETURNING true"
[[drill.check]]
name = "good"
sql = "SELECT true"
END
PITR_DRILL_CHECK_TIMEOUT=300ms expect_failed 'check "count" in database "postgres" failed: expected "3001", got "3000"'
expect_equal 7 "$(json "$OUT" 'sum(c["status"] == "failed" for c in d["checks"])')" "failed checks"
for said in 'got nothing' 'division by zero' 'database .*not there.* does not exist' 'multiple commands' 'statement timeout' 'read-only transaction'; do
  expect_output "$said"
done
cp "$WORK/main/plain.toml" "$WORK/main/pitr.toml"

story "a server that does not start"
mkdir "$WORK/bin"
ln -s "$PG_BIN/pg_verifybackup" "$WORK/bin/"
cat >"$WORK/bin/postgres" <<END
#!/bin/sh
[ "\$1" != --version ] || exec $PG_BIN/postgres --version
echo "no room for <this> server" >&2
exit 1
END
chmod +x "$WORK/bin/postgres"
expect_failed "the server ended before it let anyone in: no room for <this> server" --bin-dir "$WORK/bin" --html "$WORK/drill.html"
grep -q 'no room for &lt;this&gt; server' "$WORK/drill.html" || fail "the page does not say it"
PITR_DRILL_PRELOAD_LIBRARIES=no_such_library expect_failed "could not access file \"no_such_library\""

story "a server that never comes so far"
printf '#!/bin/sh\n[ "$1" != --version ] || exec %s --version\nsleep 60\n' "$PG_BIN/postgres" >"$WORK/bin/postgres"
PITR_DRILL_TIMEOUT=500ms expect_failed "the time was over" --bin-dir "$WORK/bin"

story "an index that is wrong, as pg_amcheck sees it"
sql main 'CREATE EXTENSION amcheck; CREATE TABLE sorted AS SELECT n FROM generate_series(1, 1000) n; CREATE INDEX sorted_n ON sorted (n)'
sql main CHECKPOINT
index=$WORK/main/data/$(sql main "SELECT pg_relation_filepath('sorted_n')")
stop main
# Two entries of a leaf change places; the page's checksum is off by then, so it is computed anew by the
# server that writes it: the copy has none.
"$PG_BIN/pg_checksums" --disable -D "$WORK/main/data" >/dev/null
python3 - "$index" <<'END'
import sys
with open(sys.argv[1], 'r+b') as file:
    page = 8192 + 24  # the first leaf's line pointers
    file.seek(page + 4 * 100); one = file.read(4); other = file.read(4)
    file.seek(page + 4 * 100); file.write(other + one)
END
start main
backup main
switch_and_wait main
expect_failed "pg_amcheck in database \"postgres\" failed: .*sorted_n"

story "what could not be found out is 1"
expect_status 1 pitr main drill --bin-dir /nowhere
expect_error "^ERROR: .*programs of PostgreSQL"
nothing_is_left
sed "s/(PostgreSQL) [0-9]*/(PostgreSQL) 99/" >"$WORK/version" < <("$PG_BIN/postgres" --version)
printf '#!/bin/sh\ncat %s\n' "$WORK/version" >"$WORK/bin/postgres"
expect_status 1 pitr main drill --bin-dir "$WORK/bin"
expect_error "is 99"
nothing_is_left
expect_status 1 pitr main drill --scratch /proc/nothing
expect_status 1 pitr main drill --scratch /sys
exec 8<"$SCRATCH"
flock 8
expect_status 1 pitr main drill --json --lock-timeout 100ms
expect_equal lock_timeout "$(json "$OUT" 'd["error"]["code"]')" "the error"
exec 8<&-

story "refused is 2, and nothing was touched"
for place in "$WORK/main/data" "$WORK/main/data/scratch" "$WORK/main/repository/scratch"; do
  expect_status 2 pitr main drill --scratch "$place"
  expect_error "lies inside"
done
expect_absent "$WORK/main/data/scratch"
expect_absent "$WORK/main/repository/scratch"
expect_status 2 pitr main drill --scratch "$WORK/$(printf 'a%.0s' {1..90})"
expect_error "too long a path"
(unset PITR_DRILL_DIRECTORY && expect_status 2 pitr main drill && expect_error "no scratch space")
expect_status 2 pitr main drill --random --target-immediate
expect_status 2 pitr main drill --action promote
expect_status 2 pitr main drill --html /nowhere/drill.html
mkdir "$WORK/space"
sql main "CREATE TABLESPACE space LOCATION '$WORK/space'"
switch_and_wait main
expect_status 2 pitr main drill
expect_error "creates a tablespace at \"$WORK/space\""
expect_equal "" "$(ls "$SCRATCH")" "the scratch space"
