#!/bin/bash
# PostgreSQL's own tools accept what comes back from a backup: with data checksums and without, with
# segments of 1 MiB and of 64 MiB. What a backup leaves out is absent, all else is there.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
umask 077 # PostgreSQL accepts no other modes

# expect_backup_json: the document of `pitr backup --json`, against what the server and the disk say.
expect_backup_json() {
  expect_equal 1 "$(json "$OUT" 'd["format"]')" "format"
  expect_equal "ok full a label [] 1" \
    "$(json "$OUT" 'd["status"] + " " + d["type"] + " " + d["label"] + " " + str(d["page_errors"]) + " " + str(d["timeline"])')" "fields"
  json "$OUT" 'd["started_at"] + " " + d["finished_at"]' |
    grep -qE '^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z [0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$' || fail "times: $(cat "$OUT")"
  expect_equal t "$(sql "$1" "SELECT '$(json "$OUT" 'd["start_lsn"]')'::pg_lsn < '$(json "$OUT" 'd["stop_lsn"]')'")" \
    "start before stop"
  expect_equal True "$(json "$OUT" 'd["size_bytes"] > 20000000 > d["stored_bytes"] > 1000000')" "sizes"
}

sleeping() {
  [[ $(sql "$1" "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1 ]]
}

# the_story NAME [initdb arguments]
the_story() {
  local name=$1 weird odd
  shift
  new_cluster "$name" "$@"
  [[ $name != unchecked ]] || "$PG_BIN/pg_checksums" --disable -D "$WORK/$name/data" >/dev/null
  pitr "$name" init >/dev/null
  start "$name"
  fill "$name" 20000 # more than 1 MiB
  sql "$name" "CREATE INDEX ON filled (row);
    CREATE UNLOGGED TABLE unlogged AS SELECT generate_series(1, 1000) AS n;
    CREATE INDEX ON unlogged (n);
    CREATE TABLE empty (n int); CHECKPOINT"
  weird=pg_stat/$'weird \xff\n"name\\%'
  odd=$WORK/$name/data/pg_xact/odd
  : >"$WORK/$name/data/an_empty_file"
  echo contents >"$WORK/$name/data/$weird"
  ln -s /etc/passwd "$odd"
  mkdir "$WORK/outside"
  echo outside >"$WORK/outside/file"
  ln -s "$WORK/outside" "$WORK/$name/data/base/stray"
  truncate -s 3M "$WORK/$name/data/sparse"

  story "$name: a backup while a session has a temporary table"
  sql "$name" 'CREATE TEMPORARY TABLE temporary AS SELECT generate_series(1, 100000) AS n;
    SELECT pg_sleep(20)' >/dev/null 2>&1 &
  wait_until 10 "the temporary table" sleeping "$name"
  find "$WORK/$name/data/base" -name 't[0-9]*_[0-9]*' | grep -q . || fail "there is no temporary table"
  backup "$name" --label "a label"
  expect_error "WARNING: .*pg_xact/odd"
  expect_error "WARNING: .*base/stray"
  expect_backup_json "$name"
  sql "$name" "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'" >/dev/null
  wait || true
  fill "$name" 1000
  switch_and_wait "$name"
  filled=$(sql "$name" "SELECT count(*), sum(row), md5(string_agg(contents, '' ORDER BY row)) FROM filled")
  stop "$name"

  story "$name: it comes back"
  restore_into "$name" "$name-copy"
  expect_same_file "$WORK/$name/data/$weird" "$WORK/$name-copy/data/$weird"
  expect_same_file "$WORK/$name/data/sparse" "$WORK/$name-copy/data/sparse"
  expect_equal 0 "$(size_of "$WORK/$name-copy/data/an_empty_file")" "size of an empty file"
  expect_absent "$WORK/$name-copy/data/pg_xact/odd"
  expect_absent "$WORK/$name-copy/data/base/stray"
  expect_equal "" "$(find "$WORK/$name-copy/data/base" -name 't[0-9]*_[0-9]*' -o -name 'pgsql_tmp*' -o -name 'pg_internal.init*')" \
    "temporary relations"
  expect_absent "$WORK/$name-copy/data/postmaster.pid"
  expect_absent "$WORK/$name-copy/data/postmaster.opts"
  expect_equal 700 "$(stat -c %a "$WORK/$name-copy/data")" "mode of the directory"
  expect_equal "" "$(find "$WORK/$name-copy/data" -type f ! -perm 600 -printf '%p %m\n')" "files with another mode"
  start_copy "$name-copy"
  wait_until 30 "the end of recovery" out_of_recovery "$name-copy"
  expect_equal "$filled" "$(sql "$name-copy" "SELECT count(*), sum(row), md5(string_agg(contents, '' ORDER BY row)) FROM filled")" "rows"
  expect_equal 0 "$(sql "$name-copy" 'SELECT count(*) FROM unlogged')" "rows of the unlogged table"
  sql "$name-copy" 'INSERT INTO unlogged VALUES (1)'
  expect_sound "$name-copy"
  rm -r "$WORK/outside"
}

the_story checked --wal-segsize=1
the_story unchecked --wal-segsize=64
