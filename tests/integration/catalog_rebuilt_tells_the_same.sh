#!/bin/bash
# Every question gets the same answer, byte by byte, whatever the state directory holds: a catalog that
# grew, one that was rebuilt, one that is old, the journal alone, or nothing.
source "$(dirname "$0")/lib.sh"

moment() { sql main 'SELECT clock_timestamp()'; }
a_point() { sql main "SELECT pg_create_restore_point('$1')"; }
commit() { sql main "INSERT INTO log VALUES ('$1') RETURNING xmin"; }
current_segment() { sql main 'SELECT pg_walfile_name(pg_current_wal_insert_lsn())'; }

# take: a backup, which takes the journal into the catalog; all that the journal ever had is kept aside.
JOURNALS=0
keep_journal() {
  [[ ! -f $WORK/main/state/journal ]] || ln "$WORK/main/state/journal" "$WORK/journals/$((++JOURNALS))"
}
take() {
  keep_journal
  backup main "$@"
}

mkdir "$WORK/journals" "$WORK/states" "$WORK/answers"
new_cluster main --wal-segsize=1
settings main 'fsync = off' 'track_commit_timestamp = on'
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (word text); CREATE TABLE emptied AS SELECT 1 AS n; CREATE TABLE gone AS SELECT 1 AS n'
pitr main map >/dev/null
before=$(moment)
commit 1 >/dev/null
take
first=$BACKUP
early=$(moment)
xid=$(commit 2)
a_point one >/dev/null
a_point twice >/dev/null
fill main 3000
switch_and_wait main
lost=$SEGMENT
lost_lsn=$(a_point lost)
fill main 2000
switch_and_wait main
[[ $lost < $SEGMENT ]] || fail "no segment to lose"
a_moment=$(moment)
take --label second
second=$BACKUP
sql main 'DROP TABLE gone'
sql main 'TRUNCATE emptied'
aborted=$(sql main "BEGIN; INSERT INTO log VALUES ('never') RETURNING xmin; ROLLBACK" | sed -n 1p)
sub=$(sql main "BEGIN; INSERT INTO log VALUES ('top'); SAVEPOINT a; INSERT INTO log VALUES ('sub') RETURNING xmin; COMMIT" | sed -n 1p)
a_point twice >/dev/null
middle=$(moment)
switch_and_wait main
sql main "SELECT pg_logical_emit_message(true, 'long', repeat('x', 2500000))" >/dev/null # over segments
long_lsn=$(a_point long)
switch_and_wait main

story "timeline 1 ends in a tail and in a partial segment; timeline 2 goes on"
commit 3 >/dev/null
sql main CHECKPOINT
mkdir "$WORK/tail"
cp "$WORK/main/data/pg_wal/$(current_segment)" "$WORK/tail/"
expect_status 0 archive main "$WORK/tail/$(current_segment)"
on_first=$(moment)
fill main 20
crash main # a server that is stopped ends its segment first
touch "$WORK/main/data/standby.signal"
start main
promote main
wait_until 30 "the end of recovery" out_of_recovery main
commit 4 >/dev/null
a_point second_timeline >/dev/null
switch_and_wait main
for kind in partial tail; do
  [[ -n $(stored main "*.$kind*") ]] || fail "no $kind is stored: $(repository_files main)"
done
on_second=$(moment)
take --label third
sql main 'CREATE DATABASE passing'
sql main 'DROP DATABASE passing'
last_xid=$(commit 5)
switch_and_wait main
late=$(moment)
lost_place=$(dirname "$(stored main "$lost")")
mv "$lost_place/$lost" "$WORK/"

cat >"$WORK/questions" <<END
restore
restore --until-gap
restore --timeline 1
restore --timeline 1 --until-gap
restore --backup $second
restore --target-immediate
restore --target-immediate --backup $first
restore --target-time '$before'
restore --target-time '$a_moment'
restore --target-time '$middle'
restore --target-time '$middle' --timeline 1
restore --target-time '$on_first' --timeline 1
restore --target-time '$on_first' --timeline 1 --strict
restore --target-time '$on_second' --timeline 1
restore --target-time '$late'
restore --target-xid $xid
restore --target-xid $aborted
restore --target-xid $sub
restore --target-xid $sub --backup $second
restore --target-xid $last_xid
restore --target-xid $last_xid --backup $first
restore --target-lsn $lost_lsn
restore --target-lsn $long_lsn
restore --target-lsn $long_lsn --exclusive --timeline 1
restore --target-name one
restore --target-name twice
restore --target-name twice --backup $second
restore --target-name long
restore --target-name second_timeline
restore --target-name later
restore --target-name later --backup $second
restore --before-drop gone
restore --before-drop passing
restore --before-drop nothing
info
history
history --from '$a_moment'
history --from '$early' --to '$middle'
END

# answers NAME STATE: what is said when the state directory is $WORK/STATE.
answers() {
  local question status
  while read -r question; do
    local words=()
    eval "words=($question)"
    [[ ${words[0]} != restore ]] || words+=(--dry-run)
    status=0
    PITR_STATE_DIRECTORY=$WORK/$2 pitr main "${words[@]}" --json --log-level error \
      >"$OUT" 2>"$ERR" || status=$?
    [[ $status == 0 || $status == 3 ]] || fail "$question: status $status, $(cat "$ERR")"
    printf '%s\nstatus %s\n' "$question" "$status"
    cat "$OUT"
  done <"$WORK/questions" | sed -E 's/"generated_at": *"[^"]*"//' >"$WORK/answers/$1"
}

# same NAME OTHER…: as the first one.
same() {
  local other
  for other in "${@:2}"; do
    diff "$WORK/answers/$1" "$WORK/answers/$other" >"$WORK/difference" ||
      fail "$1 and $other tell different things: $(grep -c '^<' "$WORK/difference") lines, $(cut -c 1-1500 "$WORK/difference" | head -n 12)"
  done
}
# has_catalog STATE yes|no
has_catalog() {
  expect_equal "$2" "$([[ -e $WORK/$1/catalog ]] && echo yes || echo no)" "a catalog in $1"
}

story "a catalog that grew, one that was rebuilt, none, the journal alone"
mkdir "$WORK/states/none" "$WORK/states/journal"
keep_journal
cat "$WORK"/journals/* >"$WORK/states/journal/journal"
cp -a "$WORK/main/state" "$WORK/states/rebuilt"
PITR_STATE_DIRECTORY=$WORK/states/rebuilt expect_status 0 pitr main catalog rebuild
answers none states/none
answers grown main/state
answers rebuilt states/rebuilt
answers journal states/journal
has_catalog main/state yes
has_catalog states/rebuilt yes
has_catalog states/none no
has_catalog states/journal no
same none grown rebuilt journal
for word in '"wal_gap"' '"subtransaction"' '"restore_point_not_found"' '"drop_database"' '"truncate"' '"reachable": *true'; do
  grep -qE "$word" "$WORK/answers/none" || fail "the answers do not have $word: they tell too little"
done

story "two seconds later the catalog sums logs up"
sleep 2.1
cp -a "$WORK/states/rebuilt" "$WORK/states/summed"
PITR_STATE_DIRECTORY=$WORK/states/summed expect_status 0 pitr main catalog rebuild
answers summed states/summed
same none summed

story "more is archived: the catalog is old by now, and so are its sums"
a_point later >/dev/null
commit 6 >/dev/null
switch_and_wait main
fill main 5000
sql main 'DROP TABLE log'
switch_and_wait main
answers none.2 states/none
answers grown.2 main/state
answers summed.2 states/summed
same none.2 grown.2 summed.2
if cmp -s "$WORK/answers/none" "$WORK/answers/none.2"; then fail "nothing new was told: the test has no teeth"; fi
sleep 2.1
answers grown.3 main/state
answers summed.3 states/summed
same none.2 grown.3 summed.3

story "the lost segment is back, and a backup brings the catalog up to date"
mv "$WORK/$lost" "$lost_place/"
take
sleep 2.1
answers none.4 states/none
answers grown.4 main/state
same none.4 grown.4
if grep -q '"wal_gap"' "$WORK/answers/none.4"; then fail "there is still a gap"; fi
