#!/bin/bash
# --delta over a directory where something of another kind has a file's or a folder's name: a folder,
# a link, a pipe. It is replaced, and nothing is written through the link.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
restore_into main copy --target-immediate
cd "$WORK/copy/data" || exit 1

# put_right WHAT
put_right() {
  story "$1"
  expect_status 0 pitr main restore --delta --to "$WORK/copy/data" --target-immediate
  expect_verified copy
}

echo untouched >"$WORK/outside"
mkdir "$WORK/elsewhere"
rm PG_VERSION postgresql.conf
ln -s "$WORK/outside" postgresql.conf
cp pg_hba.conf PG_VERSION
put_right "a link where a file was"
[[ -f postgresql.conf && ! -L postgresql.conf ]] || fail "postgresql.conf is a link still"
expect_equal untouched "$(cat "$WORK/outside")" "what the link leads to"

rm -r pg_xact
ln -s "$WORK/elsewhere" pg_xact
put_right "a link where a folder was"
[[ -d pg_xact && ! -L pg_xact ]] || fail "pg_xact is a link still"
expect_equal "" "$(ls "$WORK/elsewhere")" "what the link leads to"

rm PG_VERSION
mkdir -p PG_VERSION/inside
put_right "a folder where a file was"
rm -r pg_xact
echo file >pg_xact
put_right "a file where a folder was"
rm PG_VERSION
mkfifo PG_VERSION
put_right "a pipe where a file was"
