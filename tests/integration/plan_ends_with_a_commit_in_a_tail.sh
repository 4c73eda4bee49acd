#!/bin/bash
# The archive ends in the tail of a segment, right behind a commit that begins in an earlier segment: the
# plan knows that commit, and the server has it. So it is after a failover, or where a half-filled segment
# was pushed.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

rows() { sql "$1" "SELECT string_agg(word, ' ' ORDER BY word) FROM log"; }
moment() { sql main 'SELECT clock_timestamp()'; }
records() {
  local segments
  mapfile -t segments < <(find "$WORK/main/data/pg_wal" -regextype posix-extended -regex '.*/00000001[0-9A-F]{16}' -printf '%f\n' | sort)
  pg_waldump -p "$WORK/main/data/pg_wal" "$@" "${segments[0]}" "${segments[-1]}" 2>/dev/null || :
}
lsn_of() { sed -E 's|.*lsn: ([0-9A-F]+)/0*([0-9A-F]+),.*|\1/\2|'; }
segment_of() { printf '00000001%08X%08X\n' $((16#${1%/*})) $((16#${1#*/} >> 20)); }

# ends_behind XID: the archive ends right behind that commit, in a tail. COMMIT is where the commit begins,
# SEGMENT the segment of the tail.
ends_behind() {
  local end
  COMMIT=$(records -x "$1" -r Transaction | grep -m 1 'desc: COMMIT' | lsn_of)
  end=$(records | cut -c 1-200 | grep -A 1 -E "lsn: ${COMMIT%/*}/0*${COMMIT#*/}," | tail -n 1 | lsn_of)
  SEGMENT=$(segment_of "$end")
  [[ $(segment_of "$COMMIT") < $SEGMENT ]] || fail "the commit at $COMMIT ends in its own segment: the test has no teeth"
  wait_until 30 "the segment before" archived_up_to main "$(segment_after "$SEGMENT" -1)"
  rm -rf "$WORK/tail"
  mkdir "$WORK/tail"
  head -c $((16#${end#*/} & 0xFFFFF)) "$WORK/main/data/pg_wal/$SEGMENT" >"$WORK/tail/$SEGMENT"
  truncate -s 1M "$WORK/tail/$SEGMENT"
  expect_status 0 archive main "$WORK/tail/$SEGMENT"
  [[ -n $(stored main "$SEGMENT.tail*") && -z $(stored main "$SEGMENT") ]] || fail "not stored as a tail"
}

# known XID OPTIONS…: the plan's last commit is that one, and what is read of the WAL ends in the tail.
known() {
  local xid=$1
  shift
  expect_status 0 pitr main restore --dry-run --json "$@"
  expect_equal "end_of_wal $xid $COMMIT $SEGMENT" "$(json "$OUT" \
    '"%s %s %s %s" % (d["stops_at"]["kind"], d["commit_before"]["xid"], d["commit_before"]["lsn"], d["last_segment"])')" \
    "what the plan of ${*:-the end of the WAL} knows"
}

# has_it COPY ROWS TIME: the servers recovered to that time, and to the end of the WAL, have the commit.
has_it() {
  restore_into main "$1" --target-time "$3" --archive-mode off
  recovered "$1"
  expect_equal "$2" "$(rows "$1")" "rows at a time after the last commit"
  crash "$1"
  restore_into main "$1_end" --archive-mode off
  start_copy "$1_end"
  wait_until 30 "the end of recovery" out_of_recovery "$1_end"
  expect_equal "$2" "$(rows "$1_end")" "rows at the end of the WAL"
  crash "$1_end"
}

new_cluster main --wal-segsize=1
settings main 'fsync = off'
pitr main init >/dev/null
start main
# The next record begins `gap` bytes before the end of its segment. (As in index_equals_pg_waldump.sh.)
sql main "CREATE FUNCTION steer(gap int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
  here bigint;
  target bigint;
  room bigint;
BEGIN
  FOR attempt IN 1..3 LOOP
    here := pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0');
    target := (here / 1048576 + 1) * 1048576 - gap;
    room := target - here - 24 * ((target - 1) / 8192 - here / 8192); -- without the pages' headers
    IF room = 0 THEN RETURN; END IF;
    IF room < 54 + 256 THEN
      PERFORM pg_logical_emit_message(false, '', repeat('-', gap + 512));
    ELSE
      PERFORM pg_logical_emit_message(false, '', repeat('-', (room - 54)::int));
    END IF;
  END LOOP;
END \$\$"
sql main 'CREATE TABLE log (word text); CREATE UNLOGGED TABLE unlogged (row int)'
sql main "INSERT INTO log VALUES ('1')"
backup main
sql main "INSERT INTO log VALUES ('2')"

story "a commit of 34 bytes, of which 16 lie in the segment before"
xid=$(sql main "BEGIN; INSERT INTO log VALUES ('3') RETURNING xmin; SELECT steer(16); COMMIT" | sed -n 1p)
sleep 0.02
now=$(moment)
sleep 0.02
sql main "INSERT INTO log VALUES ('4')"
ends_behind "$xid"
known "$xid" --target-time "$now"
known "$xid"
known "$xid" --timeline 1
has_it short "1 2 3" "$now"
expect_status 0 pitr main restore --dry-run --json --target-xid "$xid"
expect_equal "commit $xid" "$(json "$OUT" '"%s %s" % (d["stops_at"]["kind"], d["stops_at"]["xid"])')" "the transaction itself"
