#!/bin/bash
# A call archives waiting segments besides its own: in the order of the WAL, never instead of its own,
# and whatever is wrong with them is left to their own calls.
source "$(dirname "$0")/lib.sh"

export PITR_ARCHIVE_LOOK_AHEAD_TIME=30s # what is looked ahead to must not depend on the machine's mood
new_cluster main --wal-segsize=1
# The names go from one folder of the repository into the next.
as_postgres "$PG_BIN/pg_resetwal" -D "$WORK/main/data" -l 000000010000000000000FF6 >/dev/null
pitr main init >/dev/null
settings main "archive_command = 'false'"
start main
for ((i = 0; i < 34; i++)); do
  fill main 200
  switch main
done
stop main immediate
mapfile -t segments < <(status_files main ready | grep -E '^[0-9A-F]{24}$')
((${#segments[@]} == 34)) || fail "${#segments[@]} segments wait"
expect_equal "000000010000000000000FFF 000000010000000100000000" "${segments[*]:9:2}" "names at the border"
wal=$WORK/main/data/pg_wal
waiting=$(status_files main ready)

# expect_stored N: the first N segments, and no other.
expect_stored() {
  diff <(printf '%s\n' "${segments[@]:0:$1}") <(stored_segments) >&2 || fail "not the first $1 segments"
}
stored_segments() { find "$WORK/main/repository" -type f -printf '%f\n' | grep -E '^[0-9A-F]{24}$' | sort; }
# call N: for the segment of that index.
call() { archive main "pg_wal/${segments[$1]}"; }
noted() { grep -a -o PRJ1 "$WORK/main/state/journal" | wc -l; }

story "off, and for a path that is not PostgreSQL's: only what was asked for"
PITR_ARCHIVE_LOOK_AHEAD=0 expect_status 0 call 0
expect_stored 1
expect_status 0 archive main "$wal/${segments[1]}"
expect_stored 2
rescued() { (cd "$WORK/main/data" && as_postgres "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" --rescued "$1"); }
expect_status 0 rescued "pg_wal/${segments[2]}"
expect_stored 3

story "the following ones are archived in the same call and noted for the catalog; not more than configured"
PITR_ARCHIVE_LOOK_AHEAD=4 expect_status 0 call 3
expect_no_error .
expect_stored 8
expect_equal 8 "$(noted)" "records of the journal"
expect_equal "$waiting" "$(status_files main ready)" "what waits, for PostgreSQL"

story "from one folder into the next, with and without io_uring"
PITR_ARCHIVE_LOOK_AHEAD=3 PITR_IO_RING=off expect_status 0 call 8
expect_stored 12
for segment in "${segments[@]:0:12}"; do expect_fetched main "$segment" "$wal/$segment"; done
expect_no_leftovers main

story "their own calls compare, and add nothing"
remember_repository main
for ((i = 0; i < 12; i++)); do
  PITR_ARCHIVE_LOOK_AHEAD=9 expect_status 0 call "$i"
  expect_no_error .
done
expect_repository_unchanged main
cp "$wal/${segments[5]}" "$WORK/kept"
printf x | dd of="$wal/${segments[5]}" bs=1 seek=60000 conv=notrunc status=none
expect_status 1 call 5
expect_error '^ERROR: .*stored already with other contents'
cp "$WORK/kept" "$wal/${segments[5]}"
expect_repository_unchanged main

# left_alone WHAT command…: done to the second one ahead, it is not archived, nor are those behind it.
left_alone() {
  local what=$1 next=$asked file=$wal/${segments[asked + 2]}
  shift
  story "$what is left to its own call, and what is behind it too"
  cp -p "$file" "$WORK/kept"
  "$@" "$file"
  expect_status 0 call "$next"
  expect_no_error .
  expect_stored $((next + 2))
  rm -f "$file"
  cp -p "$WORK/kept" "$file"
  asked=$((asked + 2))
}
asked=12
cut_short() { truncate -s 500000 "$1"; }
zeros() { dd if=/dev/zero of="$1" bs=1M count=1 conv=notrunc status=none; }
of_another_cluster() { printf 'xx' | dd of="$1" bs=1 seek=24 conv=notrunc status=none; }
damage() { printf 'xx' | dd of="$1" bs=1 seek=12000 conv=notrunc status=none; }
no_more_written() { dd if=/dev/zero of="$1" bs=8192 seek=1 count=127 conv=notrunc status=none; }
pipe() { rm "$1" && mkfifo "$1"; }
unreadable() { chmod 000 "$1"; }
no_file() { rm "$1"; }
not_ready() { mv "$wal/archive_status/${segments[asked + 2]}.ready" "$WORK/ready"; }
left_alone "a segment that is cut short" cut_short
left_alone "a segment without a header" zeros
left_alone "a segment of another cluster" of_another_cluster
left_alone "a segment with a damaged record" damage
left_alone "a segment that is not written to its end" no_more_written
left_alone "a pipe under a segment's name" pipe
left_alone "a segment that may not be read" unreadable
left_alone "a segment that is not there" no_file
left_alone "a segment that is not ready" not_ready
mv "$WORK/ready" "$wal/archive_status/${segments[asked]}.ready"
expect_no_leftovers main

story "the server archives the rest with look-ahead, without a failure"
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
start main
switch_and_wait main
wait_until 20 "everything archived" nothing_to_archive main
expect_equal 0 "$(archiver main failed_count)" "failed_count"
mapfile -t segments < <(archived_files main | grep -E '^[0-9A-F]{24}$')
expect_stored "${#segments[@]}"
expect_equal "${#segments[@]}" "$(noted)" "records of the journal"
for segment in "${segments[@]:12}"; do expect_fetched main "$segment" "$wal/$segment"; done
expect_status 0 pitr main verify --wal
