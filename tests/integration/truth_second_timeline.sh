#!/bin/bash
# pitr comes to a cluster that is on timeline 2 already, with a tablespace, unlogged tables and
# databases that come and go. All recoveries run beside the origin, which must not feel them.
source "$(dirname "$0")/truth_lib.sh"

truth_cluster main
settings main "archive_command = '/bin/true'" # the time before pitr
start main
mkdir "$WORK/main/space"
sql main "CREATE TABLESPACE outside LOCATION '$WORK/main/space'"
truth_table main ' TABLESPACE outside'
sql main 'CREATE UNLOGGED TABLE unlogged (row int); CREATE TABLE emptied (row int) TABLESPACE outside'
sql main 'INSERT INTO unlogged SELECT generate_series(1, 5000); INSERT INTO emptied SELECT * FROM unlogged'
sql main 'CREATE DATABASE early'
sql main 'CREATE DATABASE kept'
work main 1 60
before=$(last_segment main)
stop main
touch "$WORK/main/data/standby.signal"
start main
"$PG_BIN/pg_ctl" promote -D "$WORK/main/data" -w -t 30 >/dev/null
wait_until 30 "the promotion" out_of_recovery main
forked main 2
truth ingest --data "$WORK/main/data" --timeline 1 --last "$before" || fail "timeline 1"
work main 2 60
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"

story "the first backup, while databases come and go and a table is emptied"
pitr main init >/dev/null
"$PG_BIN/pg_ctl" reload -D "$WORK/main/data" >/dev/null
work main 2 150 --points a &
busy=$!
{
  sql main 'DROP DATABASE early'
  sql main 'CREATE DATABASE during'
  sql main 'TRUNCATE emptied'
} &
changes=$!
backup main
wait "$busy" || fail "the workload beside the backup"
wait "$changes" || fail "the changes beside the backup"
begin=$(insert_lsn main)
work main 2 100 --points b
archived main 2
sql main 'CREATE DATABASE late'
dropping=$(insert_lsn main)
work main 2 30
sql main 'DROP DATABASE kept' # a stop after the files are gone, before the commit, would break it
dropped=$(insert_lsn main)
work main 2 100 --points c
archived main 2
truth_rows() { sql main 'COPY (SELECT id, version, payload FROM truth ORDER BY id) TO STDOUT'; }
truth_rows >"$WORK/rows"
space_files() { (cd "$WORK/main/space" && find . | sort); }
space_files >"$WORK/space_files"
TABLESPACE=$WORK/main/space

# databases: those that can be connected to.
databases() {
  local name
  for name in $(sql "$RECOVERED" 'SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1'); do
    "$PG_BIN/psql" -X -q -A -t -h "$WORK/$RECOVERED" -U postgres -d "$name" -c 'SELECT current_database()' ||
      fail "database \"$name\" is broken"
  done | xargs
}
# apart: every link leads away from the origin.
apart() {
  local link
  for link in "$WORK/$RECOVERED"/data/pg_tblspc/*; do
    expect_equal "$WORK/$RECOVERED/space" "$(readlink -f "$link")" "where $link leads"
  done
}

story "without a place for the tablespace nothing is written"
expect_status 2 pitr main restore --to "$WORK/nothing"
expect_error "$WORK/main/space"
expect_absent "$WORK/nothing"

pick commit 2 "$begin" "$dropping"
recovery promote time "$(at "$TIME")"
apart
expect_equal 0 "$(sql "$RECOVERED" 'SELECT count(*) FROM unlogged')" "rows of the unlogged table"
sql "$RECOVERED" 'INSERT INTO unlogged VALUES (1)'
amcheck
checksums
gone
pick commit 2 "$begin" "$dropping"
recovery pause xid "$XID" --exclusive
apart
expect_equal "during kept postgres template1" "$(databases)" "databases"
expect_equal 0 "$(sql "$RECOVERED" 'SELECT count(*) FROM emptied')" "rows of the emptied table"
gone
pick point 2 "$begin"
recovery shutdown name "$XID"
apart
checksums
gone
recovery pause immediate ''
apart
gone

story "at the last commit before a database is dropped it is whole"
pick last 2 "$dropping" "$dropped"
recovery promote time "$(at "$TIME")"
apart
expect_equal "during kept late postgres template1" "$(databases)" "databases"
gone
pick drop 2 "$dropping" "$dropped"
recovery pause xid "$XID" --exclusive
expect_equal "during kept late postgres template1" "$(databases)" "databases"
gone
pick commit 2 "$dropped"
recovery pause lsn "$LSN"
expect_equal "during late postgres template1" "$(databases)" "databases"
gone

story "a cluster that pitr restored is itself backed up and restored, on timeline 3"
plan promote end ''
restored --archive-mode preserve
settled promote
compared promote
restored_one=$RECOVERED
apart
forked "$restored_one" 3
expect_same_file "$WORK/space_files" <(space_files)
expect_same_file "$WORK/rows" <(truth_rows)
stop main
pitr_config "$restored_one" main
cp "$WORK/$restored_one/pitr.toml" "$WORK/main/pitr.toml"
TABLESPACE=$WORK/$restored_one/space
work "$restored_one" 3 60
# The archiver was refused until the configuration named the new directory; it tries again by itself.
archiving_goes_on() {
  sql "$1" "SELECT pg_switch_wal()"
  [[ $(sql "$1" "SELECT last_archived_time > last_failed_time FROM pg_stat_archiver") == t ]]
}
wait_until 90 "archiving from the new directory" archiving_goes_on "$restored_one"
backup "$restored_one"
after=$(insert_lsn "$restored_one")
work "$restored_one" 3 100
archived "$restored_one" 3
pick commit 3 "$after"
recovery promote time "$(at "$TIME")" --exclusive
apart
amcheck
checksums
gone
pick commit 2 "$begin" "$dropping"
# shellcheck disable=SC2034 # truth_lib.sh reads it
TABLESPACE=$WORK/main/space
recovery pause time "$(at "$TIME")" --timeline 2
apart
gone
