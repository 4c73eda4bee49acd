#!/bin/bash
# The history tells what the archived WAL says happened to relations and databases, by name.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s # for the restore_command of the servers started here

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
sql main 'CREATE TABLE old (row int PRIMARY KEY, text text)'
sql main 'CREATE TABLE emptied (row int PRIMARY KEY, text text)'
sql main 'CREATE TABLE packed (row int PRIMARY KEY, text text)'
sql main 'CREATE SCHEMA shop'
for table in old emptied packed; do
  sql main "INSERT INTO $table SELECT i, md5(i::text) FROM generate_series(1, 1000) i"
done
pitr main backup >/dev/null 2>&1

# One event after the other; each adds its expected line.
: >"$WORK/expected"
expect_event() { echo "$1|$2" >>"$WORK/expected"; }

sql main 'DROP TABLE old'
expect_event drop postgres.public.old
sql main 'CREATE TABLE shop.orders (row int PRIMARY KEY, text text)' # younger than the only map
sql main "INSERT INTO shop.orders SELECT i, md5(i::text) FROM generate_series(1, 1000) i"
orders=$(sql main "SELECT count(*), sum(row), md5(string_agg(text, '' ORDER BY row)) FROM shop.orders")
sql main 'TRUNCATE emptied'
expect_event truncate postgres.public.emptied
sql main "INSERT INTO emptied SELECT i, md5(i::text) FROM generate_series(1, 500) i"
sql main 'TRUNCATE emptied' # by now its file has another number than any map knows
expect_event truncate postgres.public.emptied
sql main 'VACUUM FULL packed'
expect_event rewrite postgres.public.packed
sql main 'DROP TABLE packed' # its file is the one of the rewrite
expect_event drop postgres.public.packed
sql main "SELECT pg_create_restore_point('before the orders go')" >/dev/null
expect_event restore_point 'before the orders go'
sql main 'DROP TABLE shop.orders'
expect_event drop postgres.shop.orders
sql main 'BEGIN; CREATE TABLE passing (row int); DROP TABLE passing; COMMIT' # nothing is lost by it
sql main 'BEGIN; DROP TABLE emptied; ROLLBACK'                                # nor by that
sql main 'REINDEX TABLE emptied'
sql main "BEGIN; SAVEPOINT a; DROP TABLE emptied; RELEASE a; CREATE TABLE next (row int); COMMIT"
expect_event drop postgres.public.emptied
sql main 'CREATE DATABASE short_lived'
sql main 'DROP DATABASE short_lived'
sql main 'CREATE TABLE after (row int)'
switch_and_wait main
expect_event restore_point switch

story "every event has its kind and its name, those of tables younger than the map, too"
pitr main history --json >"$WORK/history"
json "$WORK/history" '"\n".join(e["kind"] + "|" + (e["name"] or ",".join(
  "%(database)s.%(schema)s.%(name)s" % r for r in e["relations"]))
  for e in d["events"] if not e["kind"].endswith("database"))' >"$WORK/told"
expect_same_file "$WORK/expected" "$WORK/told"

story "databases come and go by number until a map names them"
oid=$(json "$WORK/history" '[e for e in d["events"] if e["kind"] == "drop_database"][0]["database_oid"]')
expect_equal "create_database drop_database" \
  "$(json "$WORK/history" "' '.join(e['kind'] for e in d['events'] if e.get('database_oid') == $oid)")" \
  "its events"

story "commits are counted as the server counted them"
first=$(json "$WORK/history" 'd["segments"][0]["segment"]')
last=$(json "$WORK/history" 'd["segments"][-1]["segment"]')
told=$(json "$WORK/history" 'sum(s["commits"] for s in d["segments"])')
counted=$(pg_waldump -p "$WORK/main/data/pg_wal" -r Transaction "$first" "$last" 2>/dev/null |
  grep -c 'desc: COMMIT')
expect_equal "$counted" "$told" "commits"

story "the times and transactions are those of the commits"
while IFS='|' read -r xid time; do
  pg_waldump -p "$WORK/main/data/pg_wal" -r Transaction -x "$xid" "$first" "$last" 2>/dev/null |
    grep -q "desc: COMMIT $time" || fail "transaction $xid did not commit at $time"
done < <(json "$WORK/history" '"\n".join("%d|%s" % (e["xid"], e["time"][:-1].replace("T", " "))
  for e in d["events"] if e["kind"] == "drop")')

story "people read it like a log, and only the time they asked for"
pitr main history >"$WORK/text"
grep -q 'drop .* postgres.shop.orders' "$WORK/text" || fail "no line for the drop: $(cat "$WORK/text")"
drop_time=$(json "$WORK/history" \
  '[e["time"] for e in d["events"] if [r["name"] for r in e["relations"]] == ["orders"]][0]')
pitr main history --json --from "$drop_time" --to "$drop_time" >"$WORK/moment"
expect_equal drop "$(json "$WORK/moment" '" ".join(e["kind"] for e in d["events"])')" "events of that moment"

story "--before-drop brings back a table that no map and no backup knew"
expect_status 0 pitr main restore --to "$WORK/copy/data" --before-drop orders --archive-mode off --json
expect_equal xid "$(json "$OUT" 'd["target"]["kind"]')" "kind of the target"
start_copy copy
expect_equal "$orders" "$(sql copy \
  "SELECT count(*), sum(row), md5(string_agg(text, '' ORDER BY row)) FROM shop.orders")" "rows of orders"
stop copy

story "a database comes back as it was before its drop"
expect_status 0 pitr main restore --dry-run --before-drop "$oid"

story "what was never dropped, or only truncated, is said so; nothing is written"
expect_status 3 pitr main restore --to "$WORK/none" --before-drop nothing
expect_error 'the archived WAL holds no drop of "nothing"'
expect_absent "$WORK/none"
expect_status 3 pitr main restore --dry-run --before-drop after
sql main 'CREATE TABLE shop.twice (row int)'
sql main 'CREATE TABLE twice (row int)'
pitr main map >/dev/null
sql main 'DROP TABLE shop.twice'
sql main 'DROP TABLE twice'
sql main 'CREATE TABLE last (row int)'
switch_and_wait main
expect_status 3 pitr main restore --dry-run --before-drop twice
expect_error 'means more than one thing'
expect_error 'postgres.public.twice, postgres.shop.twice'
expect_status 0 pitr main restore --dry-run --before-drop shop.twice
expect_status 2 pitr main restore --dry-run --before-drop shop.twice --target-immediate

story "a table in a schema that no map knows may be meant: its OID is told"
running main || start main
sql main "CREATE SCHEMA late"
sql main "CREATE TABLE late.thing AS SELECT 1 AS one"
thing=$(sql main "SELECT 'late.thing'::regclass::oid")
sql main "DROP TABLE late.thing"
switch_and_wait main
expect_status 3 pitr main restore --dry-run --before-drop late.thing
expect_error "may be it: .* --before-drop $thing"
expect_status 0 pitr main restore --dry-run --before-drop "$thing"
sql main "CREATE SCHEMA later"
sql main "CREATE TABLE later.thing AS SELECT 1 AS one"
other=$(sql main "SELECT 'later.thing'::regclass::oid")
sql main "DROP TABLE later.thing"
switch_and_wait main
expect_status 3 pitr main restore --dry-run --before-drop late.thing
expect_error "may be it: .* --before-drop $thing, or --before-drop $other"
expect_status 3 pitr main restore --dry-run --before-drop thing
expect_error "means more than one thing"
expect_error "thing \\(OID $thing\\), .*thing \\(OID $other\\)"
sql main "DROP SCHEMA late"
pitr main map >/dev/null
sql main "CREATE TABLE later.again AS SELECT 1 AS one"
sql main "DROP TABLE later.again"
sql main "CREATE TABLE later.again AS SELECT 2 AS one"
sql main "DROP TABLE later.again"
switch_and_wait main
expect_status 0 pitr main restore --dry-run --before-drop later.again --json
sql main "SELECT pg_create_restore_point(E'one\n2026-01-01 00:00:00  drop  two')" >/dev/null
switch_and_wait main
pitr main history >"$WORK/text"
grep -q 'restore point *one 2026-01-01' "$WORK/text" || fail "a restore point's line: $(grep one "$WORK/text")"
expect_status 0 pitr main restore --dry-run --before-drop later.again --json
expect_equal True "$(json "$OUT" '"was dropped 2 times" in d["warnings"][0]')" "the warning"
