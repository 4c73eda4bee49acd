#!/bin/bash
# Tablespaces go where the operator says and nowhere else: the origin's are never touched.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
mkdir "$WORK/space" "$WORK/space two"
sql main "CREATE TABLESPACE one LOCATION '$WORK/space'"
sql main "CREATE TABLESPACE two LOCATION '$WORK/space two'"
sql main 'CREATE TABLE in_one (n int) TABLESPACE one'
sql main 'INSERT INTO in_one SELECT generate_series(1, 1000)'
sql main 'CREATE UNLOGGED TABLE unlogged (n int) TABLESPACE one'
sql main 'CREATE TABLE in_two (n int) TABLESPACE two'
sql main 'INSERT INTO in_two SELECT generate_series(1, 500)'
echo strange >"$WORK/space/not PostgreSQL's"
backup main
sql main 'INSERT INTO in_one VALUES (0)'
sql main 'TRUNCATE in_two'
switch_and_wait main

story "without a map refused, with the lines to paste"
expect_status 2 pitr main restore --to "$WORK/refused"
expect_error "^ERROR: .*tablespace"
expect_error "--tablespace $WORK/space=NEW"
expect_error "--tablespace .*$WORK/space two.*=NEW"
expect_absent "$WORK/refused"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/space=$WORK/new"
expect_error "--tablespace .*$WORK/space two.*=NEW"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/spac=$WORK/new"
expect_error "$WORK/spac\""
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace-original
expect_error "$WORK/space"
expect_error "not empty"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/space=$WORK/new" \
  --tablespace "$WORK/space two=$WORK/new"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/space=$WORK/new" \
  --tablespace "$WORK/space=$WORK/newer" --tablespace "$WORK/space two=$WORK/other"
expect_error "two maps name the tablespace"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/space=$WORK/new" \
  --tablespace "$WORK/space two=$WORK/other" --waldir "$WORK/new"
expect_error "pg_wal cannot go to"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/space=$WORK/refused/in" \
  --tablespace "$WORK/space two=$WORK/new"
expect_status 2 pitr main restore --to "$WORK/refused" --tablespace "$WORK/space=relative" \
  --tablespace "$WORK/space two=$WORK/new"
expect_absent "$WORK/refused"
expect_absent "$WORK/new"

story "with a map, beside the running origin"
sql main CHECKPOINT
remember_folder "$WORK/space"
remember_folder "$WORK/space two"
restore_into main copy --tablespace "$WORK/space=$WORK/new" --tablespace "$WORK/space two=$WORK/new two" --action promote
expect_absent "$WORK/new/not PostgreSQL's"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal "1001 0 0" "$(sql copy 'SELECT count(*) FROM in_one') $(sql copy 'SELECT count(*) FROM in_two') $(sql copy 'SELECT count(*) FROM unlogged')" "rows"
sql copy 'INSERT INTO in_two VALUES (1); DROP TABLE in_one; CREATE TABLE another (n int) TABLESPACE one; CHECKPOINT'
for link in "$WORK"/copy/data/pg_tblspc/*; do
  [[ $(readlink "$link") == "$WORK/new"* ]] || fail "$link leads to $(readlink "$link")"
done
expect_equal 2 "$(find "$WORK/copy/data/pg_tblspc" -type l | wc -l)" "links"
expect_sound copy
expect_folder_unchanged "$WORK/space"
expect_folder_unchanged "$WORK/space two"
expect_equal 1001 "$(sql main 'SELECT count(*) FROM in_one')" "rows of the origin"

story "over it with --delta, into the same places"
expect_status 0 pitr main restore --delta --to "$WORK/copy/data" --target-immediate \
  --tablespace "$WORK/space=$WORK/new" --tablespace "$WORK/space two=$WORK/new two"
expect_verified copy
recovered copy
expect_equal "1000 500" "$(sql copy 'SELECT count(*) FROM in_one') $(sql copy 'SELECT count(*) FROM in_two')" "rows"
stop copy

story "no place inside the running origin, or inside a tablespace of it"
for place in "$WORK/main/data/base/x" "$WORK/space/copy" "$(echo "$WORK/space/"PG_*)/copy"; do
  remember_folder "$WORK/space"
  expect_status 2 pitr main restore --to "$WORK/inside" --target-immediate \
    --tablespace "$WORK/space=$place" --tablespace "$WORK/space two=$WORK/other"
  expect_error 'lies inside a (data directory|tablespace of a server)'
  expect_status 2 pitr main restore --to "$place" --target-immediate --tablespace-original
  expect_error 'lies inside a (data directory|tablespace of a server)'
  expect_status 2 pitr main restore --to "$WORK/inside" --target-immediate --waldir "$place" \
    --tablespace "$WORK/space=$WORK/one" --tablespace "$WORK/space two=$WORK/other"
  expect_error 'lies inside a (data directory|tablespace of a server)'
  expect_absent "$place"
  expect_absent "$WORK/inside"
  expect_folder_unchanged "$WORK/space"
done
expect_status 2 pitr main restore --to "$WORK/inside" --target-immediate \
  --tablespace "$WORK/space=$WORK/one" --tablespace "$WORK/space two=$WORK/one/two"
expect_error "two tablespaces cannot go to"

story "a copy of the origin has links to the origin's own places: never written into, --delta or not"
cp -a "$WORK/main/data" "$WORK/twin"
rm -f "$WORK/twin/postmaster.pid"
expect_status 2 pitr main restore --delta --to "$WORK/twin" --target-immediate --tablespace-original
expect_error "cannot go to \"$WORK/space\"|cannot go to \"$WORK/space two\""
expect_folder_unchanged "$WORK/space"
expect_folder_unchanged "$WORK/space two"
rm -rf "$WORK/twin"

story "into the old places, when they are empty"
stop main
rm -r "$WORK/space" "$WORK/space two"/*
restore_into main old --tablespace-original
start_copy old
wait_until 30 "the end of recovery" out_of_recovery old
expect_equal "1001 0" "$(sql old 'SELECT count(*) FROM in_one') $(sql old 'SELECT count(*) FROM in_two')" "rows"
[[ -d $WORK/space ]] || fail "the old place was not made"
expect_sound old
