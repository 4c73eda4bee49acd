#!/bin/bash
# PostgreSQL archives through the module pitr_archive: with the same guarantees and words as through
# pitr-archive, and what was archived recovers.
source "$(dirname "$0")/lib.sh"

version=$("$PG_BIN/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
module=$PITR_BIN/module/$version/pitr_archive
((version >= 15)) || skip "PostgreSQL $version has no archive modules"
[[ -e $module.so ]] || skip "the module was not built: the headers of PostgreSQL $version are missing"
new_cluster main --wal-segsize=1
log=$WORK/main/server.log
wal=$WORK/main/data/pg_wal
sed -i '/^archive_command/d' "$WORK/main/data/postgresql.conf"
settings main "archive_library = '$module'" "pitr_archive.config = '$WORK/main/pitr.toml'" \
  "log_min_messages = 'debug1'"
reload() {
  settings main "$@"
  sql main 'SELECT pg_reload_conf()' >/dev/null
}
# An archiver that waits looks again when there is something to archive.
says() { grep -qE "$1" "$log"; }
expect_said() { wait_until 20 "the log says: $1" says "$1"; }
segments() { archived_files main | grep -E '^[0-9A-F]{24}$'; }
archived_all() {
  switch_and_wait main
  wait_until 30 "everything archived" nothing_to_archive main
}

story "before pitr init: a counted failure in the words of pitr-archive, and the server goes on"
start main
switch main
wait_until 20 "a counted failure" archiving_failed main
expect_said 'WARNING:  pitr_archive: there is no repository at '
expect_said 'HINT:  Mount its volume, or create the repository with: pitr init'
! grep -E 'ERROR|FATAL|PANIC' "$log" >&2 || fail "the archiver failed by an error"
archiver_process() { sql main "SELECT pid FROM pg_stat_activity WHERE backend_type = 'archiver'"; }
process=$(archiver_process)

story "the same process archives when the repository is there"
expect_status 0 pitr main init
fill main 2000
archived_all
failed=$(archiver main failed_count)
archive_segments main 3
expect_equal "$failed" "$(archiver main failed_count)" "failed_count"
expect_status 0 pitr main check

story "a backup through it recovers, elsewhere, to what was committed last"
expect_status 0 pitr main backup
fill main 500
switch_and_wait main
restore_into main copy
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "$(sql main 'SELECT count(*), max(row) FROM filled')" \
  "$(sql copy 'SELECT count(*), max(row) FROM filled')" "rows"
stop copy

story "a configuration that is wrong is explained, and nothing is archived meanwhile"
before=$(segments | wc -l)
reload "pitr_archive.config = '$WORK/main/other.toml'"
switch main
expect_said 'WARNING:  pitr_archive: could not read configuration file ".*/other.toml": No such file'
expect_said 'archive_mode"? enabled, yet archiving is not configured'
((version < 17)) || expect_said 'DETAIL:  could not read configuration file'
expect_equal "$before" "$(segments | wc -l)" "archived segments"

story "what is stored with other contents is refused, as often as it is offered"
expect_status 0 archive main "pg_wal/$SEGMENT"
refused=$SEGMENT
cp "$wal/$refused" "$WORK/kept"
printf x | dd of="$wal/$refused" bs=1 seek=60000 conv=notrunc status=none
reload "pitr_archive.config = '$WORK/main/pitr.toml'"
fill main 10
switch main
expect_said "pitr_archive: WAL file \"$refused\" is stored already with other contents"
cp "$WORK/kept" "$wal/$refused"
archived_all

story "another directory's cluster and another cluster's name are refused"
reload "pitr_archive.cluster = 'another'"
switch main
expect_said 'pitr_archive: the repository does not know cluster "another"'
expect_said 'DETAIL:  It holds main '
reload "pitr_archive.cluster = ''"
archived_all
sed "s|^data_directory.*|data_directory = \"$WORK\"|" "$WORK/main/pitr.toml" >"$WORK/main/wrong.toml"
chmod 600 "$WORK/main/wrong.toml"
reload "pitr_archive.config = '$WORK/main/wrong.toml'"
switch main
expect_said 'pitr_archive: the working directory is not the configured data directory'
reload "pitr_archive.config = '$WORK/main/pitr.toml'"
archived_all

story "the repository goes away: nothing is acknowledged; it comes back: a backlog, looked ahead to, is archived"
failed=$(archiver main failed_count)
mv "$WORK/main/repository" "$WORK/main/away"
more_failures() { (($(archiver main failed_count) > failed)); }
for _ in {1..12}; do
  fill main 100
  switch main
done
wait_until 20 "a counted failure" more_failures
mv "$WORK/main/away" "$WORK/main/repository"
archived_all
expect_no_leftovers main
for segment in $(segments); do expect_fetched main "$segment" "$wal/$segment"; done
expect_status 0 pitr main verify --wal

story "the server stops at once, also while the repository is away; all this was one process"
expect_equal "$process" "$(archiver_process)" "the archiver's process"
mv "$WORK/main/repository" "$WORK/main/away"
switch main
begin=$SECONDS
stop main fast
((SECONDS - begin < 15)) || fail "stopping took $((SECONDS - begin)) s"
mv "$WORK/main/away" "$WORK/main/repository"
start main
archived_all
