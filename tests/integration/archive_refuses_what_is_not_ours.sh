#!/bin/bash
# What is not a WAL file of this cluster is refused in words, and what was stored stays.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
new_cluster foreign --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 2
stop main # archives the last segment
wal=$WORK/main/data/pg_wal
last=$(archived_files main | grep -E '^[0-9A-F]{24}$' | tail -n 1)
good=$wal/$last
next=$(segment_after "$last")
remember_repository main
mkdir "$WORK/offered"
cd "$WORK/offered"

# refused WHAT FILE PATTERN
refused() {
  story "$1"
  expect_status 1 archive main "$2"
  expect_error "^ERROR: .*$3"
  expect_repository_unchanged main
}

story "a segment of another cluster"
start foreign
switch foreign
stop foreign immediate
expect_status 1 archive main "$WORK/foreign/data/pg_wal/$SEGMENT"
expect_error "\"$SEGMENT\" belongs to another database cluster"
expect_error "^DETAIL: .*system identifier.*$(sed -n 's/^Database system identifier: *//p' \
  < <("$PG_BIN/pg_controldata" "$WORK/foreign/data"))"
expect_repository_unchanged main

head -c 500000 "$good" >"$next"
refused "a truncated segment" "$PWD/$next" "\"$next\" has the wrong size"
: >"$next"
refused "an empty file" "$PWD/$next" "\"$next\" has the wrong size"
{ cat "$good"; echo; } >"$next"
refused "a segment with a byte too many" "$PWD/$next" "\"$next\" has the wrong size"
head -c 16777216 /dev/zero >"$next"
refused "a segment of another wal_segment_size" "$PWD/$next" "\"$next\" has the wrong size"

head -c 1048576 /dev/zero >"$next"
refused "zeros" "$PWD/$next" "\"$next\" has no valid first page header"
head -c 1048576 /dev/urandom >"$next"
refused "random bytes" "$PWD/$next" "\"$next\""
cp "$good" "$next"
flip_byte "$next" 0
refused "a header of no version of PostgreSQL" "$PWD/$next" "\"$next\" has no valid first page header"
cp "$good" "$next"
refused "a segment under another name" "$PWD/$next" "\"$next\" does not hold what its name says"

if [[ $(id -u) != 0 ]]; then
  chmod 000 "$next"
  refused "a file without permission to read" "$PWD/$next" "$next.*: Permission denied"
fi
rm -f "$next"
refused "a file that is not there" "$PWD/$next" "$next.*: No such file or directory"
mkdir "$next"
refused "a directory" "$PWD/$next" "$next.* is not a regular file"
rmdir "$next"

history=00000004.history
for line in garbage '1' '4\t0/3000000\titself' '2\t0/3000000\tb\n1\t0/2000000\ta'; do
  printf "$line\n" >"$history"
  refused "a history file that PostgreSQL would not accept: $line" "$PWD/$history" "\"$history\" is damaged"
done
head -c 100000 /dev/zero >"$history"
refused "a history file of zeros" "$PWD/$history" "\"$history\" is damaged"
head -c 17M /dev/zero >"$history"
refused "a huge history file" "$PWD/$history" "\"$history\" has 17825792 bytes"
rm "$history"

for name in postgresql.conf "${last}x" "${last,,}a" "${last}.gz" 0000001.history "$last.partial.partial"; do
  cp "$good" "$name"
  refused "a name that is no WAL file's: $name" "$PWD/$name" "\"$name\" is not the name of a WAL file"
done

story "a history file as PostgreSQL would read it is welcome, comments, blank lines and all"
printf '# made by hand\n\n 1 0/3000000 spaces\n2\t0/A000000\tbefore 2000-01-01 00:00:00+00\n' >"$PWD/$history"
expect_status 0 archive main "$PWD/$history"
rm "$history"

story "the complete segment itself is still welcome"
expect_status 0 archive main "pg_wal/$last"
expect_fetched main "$last" "$good"
expect_no_leftovers main
