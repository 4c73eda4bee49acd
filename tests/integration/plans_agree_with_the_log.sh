#!/bin/bash
# Many plans at random, for targets of every kind, say what follows from the log of commits that was
# kept outside of the server and from what pg_waldump reads: whether a moment can be reached and why
# not, from which backup, on which timeline, after which commit. Nothing of that comes from pitr.
#
# The history has three timelines, a clock that was put back, so that commits are in another order than
# their times, restore points of the same name, an hour in which nothing happens, and a backup taken in it.
# Then segments are missing.
#
# Some plans, on every timeline and around a gap, are carried out by real servers: they stop where the plan
# says, with the rows of the log.
#
#     SEED=N PLANS=N   repeat a run; ask for more plans (1000, about half of them with gaps)
#     CARRIED=N        how many are carried out (9; LONG=1: 60)
source "$(dirname "$0")/truth_lib.sh"
PLANS=${PLANS:-1000}
CARRIED=${CARRIED:-$((${LONG:-0} == 1 ? 60 : 9))}

# take SERVER LABEL: a backup, and what PostgreSQL notes of it.
take() {
  local before after
  before=$(server_time "$1")
  backup "$1" --label "$2"
  after=$(server_time "$1")
  {
    cat "$(grep -l "^LABEL: $2\$" "$WORK/$1"/data/pg_wal/*.backup)"
    printf 'BEGUN AFTER: %s\nENDED BEFORE: %s\n' "$before" "$after"
  } >"$TRUTH/$BACKUP.backup"
}
server_time() { sql "$1" 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint'; }

# goes_on: the recovered server is promoted, archives into the same repository and is the cluster now.
goes_on() {
  pitr_config "$RECOVERED" main
  cp "$WORK/$RECOVERED/pitr.toml" "$WORK/main/pitr.toml" # which archive_command and restore read
  promote "$RECOVERED"
  wait_until 30 "the promotion" out_of_recovery "$RECOVERED"
}

# branch N KIND VALUE: timeline N begins at that moment of timeline 1, in the server RECOVERED.
branch() {
  plan pause "$2" "$3" --timeline 1
  restored --archive-mode preserve
  settled pause
  compared pause
  goes_on
  forked "$RECOVERED" "$1"
}

# busy SERVER TIMELINE PORTIONS NAME: work, with restore points, in several segments.
busy() {
  local i
  for ((i = 1; i <= $3; i++)); do
    work "$1" "$2" 50 --points "$4$i"
    sql "$1" 'SELECT pg_switch_wal()' >/dev/null
  done
}

hour=3600000 # all in the past, so that it need not be waited for
clock_that_can_be_set
export LD_PRELOAD=$WORK/skew.so
skew $((-5 * hour)) # initdb commits, too
truth_cluster main
settings main "archive_command = 'env -u LD_PRELOAD $PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
pitr main init >/dev/null
skew 0 # pg_ctl waits for a server that was started now
start main
unset LD_PRELOAD
skew $((-5 * hour))
truth_table main
work main 1 40
work main 1 120 --points a & # while the backup is taken
take main first
wait $! || fail "the workload beside the backup"
begin=$(insert_lsn main)
busy main 1 2 b
sql main "SELECT pg_create_restore_point('twice')" >/dev/null
work main 1 30
middle=$(insert_lsn main)

story "nothing happens for an hour, but for a backup"
switch_and_wait main
sql main CHECKPOINT
before_idle=$SEGMENT
skew $((-5 * hour + hour / 2))
take main idle
skew $((-4 * hour))
busy main 1 2 c
sql main "SELECT pg_create_restore_point('twice')" >/dev/null
skew $((-4 * hour - hour / 10)) # back into that hour, and another backup
work main 1 50
switch_and_wait main
sql main CHECKPOINT
before_back=$SEGMENT
take main back
after_back=$(insert_lsn main)
skew $((-4 * hour))
work main 1 100
archived main 1
end=$(insert_lsn main)
work main 1 20 # never archived
crash main

story "timeline 2 forks off in the middle, timeline 3 later off timeline 1"
pick commit 1 "$begin" "$middle"
branch 2 xid "$XID"
take "$RECOVERED" fork # before the timeline has a commit of its own
busy "$RECOVERED" 2 2 d
archived "$RECOVERED" 2
stop "$RECOVERED"
pick commit 1 "$middle" "$end"
branch 3 lsn "$LSN"
work "$RECOVERED" 3 60
take "$RECOVERED" third
busy "$RECOVERED" 3 2 e
archived "$RECOVERED" 3
stop "$RECOVERED"
[[ -z $(stored main '*partial*') ]] || fail "a partial segment is stored: the oracle does not know it"

# agree COUNT [options of truth.py plans]
agree() {
  local count=$1
  shift
  truth plans --config "$WORK/main/pitr.toml" --seed "$SEED $*" --count "$count" "$@" ||
    DISAGREEMENTS=$((DISAGREEMENTS + 1))
}
DISAGREEMENTS=0

story "all WAL is there"
agree $((PLANS / 2)) --expect reachable before_backup in_the_future after_last_commit after_end xid_not_found \
  subtransaction restore_point_not_found no_backup

# agree_without SEGMENT…: while they are not stored.
agree_without() {
  local segment folders=()
  for segment in "$@"; do
    folders+=("$(dirname "$(stored main "$segment")")")
    mv "${folders[-1]}/$segment" "$WORK/"
  done
  agree $((PLANS / 10)) --expect reachable --missing "$@"
  for segment in "$@"; do
    mv "$WORK/$segment" "${folders[0]}/"
    folders=("${folders[@]:1}")
  done
}

# stored_on TIMELINE: its segments.
stored_on() {
  find "$WORK/main/repository" -type f -regextype posix-extended -regex ".*/0000000$1[0-9A-F]{16}" -printf '%f\n' | sort
}
RANDOM=$SEED
mapfile -t first < <(stored_on 1)
mapfile -t others < <(stored_on 2; stored_on 3)

story "without the last commits before the hour: $before_idle"
agree_without "$before_idle"

story "without the last commits of the clock that was put back: $before_back"
agree_without "$before_back"

segment=${first[RANDOM % (${#first[@]} - 1)]}
story "without $segment"
agree_without "$segment"

segments=("${first[@]:1 + RANDOM % (${#first[@]} - 2)}")
story "without ${segments[*]}"
agree_without "${segments[@]}"

segment=${others[RANDOM % ${#others[@]}]}
story "without $segment"
agree_without "$segment"

((DISAGREEMENTS == 0)) || fail "plans and log do not agree"

# carry_out NUMBER KIND [options]: the plan for the commit that was picked last.
carry_out() {
  local number=$1 kind=$2 value actions=(pause promote shutdown)
  shift 2
  case $kind in
    time) value=$(at "$TIME") ;;
    xid) value=$XID ;;
    lsn) value=$LSN ;;
  esac
  if ((number % 2)); then set -- "$@" --exclusive; fi
  recovery "${actions[number / 2 % 3]}" "$kind" "$value" "$@"
  gone
}

story "carried out on each of the three timelines"
kinds=(time xid lsn)
for ((i = 0; i < CARRIED * 2 / 3; i++)); do
  timeline=$((1 + i % 3))
  if ((timeline == 1)); then pick commit 1 "$begin" "$end"; else pick commit $timeline "$(fork_of $timeline)"; fi
  carry_out "$i" "${kinds[i / 3 % 3]}" --timeline $timeline
done

story "carried out with a gap between the backups: before it and behind it"
kept=$(dirname "$(stored main "$before_back")")
mv "$kept/$before_back" "$WORK/"
for ((i = 0; i < CARRIED / 3; i++)); do
  if ((i % 2)); then pick commit 1 "$begin" "$middle"; else pick commit 1 "$after_back" "$end"; fi
  carry_out $((i / 2)) "${kinds[1 + i % 4 / 2]}" --timeline 1
done
mv "$WORK/$before_back" "$kept/"
