#!/bin/bash
# A transaction with more than 64 subtransactions is open while the backup is taken: PostgreSQL cannot
# begin hot standby there, and promotes where it was told to pause. The plan warns exactly where that
# happens; --action shutdown ends with the target's rows. Once the overflow is over the server pauses.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

# open_transaction NAME: a session of that name opens one, with 80 subtransactions, and keeps it open.
# PostgreSQL remembers 64 of a backend's in shared memory: PGPROC_MAX_CACHED_SUBXIDS.
declare -A SESSIONS
open_transaction() {
  local session i
  mkfifo "$WORK/$1.sql"
  "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$WORK/main" -p 5432 -U postgres -d postgres \
    <"$WORK/$1.sql" >"$WORK/$1.out" 2>&1 &
  exec {session}>"$WORK/$1.sql"
  SESSIONS[$1]=$session
  {
    echo "BEGIN; INSERT INTO log VALUES ('$1');"
    for i in {1..80}; do echo "SAVEPOINT s$i; INSERT INTO many VALUES ($i);"; done
    echo '\echo open'
  } >&"$session"
  wait_until 20 "80 subtransactions" grep -q open "$WORK/$1.out"
}

# end_transaction NAME: it commits.
end_transaction() {
  local session=${SESSIONS[$1]}
  printf 'COMMIT;\n\\echo ended\n' >&"$session"
  wait_until 20 "the commit" grep -q ended "$WORK/$1.out"
  exec {session}>&-
}

commit() {
  sql main "INSERT INTO log VALUES ('$1')"
  sleep 0.02
}
# a_moment NAME: moment_NAME is now, between two commits.
a_moment() {
  sleep 0.02
  printf -v "moment_$1" '%s' "$(sql main 'SELECT clock_timestamp()')"
  sleep 0.02
}
rows() { sql "$1" "SELECT string_agg(word, ' ' ORDER BY word) FROM log"; }

new_cluster main --wal-segsize=1
settings main 'fsync = off'
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (word text); CREATE TABLE many (n int)'
commit 1
open_transaction x
backup main
commit 2
a_moment open
commit 3
end_transaction x
a_moment over   # but no list of running transactions has said so
commit 4
open_transaction y # all of whose subtransactions are younger than what overflowed before
sql main CHECKPOINT
commit 5
a_moment younger
commit 6
end_transaction y
sql main CHECKPOINT
commit 7
a_moment listed
commit 8
switch_and_wait main
stop main

# planned NAME: the plan for moment_NAME. WARNED is yes where it warns that the server cannot pause.
planned() {
  local moment=moment_$1
  expect_status 0 pitr main restore --dry-run --target-time "${!moment}"
  WARNED=no
  if grep -qE 'WARNING: .*hot standby is not active.*--action shutdown' "$ERR"; then WARNED=yes; fi
}

# restored NAME COPY ACTION: the directory for moment_NAME.
restored() {
  local moment=moment_$1
  restore_into main "$2" --target-time "${!moment}" --action "$3" --archive-mode off
}

not_running() { ! running "$1"; }

# ends NAME COPY: HOW the server of the copy ends recovery, paused or promoted.
ends() {
  restored "$1" "$2" pause
  start_copy "$2"
  wait_until 30 "the pause or the end of recovery" sql "$2" \
    "SELECT 1 / (NOT pg_is_in_recovery() OR pg_is_wal_replay_paused())::int"
  HOW=promoted
  if in_recovery "$2"; then HOW=paused; fi
}

story "open at the target: a warning, and PostgreSQL promotes indeed"
planned open
expect_equal yes "$WARNED" "a warning"
ends open promoted
expect_equal promoted "$HOW" "what the server does"
expect_equal "1 2" "$(rows promoted)" "rows"
crash promoted

story "a rehearsal goes on with the promoted copy, and says so"
scratch_space
expect_status 0 pitr main drill --json --target-time "$moment_open" --scratch "$SCRATCH" --bin-dir "$PG_BIN"
expect_equal "ok True" "$(json "$OUT" 'd["status"] + " " + str(d["promoted"])')" "the report"
nothing_is_left

story "--action shutdown: no warning, the server ends at the target, with its rows"
expect_status 0 pitr main restore --dry-run --target-time "$moment_open" --action shutdown
expect_no_error 'hot standby'
restored open shut shutdown
# pg_ctl may or may not see the server before it is gone.
"$PG_BIN/pg_ctl" start -D "$WORK/shut/data" -l "$WORK/shut/server.log" -w -t 30 -o "-k $WORK/shut" >/dev/null 2>&1 || :
wait_until 30 "the end of the server" not_running shut
grep -q 'shutdown at recovery target' "$WORK/shut/server.log" || fail "it did not end at its target"
"$PG_BIN/pg_controldata" "$WORK/shut/data" >"$WORK/controldata"
grep -qE 'state: +shut down in recovery' "$WORK/controldata" || fail "$(cat "$WORK/controldata")"
start_copy shut -c recovery_target_action=promote
wait_until 30 "the end of recovery" out_of_recovery shut
expect_equal "1 2" "$(rows shut)" "rows"
expect_sound shut

story "over, but nothing in the WAL has said so: the plan and the server agree"
planned over
ends over over
expect_equal "$([[ $HOW == promoted ]] && echo yes || echo no)" "$WARNED" "a warning, where the server $HOW"
expect_equal "1 2 3 x" "$(rows over)" "rows"
crash over

story "over, and listed: no warning, and the server pauses"
planned listed
expect_equal no "$WARNED" "a warning"
ends listed listed
expect_equal paused "$HOW" "what the server does"
expect_equal "1 2 3 4 5 6 7 x y" "$(rows listed)" "rows"
sql listed 'SELECT pg_wal_replay_resume()' >/dev/null
expect_sound listed

story "another one is open, younger than all that overflowed: the plan and the server agree"
planned younger
ends younger younger
expect_equal "$([[ $HOW == promoted ]] && echo yes || echo no)" "$WARNED" "a warning, where the server $HOW"
expect_equal "1 2 3 4 5 x" "$(rows younger)" "rows"
crash younger
