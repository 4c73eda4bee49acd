# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is for the tests
# Recovery against the truth: what the truth_*.sh tests share, on top of lib.sh.
#
# A workload writes down outside of the server what it committed (truth.py), and each recovery is
# compared with that, row by row, as are the plan before it and PostgreSQL's own words after it.
# Targets come from that log, some of them by chance: SEED=… repeats a run's choices.
#
#     $WORK/truth          the log
#     $WORK/rN             the N-th recovery: data, server.log, plan.json, …

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SEED=${SEED:-$((EPOCHSECONDS % 100000))}
export TRUTH=$WORK/truth
as_postgres mkdir -p "$TRUTH"
export PITR_RESTORE_RETRY_TIME=2s # for the restore_command of the servers started here
ORIGIN=main                       # the cluster whose configuration restores
RECOVERIES=0
RECOVERED=none
TABLESPACE= # the origin's, if it has one: each recovery gets its own
CHOICES=0
story "seed $SEED"

truth() { python3 "$TESTS/truth.py" "$@"; }

# truth_cluster NAME [initdb arguments]: small, with the settings that the log needs; not started.
truth_cluster() {
  local name=$1
  shift
  new_cluster "$name" --wal-segsize=1 "$@"
  settings "$name" "track_commit_timestamp = on" "max_prepared_transactions = 10" \
    "log_timezone = 'UTC'" "shared_buffers = '1MB'" "checkpoint_timeout = '1h'" \
    "max_connections = 30" "fsync = off" "max_worker_processes = 2" "max_wal_size = '1GB'" \
    "jit = off" "log_min_error_statement = panic"
}

truth_table() {
  sql "$1" "CREATE TABLE truth (id bigint PRIMARY KEY, version int NOT NULL, payload text NOT NULL)${2-}"
}

# work SERVER TIMELINE STEPS [options of truth.py run]
work() {
  local server=$1 timeline=$2 steps=$3
  shift 3
  CHOICES=$((CHOICES + 1))
  truth run --socket "$WORK/$server" --timeline "$timeline" --steps "$steps" \
    --seed "$SEED $timeline $CHOICES" "$@" || fail "workload"
}

# one SERVER TIMELINE SQL: a transaction that does that, too. XID is its id.
one() {
  CHOICES=$((CHOICES + 1))
  XID=$(truth one --socket "$WORK/$1" --timeline "$2" --also "$3" --seed "$SEED $CHOICES") ||
    fail "transaction: $3"
}

insert_lsn() { sql "$1" 'SELECT pg_current_wal_insert_lsn()'; }

# archived SERVER TIMELINE: all that happened is archived, and noted.
archived() {
  switch_and_wait "$1"
  truth ingest --data "$WORK/$1/data" --timeline "$2" --last "$SEGMENT" || fail "the log and the WAL differ"
}

# last_segment SERVER: of those in its own pg_wal.
last_segment() {
  find "$WORK/$1/data/pg_wal" -maxdepth 1 -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' \
    -printf '%f\n' | sort | tail -n 1
}

# forked SERVER TIMELINE: notes where PostgreSQL says that the timeline began.
forked() { truth fork --timeline "$2" --history "$WORK/$1/data/pg_wal/$(printf %08X "$2").history"; }

# fork_of TIMELINE: where that was.
fork_of() { python3 -c 'import json, sys
lsn = json.load(open(sys.argv[1]))["lsn"]
print("%X/%X" % (lsn >> 32, lsn & 0xFFFFFFFF))' "$TRUTH/$1.fork"; }

# pick WHAT TIMELINE [BEGIN [END]] [--gid yes|no]: an event of the log by chance.
# XID (or a restore point's name), TIME in microseconds and LSN are its.
pick() {
  local what=$1 timeline=$2 begin=0/0 end=7FFFFFFF/0
  shift 2
  if [[ ${1-} == */* ]]; then begin=$1 && shift; fi
  if [[ ${1-} == */* ]]; then end=$1 && shift; fi
  CHOICES=$((CHOICES + 1))
  truth pick "$what" --timeline "$timeline" --begin "$begin" --end "$end" --seed "$SEED" \
    --nth "$CHOICES" "$@" >"$WORK/picked" || fail "no $what on timeline $timeline"
  read -r XID TIME LSN <"$WORK/picked"
}

# lsn_of TRANSACTION TIMELINE: TIME and LSN are its commit's.
lsn_of() { pick commit "$2" --xid "$1"; }

# at MICROSECONDS: as a time for the command line.
at() { TZ=UTC printf '%(%Y-%m-%d %H:%M:%S)T.%06d+00' $(($1 / 1000000)) $(($1 % 1000000)); }

# lsn_before LSN: the byte before it.
lsn_before() { printf '%s/%X\n' "${1%/*}" $((16#${1#*/} - 1)); }

not_running() { ! running "$1"; }

# plan ACTION KIND VALUE [--exclusive] [--timeline N] [more options of restore]: what pitr says and
# what must be. RECOVERED is the recovery's name after.
plan() {
  local action=$1 kind=$2 value=$3 target=() truth_options=() home iso=$3
  shift 3
  RECOVERED=r$((++RECOVERIES))
  home=$WORK/$RECOVERED
  as_postgres mkdir "$home"
  case $kind in
    end) ;;
    immediate) target=(--target-immediate) ;;
    *) target=("--target-$kind" "$value") ;;
  esac
  [[ $kind != time ]] || iso="${value%+00} UTC"
  RESTORE_OPTIONS=("${target[@]}" --action "$action" "$@")
  while (($#)); do
    case $1 in
      --exclusive) truth_options+=("$1") ;;
      --timeline) if [[ $2 != latest ]]; then truth_options+=("$1" "$2"); fi ;;
      --backup) truth_options+=("$1" "$2") ;;
    esac
    shift
  done
  story "recovery $RECOVERIES: ${RESTORE_OPTIONS[*]}"
  expect_status 0 pitr "$ORIGIN" info --json
  mv "$OUT" "$home/info.json"
  expect_status 0 pitr "$ORIGIN" restore --dry-run --json "${RESTORE_OPTIONS[@]}"
  expect_json "$OUT"
  mv "$OUT" "$home/plan.json"
  truth expect --plan "$home/plan.json" --info "$home/info.json" --rows "$home/expected.rows" \
    --out "$home/expected.json" --kind "$kind" --value "$iso" "${truth_options[@]}" >"$WORK/found" ||
    fail "the plan is not right:
$(cat "$WORK/found")
  plan: $(cat "$home/plan.json")"
}

# The data directory of the plan, as PostgreSQL's own tool likes it. Arguments: more options.
restored() {
  local data=$WORK/$RECOVERED/data
  if [[ $TABLESPACE ]]; then set -- "$@" --tablespace "$TABLESPACE=$WORK/$RECOVERED/space"; fi
  expect_status 0 pitr "$ORIGIN" restore --to "$data" "${RESTORE_OPTIONS[@]}" \
    --recovery-option fsync=off "$@"
  expect_status 0 as_postgres "$PG_BIN/pg_verifybackup" -n "$data"
}

# start_recovered [options of postgres]: with its own socket, beside the origin.
start_recovered() {
  as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/$RECOVERED/data" -l "$WORK/$RECOVERED/server.log" \
    -w -t 60 -o "-k $WORK/$RECOVERED $*" >"$WORK/pg_ctl.log" 2>&1
}

# settled ACTION: the server has done what the action says, and can be asked.
settled() {
  local home=$WORK/$RECOVERED
  case $1 in
    pause)
      start_recovered || fail "the server does not start: $(cat "$WORK/pg_ctl.log")"
      wait_until 30 "the pause" paused_at_target "$RECOVERED"
      ;;
    promote)
      start_recovered || fail "the server does not start: $(cat "$WORK/pg_ctl.log")"
      wait_until 30 "the promotion" out_of_recovery "$RECOVERED"
      ;;
    shutdown)
      # pg_ctl may or may not see the server before it is gone.
      start_recovered || :
      wait_until 30 "the end of the server" not_running "$RECOVERED"
      "$PG_BIN/pg_controldata" "$home/data" >"$WORK/controldata"
      grep -qE 'state: +shut down in recovery' "$WORK/controldata" ||
        fail "shut down, but: $(cat "$WORK/controldata")"
      # It would do so again at every start: to look into it, it pauses there.
      start_recovered -c recovery_target_action=pause ||
        fail "the server does not start again: $(cat "$WORK/pg_ctl.log")"
      wait_until 30 "the pause" paused_at_target "$RECOVERED"
      ;;
  esac
}

# compared ACTION: rows, words and position are those of the truth.
compared() {
  local home=$WORK/$RECOVERED more=()
  sql "$RECOVERED" 'COPY (SELECT id, version, payload FROM truth ORDER BY id) TO STDOUT' >"$home/rows"
  if [[ $1 == promote ]]; then
    more+=(--promoted)
  else
    more+=(--replay-lsn "$(sql "$RECOVERED" 'SELECT pg_last_wal_replay_lsn()')")
  fi
  truth compare --expected "$home/expected.json" --expected-rows "$home/expected.rows" --rows "$home/rows" \
    --log "$home/server.log" "${more[@]}" >"$WORK/found" ||
    fail "the recovered server is not right:
$(cat "$WORK/found")
  plan: $(cat "$home/plan.json")"
}

# recovery ACTION KIND VALUE [options]: all of it; the server runs on as RECOVERED.
recovery() {
  local action=$1
  plan "$@"
  restored --archive-mode off
  settled "$action"
  compared "$action"
}

# amcheck: of a promoted server.
amcheck() {
  as_postgres "$PG_BIN/pg_amcheck" --install-missing -h "$WORK/$RECOVERED" -p 5432 -U postgres -d postgres \
    --heapallindexed >"$WORK/amcheck" 2>&1 || fail "pg_amcheck: $(cat "$WORK/amcheck")"
}

# checksums: of a stopped cluster.
checksums() {
  stop "$RECOVERED"
  as_postgres "$PG_BIN/pg_checksums" --check -D "$WORK/$RECOVERED/data" >"$WORK/checksums" 2>&1 ||
    fail "pg_checksums: $(cat "$WORK/checksums")"
}

# gone: this recovery is done with.
gone() {
  if running "$RECOVERED"; then stop "$RECOVERED" immediate; fi
  rm -rf "${WORK:?}/$RECOVERED"
}

# clock_that_can_be_set: from now on skew MILLISECONDS puts the clock of servers started with
# LD_PRELOAD=$WORK/skew.so forth or back, as a bad time server does.
clock_that_can_be_set() {
  cat >"$WORK/skew.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
  static const char *skew;
  static int (*original)(struct timeval *restrict, void *restrict);
  if (!original) {
    skew = mmap(NULL, 32, PROT_READ, MAP_SHARED, open(getenv("SKEW_FILE"), O_RDONLY), 0);
    *(void **)&original = dlsym(RTLD_NEXT, "gettimeofday");
  }
  int result = original(tv, tz);
  if (tv && skew != MAP_FAILED) {
    long long now = tv->tv_sec * 1000000LL + tv->tv_usec + atoll(skew) * 1000LL;
    tv->tv_sec = now / 1000000;
    tv->tv_usec = now % 1000000;
  }
  return result;
}
END
  export SKEW_FILE=$WORK/skew
  skew 0
  cc -shared -fPIC -o "$WORK/skew.so" "$WORK/skew.c" -ldl || skip "no compiler for a clock that can be set"
}
skew() { printf '%-31s\n' "$1" | dd of="$SKEW_FILE" conv=notrunc status=none; }
