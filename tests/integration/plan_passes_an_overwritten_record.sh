#!/bin/bash
# A server that died within a large record, and goes on behind its beginning: later targets are reached
# across it, on the same timeline and on one that begins there. And records over many segments right
# before the target: the plan's last segment is the one where the last record that is read ends.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

moment() { sql main 'SELECT clock_timestamp()'; }
# commit TEXT: XID is the transaction's id.
commit() {
  sleep 0.02
  XID=$(sql main "INSERT INTO log VALUES ('$1') RETURNING xmin")
  sleep 0.02
}
rows() { sql "$1" "SELECT string_agg(word, ' ' ORDER BY word) FROM log"; }
current_segment() { sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())'; }
not_running() { ! running "$1"; }

# die_within_a_record: a folder lies where the server wants to make a segment, three or more ahead: some
# may have been made ready for later use.
die_within_a_record() {
  local here pitfall ahead=3
  here=$WORK/main/data/pg_wal/$(current_segment)
  while [[ -e ${here%/*}/$(segment_after "${here##*/}" $ahead) ]]; do ahead=$((ahead + 1)); done
  pitfall=${here%/*}/$(segment_after "${here##*/}" $ahead)
  mkdir "$pitfall"
  if sql main "SELECT pg_logical_emit_message(true, 'torn', repeat('x', 1048576 * ($ahead + 2)))" 2>/dev/null; then
    fail "the server made a segment where there is a folder"
  fi
  wait_until 30 "the server is dead" not_running main
  rmdir "$pitfall"
}

# records [options]: those of timeline 1, as PostgreSQL's own tool reads them.
records() {
  local segments
  mapfile -t segments < <(find "$WORK/main/data/pg_wal" -regextype posix-extended -regex '.*/00000001[0-9A-F]{16}' -printf '%f\n' | sort)
  pg_waldump -p "$WORK/main/data/pg_wal" "$@" "${segments[0]}" "${segments[-1]}" 2>/dev/null || :
}
lsn_of() { sed -E 's|.*lsn: ([0-9A-F]+)/0*([0-9A-F]+),.*|\1/\2|'; }
# message PREFIX: where that one is. NEXT is where the next record is.
message() {
  LSN=$(records -r LogicalMessage | grep "prefix \"$1\"" | lsn_of)
  [[ $LSN ]] || fail "there is no message \"$1\""
  NEXT=$(records | grep -A 1 -E "lsn: ${LSN%/*}/0*${LSN#*/}," | tail -n 1 | lsn_of)
}

# planned OPTIONS…: the plan, in $WORK/plan; LAST is its last segment.
planned() {
  expect_status 0 pitr main restore --dry-run --json "$@"
  expect_json "$OUT"
  cp "$OUT" "$WORK/plan"
  LAST=$(json "$OUT" 'd["last_segment"]')
}

# comes_true COPY ROWS OPTIONS…: the server stops where the plan says, and reads no segment behind the last.
comes_true() {
  local copy=$1 expected=$2 fetched
  shift 2
  story "$*"
  planned "$@"
  restore_into main "$copy" "$@" --recovery-option recovery_prefetch=off --archive-mode off
  recovered "$copy"
  expect_equal "$expected" "$(rows "$copy")" "rows"
  grep -q 'recovery stopping' "$WORK/$copy/server.log" || fail "it did not stop at a target"
  fetched=$(sed -nE 's/.*restored log file "([0-9A-F]{24})".*/\1/p' "$WORK/$copy/server.log" | sort | tail -n 1)
  expect_equal "$LAST" "$fetched" "the last segment of the plan, and the last that PostgreSQL asked for"
  stop "$copy" immediate
  rm -rf "${WORK:?}/$copy" || rm -rf "${WORK:?}/$copy" # its prefetcher may be leaving still
}

new_cluster main --wal-segsize=1
settings main 'fsync = off' 'restart_after_crash = off'
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (word text)'
commit 1
backup main
commit 2
die_within_a_record
start main
commit 3
xid=$XID
after_torn=$(moment)
sql main "SELECT pg_create_restore_point('behind')" >/dev/null
commit 4
[[ $(records | grep -c OVERWRITE_CONTRECORD) == 1 ]] || fail "no record was overwritten: the test has no teeth"

# A large record, and at once a commit: nothing else lies between.
sql main "BEGIN; INSERT INTO log VALUES ('5'); SELECT pg_logical_emit_message(false, 'large', repeat('y', 5000000)); COMMIT" >/dev/null
sleep 0.02
after_large=$(moment)
commit 6
switch_and_wait main
message large
large=$LSN behind_large=$NEXT

story "nothing is damaged, nothing is missing"
expect_status 0 pitr main info --json
expect_equal "[] []" "$(json "$OUT" '"%s %s" % (d["clusters"][0]["problems"], d["clusters"][0]["timelines"][0]["gaps"])')" "problems and gaps"

comes_true time "1 2 3" --target-time "$after_torn"
comes_true before "1 2" --before-xid "$xid"
comes_true large "1 2 3 4 5" --target-time "$after_large"
comes_true inside "1 2 3 4" --target-lsn "$large" # the commit is in the next record

story "the plan's last segment, where PostgreSQL needs no server to say it"
# segment_of LSN, on timeline 1
segment_of() { printf '00000001%08X%08X\n' $((16#${1%/*})) $((16#${1#*/} >> 20)); }
planned --target-lsn "$large" --exclusive # the record is read to its end before that is known
expect_equal "$(segment_of "$behind_large")" "$LAST" "the segment where the large record ends"
planned --target-name behind
expect_equal restore_point "$(json "$WORK/plan" 'd["stops_at"]["kind"]')" "stops at"

story "the server dies within a record again, and another timeline begins there"
commit 7
die_within_a_record
touch "$WORK/main/data/standby.signal"
start main
promote main
wait_until 30 "the end of recovery" out_of_recovery main
commit 8
after_fork=$(moment)
commit 9
switch_and_wait main
fork=$(cut -f 2 "$WORK/main/data/pg_wal/00000002.history")
[[ -n $(stored main "$(segment_after "$(segment_of "$fork")")") ]] || fail "the segments of the torn record are not stored"
comes_true fork "1 2 3 4 5 6 7 8" --target-time "$after_fork"
comes_true parent "1 2 3 4 5 6 7" --target-time "$after_fork" --timeline 1

story "the end of the timeline that ends within a record"
restore_into main end --timeline 1 --archive-mode off
start_copy end
wait_until 30 "the end of recovery" out_of_recovery end
expect_equal "1 2 3 4 5 6 7" "$(rows end)" "rows"
expect_sound end
