#!/bin/bash
# A standby has received more of a segment than was stored of it (another standby's tail): pitr-restore does
# not put the shorter one over it, and after the primary's end the standby is promoted with every row.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=200ms

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 10
backup main
switch_and_wait main
mkdir "$WORK/standby"
sed "s|^directory = .*|directory = \"$WORK/standby/state\"|" "$WORK/main/pitr.toml" >"$WORK/standby/pitr.toml"
chmod 600 "$WORK/standby/pitr.toml"
expect_status 0 pitr standby restore --standby --to "$WORK/standby/data" --archive-mode off \
  --recovery-option "primary_conninfo=host=$WORK/main port=5432 user=postgres"
start_copy standby -c hot_standby=on -c wal_retrieve_retry_interval=300ms
streaming() { [[ $(sql main 'SELECT count(*) FROM pg_stat_replication') == 1 ]]; }
wait_until 30 "the standby streams" streaming

story "a tail of the segment is stored; the standby goes on beyond it"
fill main 100
sql main CHECKPOINT
segment=$(sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())')
mkdir "$WORK/tail"
cp "$WORK/main/data/pg_wal/$segment" "$WORK/tail/"
expect_status 0 archive main "$WORK/tail/$segment"
[[ -n $(stored main "$segment.tail-*") ]] || fail "no tail is stored: $(repository_files main)"
fill main 300
rows=$(sql main 'SELECT count(*) FROM filled')
expect_equal "$segment" "$(sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())')" "segment"
has_rows() { [[ $(sql standby 'SELECT count(*) FROM filled') == "$rows" ]]; }
wait_until 30 "all rows on the standby" has_rows
cp "$WORK/standby/data/pg_wal/$segment" "$WORK/before"

story "the primary is gone: the standby's own copy stays, and it is promoted with all rows"
crash main
asked() { grep -q "pg_wal holds as much" "$WORK/standby/server.log"; }
wait_until 30 "the standby asks the archive" asked
expect_same_file "$WORK/before" "$WORK/standby/data/pg_wal/$segment"
promote standby
wait_until 30 "the promotion" out_of_recovery standby
expect_equal "$rows" "$(sql standby 'SELECT count(*) FROM filled')" "rows"

story "a server that has less of it gets the tail"
mkdir "$WORK/empty"
expect_status 0 fetch main "$segment" "$WORK/empty/RECOVERYXLOG" "$WORK/empty"
head -c 512 "$WORK/before" >"$WORK/empty/$segment"
expect_status 0 fetch main "$segment" "$WORK/empty/RECOVERYXLOG" "$WORK/empty"
truncate -s 1M "$WORK/empty/$segment"
expect_status 0 fetch main "$segment" "$WORK/empty/RECOVERYXLOG" "$WORK/empty"
cp "$WORK/before" "$WORK/empty/$segment"
expect_status 1 fetch main "$segment" "$WORK/empty/RECOVERYXLOG" "$WORK/empty"
