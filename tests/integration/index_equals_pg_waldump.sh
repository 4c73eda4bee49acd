#!/bin/bash
# What pitr's record reader and WAL index say of segments is what pg_waldump of the same version says of
# them, record for record: on segments of 1 MiB and of 64 MiB, for nearly all that a server can write.
#
# From the environment, besides what lib.sh takes: WAL_DUMP, the program that prints what pitr reads
# ($PITR_BIN/tests/wal_dump).

# lib.sh goes on as another user, and maybe in a copy of the checkout: the program must be found there.
WAL_DUMP=$(realpath -m "${WAL_DUMP:-${PITR_BIN:-$(dirname "$0")/../../build/release}/tests/wal_dump}")
user=${PG_USER:-postgres}
if [[ $(id -u) == 0 && -x $WAL_DUMP ]] &&
  ! setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups test -x "$WAL_DUMP"; then
  WAL_DUMP_COPY=$(mktemp -d /tmp/pitr.wal_dump.XXXXXX)
  cp "$WAL_DUMP" "$WAL_DUMP_COPY/wal_dump"
  chown -R "$user" "$WAL_DUMP_COPY"
  WAL_DUMP=$WAL_DUMP_COPY/wal_dump
  export WAL_DUMP_COPY
fi
export WAL_DUMP

source "$(dirname "$0")/lib.sh"

[[ -z ${WAL_DUMP_COPY-} ]] || AT_EXIT+=("rm -rf '$WAL_DUMP_COPY'")
[[ -x $WAL_DUMP ]] || fail "there is no program $WAL_DUMP: set WAL_DUMP"
version=$("$PG_BIN/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')

# --- words -----------------------------------------------------------------------------------------

# script NAME [DATABASE] <<SQL: statement by statement.
script() {
  "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$WORK/$1" -p 5432 -U postgres \
    -d "${2:-postgres}" -f - >"$WORK/script.out" 2>"$WORK/script.err" ||
    fail "a script failed: $(tail -n 5 "$WORK/script.err")"
}

pgbench() {
  "$PG_BIN/pgbench" -h "$WORK/$1" -p 5432 -U postgres "${@:2}" postgres >"$WORK/pgbench.log" 2>&1 ||
    fail "pgbench: $(cat "$WORK/pgbench.log")"
}

# The segment that is being written.
current_segment() { sql "$1" 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())'; }

# new_server NAME SEGMENT_SIZE [first segment]
new_server() {
  local name=$1
  new_cluster "$name" --wal-segsize="$2"
  # Far on, so that positions and transaction ids need more than 32 bits.
  [[ -z ${3-} ]] || "$PG_BIN/pg_resetwal" -e 5 -l "$3" -D "$WORK/$name/data" >/dev/null
  # pg_wal keeps everything; nothing here asks whether a crash of the machine would be survived.
  settings "$name" 'archive_mode = off' 'fsync = off' 'wal_level = replica' \
    'max_prepared_transactions = 10' 'track_commit_timestamp = on' 'restart_after_crash = off' \
    'max_connections = 20' 'min_wal_size = 128MB' 'max_wal_size = 1GB' 'log_checkpoints = off'
  ((version < 15)) || settings "$name" 'allow_in_place_tablespaces = on'
  start "$name"
  script "$name" <<'SQL'
-- Writes so much that the WAL's next record begins `gap` bytes before the end of its segment. A message's
-- record has 54 bytes besides its contents if these are more than 255: header, data header, xl_logical_message,
-- an empty prefix.
CREATE FUNCTION steer(gap int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  segment bigint := pg_size_bytes(current_setting('wal_segment_size'));
  here bigint;
  target bigint;
  room bigint;
BEGIN
  FOR attempt IN 1..3 LOOP
    here := pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0');
    target := (here / segment + 1) * segment - gap;
    room := target - here - 24 * ((target - 1) / 8192 - here / 8192);  -- without the pages' headers
    IF room = 0 THEN RETURN; END IF;
    IF room < 54 + 256 THEN
      PERFORM pg_logical_emit_message(false, '', repeat('-', gap + 512));
    ELSE
      PERFORM pg_logical_emit_message(false, '', repeat('-', (room - 54)::int));
    END IF;
  END LOOP;
END $$;
SQL
}

# --- what the servers do -----------------------------------------------------------------------------

definitions() {
  story "$1: relations of all kinds come and go"
  script "$1" <<SQL
SET client_min_messages = warning;
CREATE SCHEMA s;
CREATE TABLE s.plain (id bigserial PRIMARY KEY, t text, p point, a int[], n int);
INSERT INTO s.plain (t, p, a, n)
  SELECT md5(i::text), point(i, i % 7), ARRAY[i, i % 10], i FROM generate_series(1, 1500) i;
CREATE INDEX plain_hash ON s.plain USING hash (t);
CREATE INDEX plain_gin ON s.plain USING gin (a);
CREATE INDEX plain_gist ON s.plain USING gist (p);
CREATE INDEX plain_spgist ON s.plain USING spgist (p);
CREATE INDEX plain_brin ON s.plain USING brin (n);
CREATE EXTENSION bloom;
CREATE INDEX plain_bloom ON s.plain USING bloom (t);
INSERT INTO s.plain (t, p, a, n)
  SELECT md5(i::text), point(i, i % 7), ARRAY[i, i % 10], i FROM generate_series(1501, 2000) i;
UPDATE s.plain SET n = n + 1, t = t || '.' WHERE id % 3 = 0;
DELETE FROM s.plain WHERE id % 5 = 0;
CREATE UNLOGGED TABLE s.unlogged (id int PRIMARY KEY);
CREATE TEMPORARY TABLE own (id int);
CREATE SEQUENCE s.counter;
SELECT nextval('s.counter') FROM generate_series(1, 70);
CREATE VIEW s.seen AS SELECT id, t FROM s.plain;
CREATE MATERIALIZED VIEW s.kept AS SELECT id, t FROM s.plain WHERE id < 100;
REFRESH MATERIALIZED VIEW s.kept;
CREATE TABLE s.parts (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE s.parts_1 PARTITION OF s.parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE s.parts_2 PARTITION OF s.parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO s.parts SELECT i, date '2024-01-01' + i FROM generate_series(1, 700) i;
ALTER TABLE s.parts DETACH PARTITION s.parts_2;
ALTER TABLE s.plain ADD COLUMN more int DEFAULT 7, ALTER COLUMN n TYPE bigint;
ALTER TABLE s.plain RENAME COLUMN more TO less;
ALTER TABLE s.unlogged SET LOGGED;
COPY (SELECT id, t FROM s.plain) TO '$WORK/$1/copy';
CREATE TABLE s.copied (id int, t text);
COPY s.copied FROM '$WORK/$1/copy';
BEGIN;
CREATE TABLE s.truncated (id int PRIMARY KEY, t text);
INSERT INTO s.truncated SELECT i, repeat('t', 200) FROM generate_series(1, 200) i;
TRUNCATE s.truncated;
COMMIT;
INSERT INTO s.truncated SELECT i, repeat('t', 200) FROM generate_series(1, 400) i;
VACUUM s.truncated;
DELETE FROM s.truncated WHERE id > 50;
VACUUM s.truncated;
TRUNCATE s.copied;
VACUUM FULL s.plain;
VACUUM FULL pg_class;
CLUSTER s.plain USING plain_pkey;
REINDEX TABLE s.plain;
REINDEX INDEX CONCURRENTLY s.plain_brin;
VACUUM (FREEZE, ANALYZE) s.plain;
ANALYZE;
SELECT pg_replication_origin_create('elsewhere');
SELECT pg_replication_origin_session_setup('elsewhere');
BEGIN;
INSERT INTO s.copied VALUES (1, 'from elsewhere');
SELECT pg_replication_origin_xact_setup('0/1234', now());
COMMIT;
SELECT pg_replication_origin_session_reset();
SELECT pg_replication_origin_drop('elsewhere');
SELECT lo_create(4711), lo_put(4711, 0, 'large');
DROP MATERIALIZED VIEW s.kept;
DROP TABLE s.parts_2, s.parts;
DROP SEQUENCE s.counter;
SQL
}

transactions() {
  story "$1: transactions end in all ways"
  script "$1" <<'SQL'
SET client_min_messages = warning;
CREATE TABLE rows (id int PRIMARY KEY, n int);
INSERT INTO rows SELECT i, 0 FROM generate_series(1, 500) i;
-- Subtransactions.
BEGIN;
INSERT INTO rows VALUES (1001, 0);
SAVEPOINT a;
UPDATE rows SET n = n + 1 WHERE id = 1;
SAVEPOINT b;
CREATE TABLE made_and_lost (id int PRIMARY KEY);
ROLLBACK TO b;
RELEASE a;
SAVEPOINT c;
SELECT * FROM rows WHERE id = 2 FOR SHARE;
SAVEPOINT d;
UPDATE rows SET n = n + 1 WHERE id = 2;
COMMIT;
-- More than 64 of them: what the server notes of running transactions is not complete then.
BEGIN;
DO $$BEGIN
  FOR i IN 2000..2149 LOOP
    BEGIN
      INSERT INTO rows VALUES (i, 0);
      IF i % 10 = 0 THEN RAISE EXCEPTION 'back'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END$$;
CHECKPOINT;
COMMIT;
BEGIN;
DO $$BEGIN
  FOR i IN 3000..3099 LOOP
    BEGIN
      INSERT INTO rows VALUES (i, 0);
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END$$;
CREATE TABLE never (id int PRIMARY KEY, t text);
INSERT INTO never VALUES (1, 'x');
ROLLBACK;
-- Two-phase commit, with files that come and go.
CREATE TABLE dropped_in_prepared (id int PRIMARY KEY);
CREATE TABLE kept_by_rollback (id int PRIMARY KEY);
BEGIN;
SAVEPOINT a;
DROP TABLE dropped_in_prepared;
RELEASE a;
SAVEPOINT b;
CREATE TABLE made_in_prepared (id int PRIMARY KEY);
INSERT INTO made_in_prepared SELECT generate_series(1, 100);
PREPARE TRANSACTION 'one';
COMMIT PREPARED 'one';
BEGIN;
SAVEPOINT a;
DROP TABLE kept_by_rollback;
CREATE TABLE lost_in_prepared (id int PRIMARY KEY);
INSERT INTO lost_in_prepared SELECT generate_series(1, 100);
PREPARE TRANSACTION 'two';
CHECKPOINT;
ROLLBACK PREPARED 'two';
-- So many invalidations that the transaction's id, which stands behind them, is far from the record's begin.
BEGIN;
DO $$BEGIN
  FOR i IN 1..250 LOOP EXECUTE format('CREATE TABLE of_many_%s (id int PRIMARY KEY, t text)', i); END LOOP;
END$$;
PREPARE TRANSACTION 'many';
COMMIT PREPARED 'many';
BEGIN;
DO $$BEGIN
  FOR i IN 1..250 LOOP EXECUTE format('DROP TABLE of_many_%s', i); END LOOP;
END$$;
PREPARE TRANSACTION 'many';
COMMIT PREPARED 'many';
-- So many subtransactions that the commit is longer than 64 KiB.
BEGIN;
DO $$BEGIN
  FOR i IN 10001..27000 LOOP
    BEGIN
      INSERT INTO rows VALUES (i, 0);
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
END$$;
COMMIT;
SELECT pg_logical_emit_message(true, 'a prefix', 'a message');
-- Locks, also as a checkpoint repeats them.
CREATE TABLE other (id int);
BEGIN;
LOCK TABLE rows, other IN ACCESS EXCLUSIVE MODE;
SAVEPOINT a;
LOCK TABLE made_in_prepared IN ACCESS EXCLUSIVE MODE;
INSERT INTO other VALUES (1);
CHECKPOINT;
ROLLBACK TO a;
COMMIT;
SELECT pg_create_restore_point('a point');
SELECT pg_create_restore_point('ein Punkt mit Ä, "Zeichen"; und Leerzeichen');
SELECT pg_create_restore_point(repeat('n', 63));
CHECKPOINT;
SQL
}

databases() {
  local in_place='' strategies=(default)
  story "$1: databases and tablespaces come and go"
  as_postgres mkdir "$WORK/$1/space"
  if ((version >= 15)); then
    in_place="CREATE TABLESPACE in_place LOCATION '';"
    strategies=(wal_log file_copy)
  fi
  script "$1" <<SQL
$in_place
CREATE TABLESPACE outside LOCATION '$WORK/$1/space';
CREATE TABLE in_outside (id int PRIMARY KEY, t text) TABLESPACE outside;
INSERT INTO in_outside SELECT i, i::text FROM generate_series(1, 300) i;
CREATE TABLE moved (id int);
INSERT INTO moved SELECT generate_series(1, 3000);
VACUUM moved;
ALTER TABLE moved SET TABLESPACE outside;
$(for strategy in "${strategies[@]}"; do
    options=
    [[ $strategy == default ]] || options="STRATEGY $strategy"
    echo "CREATE DATABASE by_$strategy $options;"
  done)
CREATE DATABASE moving TABLESPACE outside;
SQL
  script "$1" moving <<'SQL'
CREATE TABLE in_another_database AS SELECT generate_series(1, 1000) i;
CREATE UNIQUE INDEX ON in_another_database (i);
SQL
  script "$1" <<SQL
ALTER DATABASE moving SET TABLESPACE pg_default;
DROP DATABASE by_${strategies[0]};
DROP DATABASE moving;
DROP TABLE moved, in_outside;
DROP TABLESPACE outside;
SQL
}

# Images of pages after a checkpoint, by each method, with and without a hole, and those that only a check of
# replay wants.
images() {
  local method methods=(off pglz lz4 zstd)
  ((version >= 15)) || methods=(off on)
  story "$1: page images, wal_compression ${methods[*]}"
  script "$1" <<'SQL'
CREATE TABLE images (id int PRIMARY KEY, n int, t text);
INSERT INTO images SELECT i, 0, repeat('same', 100) FROM generate_series(1, 300) i;
INSERT INTO images SELECT i, 0, string_agg(md5(i * 100.0 + j || ''), '')
  FROM generate_series(301, 600) i, generate_series(1, 12) j GROUP BY i;
CREATE INDEX images_n ON images USING gist (point(n, id));
SQL
  for method in "${methods[@]}"; do
    script "$1" <<SQL
CHECKPOINT;
SET wal_compression = $method;
UPDATE images SET n = n + 1;
SET wal_consistency_checking = 'heap,btree,gist';
UPDATE images SET n = n + 1 WHERE id % 20 = 0;
VACUUM images;
SQL
  done
}

# Records of every kind that begin in one segment and end in the next, some within their header.
straddlers() {
  story "$1: records across the ends of segments"
  script "$1" <<SQL
$(for gap in 8 16 24 32 40 72; do
    cat <<END_OF_GAP
SELECT steer($gap);
SELECT pg_create_restore_point('$gap before the end');
BEGIN; CREATE TABLE at_$gap (id int PRIMARY KEY); SAVEPOINT a; INSERT INTO rows VALUES (5000 + $gap, 0);
SELECT steer($gap);
COMMIT;
BEGIN; DROP TABLE at_$gap;
SELECT steer($gap);
COMMIT;
BEGIN; CREATE TABLE lost_at_$gap (id int PRIMARY KEY);
SELECT steer($gap);
ROLLBACK;
BEGIN; CREATE TABLE prepared_at_$gap (id int PRIMARY KEY); PREPARE TRANSACTION 'p';
SELECT steer($gap);
COMMIT PREPARED 'p';
END_OF_GAP
  done)
BEGIN;
SELECT txid_current(), steer(8);
LOCK TABLE rows IN ACCESS EXCLUSIVE MODE;
COMMIT;
SELECT steer(0);
CREATE TABLE at_the_begin (id int PRIMARY KEY);
SQL
}

# XLOG_SWITCH itself is cut in two; and records whose last 8 or 16 bytes, at the begin of a segment, look as
# if it had been.
switches() {
  story "$1: switches across the ends of segments, and what looks like one"
  script "$1" <<'SQL'
SELECT steer(8);
SELECT pg_switch_wal();
SELECT pg_create_restore_point('after a switch');
SELECT steer(16);
SELECT pg_switch_wal();
SELECT pg_create_restore_point('after a switch');
-- A message's record has 51 bytes besides its contents if these are few: here it has 80 and 88.
SELECT steer(72);
SELECT pg_logical_emit_message(false, '', decode(repeat('00', 21) || '4000' || repeat('00', 6), 'hex'));
SELECT pg_create_restore_point('after what is no switch');
SELECT steer(72);
SELECT pg_logical_emit_message(false, '', decode(repeat('00', 29) || '4000' || repeat('00', 6), 'hex'));
SELECT pg_create_restore_point('after what is no switch');
INSERT INTO rows VALUES (6000, 0);
SQL
}

# A server that dies while it writes a record over many segments: WAL goes on behind the record's beginning,
# XLOG_OVERWRITE_CONTRECORD. It dies because there is a folder where it wants to make a segment. With a
# second argument it is as if of the last segment no more pages than so many had been written.
die_within_a_record() {
  local name=$1 wal=$WORK/$1/data/pg_wal pitfall last
  story "$name: the server dies within a record"
  pitfall=$(segment_after "$(current_segment "$name")" 3)
  as_postgres mkdir "$wal/$pitfall"
  if sql "$name" "SELECT pg_logical_emit_message(true, 'x', repeat('x', 5000000))" 2>/dev/null; then
    fail "the server made a segment where there is a folder"
  fi
  wait_until 30 "the server is dead" not_running "$name"
  as_postgres rmdir "$wal/$pitfall"
  if [[ -n ${2-} ]]; then
    last=$wal/$(segment_after "$pitfall" -1)
    dd if=/dev/zero of="$last" bs=8192 seek="$2" count=$(($(size_of "$last") / 8192 - $2)) \
      conv=notrunc status=none
  fi
  start "$name"
}
not_running() { ! running "$1"; }

crashes() {
  story "$1: a crash"
  script "$1" <<'SQL'
CREATE TABLE before_the_crash (id int PRIMARY KEY);
INSERT INTO before_the_crash SELECT generate_series(1, 500);
SQL
  crash "$1"
  settings "$1" 'max_connections = 30' 'max_locks_per_transaction = 100'
  start "$1"
  sql "$1" 'INSERT INTO before_the_crash SELECT generate_series(501, 1000)'
}

# The other levels of wal_level: at "logical" there are more records, and more in each.
levels() {
  local level
  story "$1: wal_level minimal and logical"
  for level in minimal logical; do
    stop "$1"
    settings "$1" "wal_level = $level" 'max_wal_senders = 0'
    start "$1"
    script "$1" <<SQL
BEGIN;
CREATE TABLE at_$level (id int PRIMARY KEY);
INSERT INTO at_$level SELECT generate_series(1, 200);
SAVEPOINT a;
UPDATE rows SET n = n + 1 WHERE id < 50;
SAVEPOINT b;
DELETE FROM at_$level WHERE id > 150;
ROLLBACK TO b;
CREATE TABLE more_at_$level (id int PRIMARY KEY);
DROP TABLE at_$level;
PREPARE TRANSACTION 'prepared at $level';
COMMIT PREPARED 'prepared at $level';
BEGIN;
CREATE TABLE lost_at_$level (id int PRIMARY KEY);
PREPARE TRANSACTION 'lost at $level';
ROLLBACK PREPARED 'lost at $level';
SQL
  done
  stop "$1"
  settings "$1" 'wal_level = replica' 'max_wal_senders = 4'
  start "$1"
}

workload() {
  local name=$1
  definitions "$name"
  transactions "$name"
  pgbench "$name" -i -s 1 -q --foreign-keys
  switch "$name"
  databases "$name"
  pgbench "$name" -n -c 2 -t 150
  images "$name"
  switch "$name"
  crashes "$name"
  levels "$name"
}

# --- the comparison ------------------------------------------------------------------------------------

# compare NAME TIMELINE UNFINISHED WHAT…: the segments of a timeline up to the unfinished one; each WHAT
# must have happened in them.
compare() {
  local name=$1 timeline=$2 unfinished=$3 segment segments=()
  shift 3
  for segment in "$WORK/$name/data/pg_wal/$(printf %08X "$timeline")"????????????????; do
    [[ ${segment##*/} < $unfinished ]] && segments+=("$segment")
  done
  ((${#segments[@]} > 1)) || fail "no segments of timeline $timeline"
  story "$name: pg_waldump and pitr on timeline $timeline"
  python3 "$TESTS/waldump_truth.py" --pg-waldump "$PG_BIN/pg_waldump" --wal-dump "$WAL_DUMP" \
    --unfinished "$WORK/$name/data/pg_wal/$unfinished" --expect "$(IFS=,; echo "$*")" "${segments[@]}" ||
    fail "what pitr reads is not what pg_waldump reads"
}

everywhere=(
  images blocks_main blocks_fsm blocks_vm blocks_init
  commit abort commit_prepared abort_prepared subxids dropped_files aborts_with_files
  restore_points checkpoint_shutdown checkpoint_online parameters_{minimal,replica,logical}
  database_create database_drop tablespace_create tablespace_drop
  created_main created_fsm created_vm created_init truncations locks
  running_complete running_overflowed switches
  manager_{XLOG,Transaction,Storage,Database,Tablespace,MultiXact,RelMap,Standby,Heap2,Heap,Btree,Hash,Gin,Gist}
  manager_{Sequence,SPGist,BRIN,ReplicationOrigin,Generic,LogicalMessage}
)

new_server small 1
workload small
straddlers small
switches small
sql small "SELECT pg_logical_emit_message(true, 'x', repeat('x', 5000000))" >/dev/null
die_within_a_record small
die_within_a_record small 32
switch small
unfinished=$(current_segment small)
stop small
# The promotion of a standby begins a second timeline with a copy of the segment that it was in.
as_postgres touch "$WORK/small/data/standby.signal"
start small
promote small
wait_until 30 "the end of recovery" out_of_recovery small
sql small "CREATE TABLE on_the_second_timeline AS SELECT generate_series(1, 20000) i"
switch small
second=$(current_segment small)
stop small
compare small 1 "$unfinished" "${everywhere[@]}" longer_than_segment overwrites \
  straddling_header straddling_switch straddling_restore_point straddling_{commit,abort,commit_prepared}
compare small 2 "$second" recoveries commit created_main
rm -rf "$WORK/small"

# Two segments before the position's upper half changes.
new_server large 64 00000001000000A50000003E
workload large
switch large
unfinished=$(current_segment large)
stop large
compare large 1 "$unfinished" "${everywhere[@]}" longer_than_32_bits
