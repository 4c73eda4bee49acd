#!/bin/bash
# A rehearsal of a good repository: it says so, by what PostgreSQL and the operator's own questions
# answer, and leaves nothing behind. The production server does not notice.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1 -U admin
# Only these roles there are: none is called postgres, nor like the system's user.
sql() {
  as_postgres "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$WORK/$1" -p 5432 -U admin -d postgres -c "$2"
}
sed -i 's/user=postgres/user=asker/' "$WORK/main/pitr.toml"
pitr main init >/dev/null
settings main "shared_preload_libraries = 'auto_explain'" "max_connections = 137" "max_logical_replication_workers = 0"
start main
sql main 'CREATE ROLE asker LOGIN SUPERUSER'
mkdir "$WORK/space"
sql main "CREATE TABLESPACE space LOCATION '$WORK/space'"
sql main 'CREATE TABLE in_space (n int PRIMARY KEY) TABLESPACE space'
sql main 'CREATE EXTENSION amcheck'
# What a copy must not take from its origin.
sql main "ALTER SYSTEM SET shared_preload_libraries = 'not_there_in_the_copy'"
sql main "ALTER SYSTEM SET archive_cleanup_command = 'touch $WORK/cleaned'"
sql main "SET client_min_messages = error; CREATE SUBSCRIPTION copied CONNECTION 'host=$WORK/main port=5432 user=admin dbname=postgres' PUBLICATION p WITH (connect = false)"
sql main 'ALTER SUBSCRIPTION copied ENABLE'
# A hot standby cannot be serializable, and says so at every question.
sql main "ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'"
fill main 5000
backup main
sql main 'INSERT INTO in_space SELECT generate_series(1, 1000)'
switch_and_wait main
sql main "SELECT pg_create_restore_point('half way')" >/dev/null
sql main 'INSERT INTO in_space SELECT generate_series(1001, 1500)'
switch_and_wait main
scratch_space
cat >>"$WORK/main/pitr.toml" <<END

[drill]
directory = "$SCRATCH"
bin_directory = "$PG_BIN"
timeout = "60s"

[[drill.check]]
name = "rows are there"
sql = "SELECT count(*) % 500 = 0 FROM in_space"

[[drill.check]]
name = "the newest"
sql = "SELECT max(row) FROM filled"
expect = "5000"

[[drill.check]]
name = "nothing runs here"
sql = "SELECT current_setting('listen_addresses') || current_setting('archive_mode') || current_setting('max_logical_replication_workers') || current_setting('shared_preload_libraries')"
expect = "off0"
END

# unnoticed: neither the server nor what is stored has changed since remember.
remember() {
  remember_repository main
  before=$(head -n 1 "$WORK/main/data/postmaster.pid") archived=$(archiver main "archived_count || last_archived_wal || failed_count")
  remember_folder "$WORK/space"
}
unnoticed() {
  expect_repository_unchanged main
  expect_equal "$before" "$(head -n 1 "$WORK/main/data/postmaster.pid")" "the postmaster"
  expect_equal "$archived" "$(archiver main "archived_count || last_archived_wal || failed_count")" "what was archived"
  expect_equal 1 "$(sql main "SELECT timeline_id FROM pg_control_checkpoint()")" "the timeline"
  expect_folder_unchanged "$WORK/space"
  expect_absent "$WORK/cleaned"
  nothing_is_left
}
sql main CHECKPOINT
remember
story "a relative path is as good as another"
expect_status 0 pitr main drill --scratch "$(realpath --relative-to="$PWD" "$SCRATCH")"

story "the newest moment"
expect_status 0 pitr main drill --json --html "$WORK/drill.html" --report "$WORK/drill.json"
expect_json "$OUT"
cp "$OUT" "$WORK/newest"
d() { json "$WORK/newest" "$1"; }
expect_equal "ok None end end_of_wal" "$(d 'd["status"], d["cause"], d["plan"]["target"]["kind"], d["plan"]["stops_at"]["kind"]' | tr -d "(),'")" "the report"
expect_equal "$BACKUP" "$(d 'd["plan"]["backup"]')" "the backup"
expect_equal "['plan', 'restore', 'verify files', 'start', 'replay', 'checks']" "$(d '[p["name"] for p in d["phases"]]')" "phases"
expect_equal True "$(d '0 < d["recovery_seconds"] < d["total_seconds"] < 60')" "times"
expect_equal True "$(d 'd["distance_seconds"] > 0 and d["restore_bytes_per_second"] > 0 and d["replay_bytes_per_second"] > 0')" "what was measured"
expect_equal True "$(d 'd["replayed_bytes"] >= 2 << 20')" "bytes replayed"
# The last commit is the second INSERT, which PostgreSQL itself has told the time of.
expect_equal True "$(d 'd["stopped_at"]["time"] == d["plan"]["commit_before"]["time"] == d["last_commit_at"]')" "the last commit"
amcheck=ok
[[ -x $PG_BIN/pg_amcheck ]] || amcheck=not_checked # before 14
expect_equal "pg_verifybackup ok None, pg_amcheck $amcheck postgres, pg_amcheck not_checked template1, check \"rows are there\" ok postgres, check \"the newest\" ok postgres, check \"nothing runs here\" ok postgres" \
  "$(d '", ".join(c["name"] + " " + c["status"] + " " + str(c["database"]) for c in d["checks"])')" "checks"
unnoticed

tail -n 1 "$WORK/main/state/audit.log" >"$WORK/line"
expect_equal "drill ok 0 $BACKUP None True" \
  "$(json "$WORK/line" 'd["command"], d["outcome"], d["status"], d["did"]["backup"], d["did"]["cause"], d["did"]["recovery_seconds"] > 0' | tr -d "(),'")" "the audit log"

story "the report in files; the page is well-formed and needs nothing from elsewhere"
expect_json "$WORK/drill.json"
expect_equal True "$(json "$WORK/drill.json" "d == json.load(open('$WORK/newest'))")" "the same report"
python3 - "$WORK/drill.html" <<'END' || fail "the page"
import sys, xml.dom.minidom, re
from html.parser import HTMLParser
page = open(sys.argv[1]).read()
class Checker(HTMLParser):
    open_tags, seen = [], set()
    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        assert not {'src', 'href', 'style', 'onload'} & {name for name, _ in attributes}, (tag, attributes)
        if tag != 'meta': self.open_tags.append(tag)
    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag, tag
checker = Checker(); checker.feed(page); checker.close()
assert not checker.open_tags and {'svg', 'rect', 'table', 'title'} <= checker.seen
assert 'http' not in page and 'url(' not in page and '@import' not in page
xml.dom.minidom.parseString(re.search('<svg.*</svg>', page, re.S).group(0))
END

story "what was measured gives an estimate; without it there is none"
expect_status 0 pitr main restore --dry-run --json
expect_equal True "$(json "$OUT" '0 < d["estimated_seconds"] < 60')" "estimated"
mv "$WORK/main/state/drill.json" "$WORK/kept.json"
expect_status 0 pitr main restore --dry-run --json
expect_equal None "$(json "$OUT" 'd["estimated_seconds"]')" "estimated"
mv "$WORK/kept.json" "$WORK/main/state/drill.json"

story "a named moment and one by chance"
expect_status 0 pitr main drill --json --target-name "half way"
expect_equal "ok half way" "$(json "$OUT" 'd["status"] + " " + d["plan"]["target"]["value"]')" "the report"
expect_status 0 pitr main drill --json --random
expect_equal "ok time" "$(json "$OUT" 'd["status"] + " " + d["plan"]["target"]["kind"]')" "the report"
expect_equal True "$(json "$OUT" 'd["plan"]["commit_before"]["time"] <= d["plan"]["target"]["value"]')" "the moment"
unnoticed

story "promoted: amcheck is installed where it is missing, subscriptions do not start, archiving is off"
expect_status 0 pitr main drill --json --promote --keep-directory
expect_equal "True True" "$(json "$OUT" 'str(d["promoted"]) + " " + str({c["status"] for c in d["checks"]} == {"ok", "'$amcheck'"})')" "the report"
kept=$(json "$OUT" 'd["directory"]')
[[ -f $kept/data/PG_VERSION ]] || fail "nothing was kept in $kept"
expect_equal "" "$(grep -E 'subscription|archive' "$kept/server.log" | grep -E 'ERROR|logical replication' || true)" "what the copy did"
expect_equal 1 "$(find "$kept/data/pg_tblspc" -lname "$kept/tablespaces/*" | wc -l)" "links of tablespaces"
! pgrep -af "$SCRATCH" || fail "a process is left"

story "what was kept is no leftover"
expect_status 0 pitr main drill
expect_output "^The rehearsal is good"
[[ -f $kept/data/PG_VERSION ]] || fail "what was kept is gone"
rm -rf "$kept"
unnoticed
