# shellcheck shell=bash
# The ground that the integration tests stand on: real servers, the real programs, bounded waits.
#
# A test is a script named after its claim. It begins with
#     source "$(dirname "$0")/lib.sh"
# and is a story in the words below. A cluster NAME lives in one folder:
#     $WORK/NAME/data          its data directory
#     $WORK/NAME/repository    where pitr stores
#     $WORK/NAME/state         pitr's state directory
#     $WORK/NAME/pitr.toml     the configuration
#     $WORK/NAME/server.log    what the server said
#
# From the environment:
#     PITR_BIN   folder of pitr, pitr-archive, pitr-restore  (../../build/release)
#     PG_BIN     folder of initdb, postgres, psql, …         (/usr/lib/postgresql/15/bin)
#     KEEP=1     leave the work directory behind, to look at
#     WORK_BELOW where the work directory is made      (/tmp)
#     PITR_IO_RING and every other PITR_<SECTION>_<KEY> reaches the programs as it is.
#
# PostgreSQL refuses to run as root: a test that root starts goes on as PG_USER (postgres) at once.
# A test that must stay root says RUN_AS_ROOT=1 before it sources this file; then everything that
# touches a cluster still runs as PG_USER.

set -euEo pipefail

TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PITR_BIN=$(realpath "${PITR_BIN:-$TESTS/../../build/release}")
PG_BIN=$(realpath "${PG_BIN:-/usr/lib/postgresql/15/bin}")
PG_USER=${PG_USER:-postgres}
export PITR_BIN PG_BIN PG_USER

# One language for messages, and nothing of the caller's that psql or pitr would read.
export LC_ALL=C NO_COLOR=1 PGCONNECT_TIMEOUT=20
unset PGHOST PGPORT PGUSER PGDATABASE PGDATA PGSERVICE PITR_CONFIG
export PGOPTIONS='-c statement_timeout=30s' # no wait without an end

if [[ $(id -u) == 0 ]]; then
  # setpriv is runuser without a process in between: a signal reaches the program itself.
  become_postgres=(setpriv "--reuid=$PG_USER" "--regid=$(id -g "$PG_USER")" --init-groups)
  if ! "${become_postgres[@]}" test -r "$TESTS/lib.sh" -a -x "$PITR_BIN/pitr"; then
    # A checkout that PG_USER may not enter (below /root, say): the test goes on in a copy.
    copy=$(mktemp -d /tmp/pitr.copy.XXXXXX)
    mkdir "$copy/bin"
    cp -r "$TESTS" "$copy/tests"
    cp "$PITR_BIN"/{pitr,pitr-archive,pitr-restore} "$copy/bin/"
    [[ ! -d $PITR_BIN/module ]] || cp -r "$PITR_BIN/module" "$copy/bin/"
    chown -R "$PG_USER" "$copy"
    COPY=$copy PITR_BIN=$copy/bin exec bash "$copy/tests/$(basename "$0")" "$@"
  fi
  if [[ -z ${RUN_AS_ROOT-} ]]; then
    exec "${become_postgres[@]}" bash "$0" "$@"
  fi
else
  become_postgres=()
fi

as_postgres() { "${become_postgres[@]}" "$@"; }

# ---------------------------------------------------------------------------------------------
# The work directory and its end

# Short, because the path of a unix socket has little room.
WORK=$(as_postgres mktemp -d "${WORK_BELOW:-/tmp}/pitr.XXXXXX")
OUT=$WORK/stdout  # of the last command under expect_status
ERR=$WORK/stderr
export HOME=$WORK
cd "$WORK"

AT_EXIT=()  # commands that a test wants run at its end, whatever happens

clean_up() {
  local status=$? command data
  trap - EXIT ERR
  set +e
  for command in "${AT_EXIT[@]}"; do eval "$command"; done
  for data in "$WORK"/*/data; do
    [[ -f $data/postmaster.pid ]] || continue
    as_postgres "$PG_BIN/pg_ctl" stop -D "$data" -m immediate -t 20 >/dev/null 2>&1
  done
  if [[ ${KEEP-} == 1 ]]; then
    echo "kept: $WORK" >&2
  else
    cd /
    chmod -R u+rwX "$WORK" 2>/dev/null
    rm -rf "$WORK"
  fi
  [[ -z ${COPY-} ]] || rm -rf "$COPY"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'interrupted' TERM

# The runner's time limit.
interrupted() {
  trap - ERR
  echo "INTERRUPTED at ${BASH_SOURCE[-1]##*/}:${BASH_LINENO[-2]}: $BASH_COMMAND" >&2
  diagnostics >&2
  exit 143
}

# set -e ends a test without a word: say where.
unexpected() {
  [[ $BASH_SUBSHELL == 0 ]] || return 0
  echo "UNEXPECTED: ${BASH_SOURCE[1]}:$1: \"$2\" failed" >&2
  diagnostics >&2
}
trap 'unexpected "$LINENO" "$BASH_COMMAND"' ERR

# The last words of every server.
diagnostics() {
  local log
  for log in "$WORK"/*/server.log; do
    [[ -f $log ]] || continue
    echo "--- the end of ${log#"$WORK"/}"
    tail -n 25 "$log"
  done
}

# ---------------------------------------------------------------------------------------------
# Claims

story() { printf 'story: %s\n' "$*"; }

fail() {
  trap - ERR
  printf 'FAILED at %s:%s: %s\n' "${BASH_SOURCE[-1]##*/}" "${BASH_LINENO[-2]}" "$*" >&2
  diagnostics >&2
  exit 1
}

has_sanitizers() { grep -qa __asan_init "$PITR_BIN/pitr-archive"; }

skip() {
  printf 'skipped: %s\n' "$*"
  exit 0
}

# expect_status N command…: runs it, its output goes to $OUT and $ERR.
expect_status() {
  local expected=$1 status=0
  shift
  LAST_COMMAND="$*"
  "$@" >"$OUT" 2>"$ERR" || status=$?
  [[ $status == "$expected" ]] || fail "expected status $expected, got $status
$(last_command)"
}

# What the last command printed must match an extended regular expression …
expect_output() { expect_in "$OUT" "standard output" "$1"; }
expect_error() { expect_in "$ERR" "standard error" "$1"; }

# … and this must not be in it.
expect_no_error() {
  ! grep -qE -- "$1" "$ERR" || fail "standard error should not have: $1
$(last_command)"
}

expect_in() {
  grep -qE -- "$3" "$1" || fail "expected in $2: $3
$(last_command)"
}

last_command() {
  printf '  command: %s\n' "${LAST_COMMAND:-}"
  sed 's/^/  stdout: /' "$OUT"
  sed 's/^/  stderr: /' "$ERR"
}

# expect_same_file A B: byte by byte.
expect_same_file() { cmp -- "$1" "$2" >&2 || fail "\"$1\" and \"$2\" differ"; }

# expect_equal EXPECTED FOUND WHAT
expect_equal() { [[ $1 == "$2" ]] || fail "$3: expected \"$1\", got \"$2\""; }

expect_absent() { [[ ! -e $1 && ! -L $1 ]] || fail "\"$1\" should not exist"; }

# expect_json FILE: exactly one JSON document and nothing else.
expect_json() {
  python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1" 2>/dev/null ||
    fail "not exactly one JSON document: $(cat "$1")"
}

# json FILE EXPRESSION: a value out of it, the document being called d.
json() {
  python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}

# wait_until SECONDS WHAT command…: until the command succeeds. Failures on the way are none.
wait_until() {
  local seconds=$1 what=$2 end=$((SECONDS + $1 + 1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "waited $seconds s in vain: $what"
    sleep 0.05
  done
}

# ---------------------------------------------------------------------------------------------
# Servers

# new_cluster NAME [initdb arguments]: a cluster that archives through pitr, not yet started.
new_cluster() {
  local name=$1
  shift
  as_postgres mkdir "$WORK/$name"
  as_postgres "$PG_BIN/initdb" -D "$WORK/$name/data" -A trust -U postgres --no-sync -k "$@" \
    >"$WORK/initdb.log" 2>&1 || fail "initdb: $(cat "$WORK/initdb.log")"
  pitr_config "$name"
  server_settings "$name"
}

# The settings that every server of the tests has. wal_keep_size keeps the segments in pg_wal, so
# that what comes out of the repository can be compared with what went in.
server_settings() {
  local home=$WORK/$1
  as_postgres tee -a "$home/data/postgresql.conf" >/dev/null <<END
listen_addresses = ''
port = 5432
unix_socket_directories = '$home'
fsync = on
archive_mode = on
archive_command = '$PITR_BIN/pitr-archive --config $home/pitr.toml %p'
wal_keep_size = '2GB'
max_wal_senders = 4
autovacuum = off
shared_buffers = '16MB'
END
}

# settings NAME 'key = value'…
settings() {
  local name=$1
  shift
  printf '%s\n' "$@" | as_postgres tee -a "$WORK/$name/data/postgresql.conf" >/dev/null
}

# pitr_config NAME [OTHER]: NAME's configuration; with OTHER, of OTHER's repository and state.
pitr_config() {
  local home=$WORK/$1 shared=$WORK/${2:-$1}
  as_postgres tee "$home/pitr.toml" >/dev/null <<END
[cluster]
name = "main"
data_directory = "$home/data"
connection = "host=$home port=5432 user=postgres dbname=postgres"

[repository]
url = "file://$shared/repository"
compression = "${COMPRESSION:-lz4}"

[state]
directory = "$shared/state"
END
  as_postgres chmod 600 "$home/pitr.toml"
}

start() {
  as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/$1/data" -l "$WORK/$1/server.log" -w -t 30 \
    >"$WORK/pg_ctl.log" 2>&1 || fail "server \"$1\" does not start: $(cat "$WORK/pg_ctl.log")"
}

# stop NAME [smart|fast|immediate]
stop() {
  as_postgres "$PG_BIN/pg_ctl" stop -D "$WORK/$1/data" -m "${2:-fast}" -w -t 60 \
    >"$WORK/pg_ctl.log" 2>&1 || fail "server \"$1\" does not stop: $(cat "$WORK/pg_ctl.log")"
}

crash() { stop "$1" immediate; }

running() { as_postgres "$PG_BIN/pg_ctl" status -D "$WORK/$1/data" >/dev/null 2>&1; }

# sql NAME 'SQL': one value, or rows with | between the columns.
sql() {
  as_postgres "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$WORK/$1" -p 5432 -U postgres \
    -d postgres -c "$2"
}

# base_backup FROM NAME: PostgreSQL's own backup of a running server, without any WAL, as the
# cluster NAME that shares FROM's repository.
base_backup() {
  as_postgres mkdir "$WORK/$2"
  as_postgres "$PG_BIN/pg_basebackup" -D "$WORK/$2/data" -h "$WORK/$1" -p 5432 -U postgres \
    -X none -c fast --no-sync >"$WORK/pg_basebackup.log" 2>&1 ||
    fail "pg_basebackup: $(cat "$WORK/pg_basebackup.log")"
  pitr_config "$2" "$1"
  server_settings "$2"
}

# recover NAME ['key = value'…]: makes a copied data directory recover through pitr-restore when it
# is started.
recover() {
  local name=$1 home=$WORK/$1
  shift
  settings "$name" "restore_command = '$PITR_BIN/pitr-restore --config $home/pitr.toml %f %p'" "$@"
  as_postgres touch "$home/data/recovery.signal"
}

in_recovery() { [[ $(sql "$1" 'SELECT pg_is_in_recovery()') == t ]]; }
out_of_recovery() { [[ $(sql "$1" 'SELECT pg_is_in_recovery()') == f ]]; }

# ---------------------------------------------------------------------------------------------
# WAL

# A name sorts by timeline and position: this holds for one timeline, which is how it is used.
archived_up_to() {
  local last
  last=$(archiver "$1" last_archived_wal)
  [[ ${last:0:24} > $2 || ${last:0:24} == "$2" ]]
}

nothing_to_archive() { [[ -z $(status_files "$1" ready) ]]; }

# What pg_stat_archiver has in a column.
archiver() { sql "$1" "SELECT $2 FROM pg_stat_archiver"; }

archiving_failed() { (($(archiver "$1" failed_count) > 0)); }

# Ends the current segment and waits until PostgreSQL has archived it. SEGMENT is its name after.
switch_and_wait() {
  switch "$1"
  wait_until 30 "segment $SEGMENT archived" archived_up_to "$1" "$SEGMENT"
}

# Ends the current segment. SEGMENT is its name after. The restore point makes sure that there is
# something to end: pg_switch_wal does nothing at the beginning of a segment.
switch() {
  SEGMENT=$(sql "$1" "SELECT pg_walfile_name(pg_switch_wal()) FROM pg_create_restore_point('switch')")
}

# fill NAME ROWS: rows with contents that do not compress to nothing, in the table "filled".
fill() {
  sql "$1" "SET client_min_messages = warning;
            CREATE TABLE IF NOT EXISTS filled (row bigserial, contents text);
            INSERT INTO filled (contents)
              SELECT md5(random()::text) || repeat('pitr', 20) FROM generate_series(1, $2)"
}

# Every file that PostgreSQL noted as archived, in order.
archived_files() { status_files "$1" 'done'; }

status_files() {
  find "$WORK/$1/data/pg_wal/archive_status" -name "*.$2" -printf '%f\n' | sed "s/\\.$2\$//" | sort
}

# segment_after SEGMENT [N]: the Nth name after it. Good for the low numbers that tests have.
segment_after() { printf '%s%08X\n' "${1:0:16}" $((16#${1:16:8} + ${2:-1})); }

# archive_segments NAME COUNT: so many segments, each with rows and complete. SEGMENT is the last one.
archive_segments() {
  local i
  for ((i = 0; i < $2; i++)); do
    fill "$1" 500
    switch_and_wait "$1"
  done
}

pg_waldump() { "$PG_BIN/pg_waldump" "$@"; }

# ---------------------------------------------------------------------------------------------
# The programs

pitr() {
  local name=$1
  shift
  as_postgres "$PITR_BIN/pitr" --config "$WORK/$name/pitr.toml" "$@"
}

# archive NAME PATH: as PostgreSQL calls it, in the data directory; so PATH may be pg_wal/….
archive() {
  (cd "$WORK/$1/data" && as_postgres "$PITR_BIN/pitr-archive" --config "$WORK/$1/pitr.toml" "$2")
}

# fetch NAME FILE DESTINATION [WORKING DIRECTORY], which PostgreSQL sets to the data directory. The
# program's patience with a repository that fails is cut short: PITR_RESTORE_RETRY_TIME.
fetch() {
  (cd "${4:-$WORK/$1/data}" && PITR_RESTORE_RETRY_TIME=${PITR_RESTORE_RETRY_TIME:-50ms} \
    as_postgres "$PITR_BIN/pitr-restore" --config "$WORK/$1/pitr.toml" "$2" "$3")
}

# expect_fetched NAME FILE ORIGINAL: the repository gives back exactly these bytes.
expect_fetched() {
  rm -f "$WORK/fetched"
  expect_status 0 fetch "$1" "$2" "$WORK/fetched"
  expect_same_file "$3" "$WORK/fetched"
}

# expect_refused STATUS NAME FILE PATTERN: no file may come out of the repository.
expect_refused() {
  rm -f "$WORK/fetched"
  expect_status "$1" fetch "$2" "$3" "$WORK/fetched"
  expect_error "$4"
  expect_absent "$WORK/fetched"
}

# ---------------------------------------------------------------------------------------------
# The repository, looked at from outside

# stored NAME FILE: the path of the file that holds it; empty where there is none.
stored() { find "$WORK/$1/repository" -type f -name "$2"; }

repository_files() { (cd "$WORK/$1/repository" && find . -type f | sort); }

# Notes what is stored, for the two claims below.
remember_repository() {
  (cd "$WORK/$1/repository" && find . -type f -print0 | sort -z | xargs -0 sha256sum) \
    >"$WORK/$1/remembered"
}

# All that was stored is stored still, with the same contents; there may be more.
expect_repository_kept() {
  (cd "$WORK/$1/repository" && sha256sum --quiet -c "$WORK/$1/remembered") >"$WORK/sums" 2>&1 ||
    fail "what was stored has changed: $(cat "$WORK/sums")"
}

# Nothing was added either.
expect_repository_unchanged() {
  expect_repository_kept "$1"
  diff <(sed 's/^[^ ]* [ *]//' "$WORK/$1/remembered") <(repository_files "$1") >"$WORK/sums" ||
    fail "files came or went in the repository: $(cat "$WORK/sums")"
}

# Nothing half-written is left over. (.tmp. is how names of unfinished files begin or go on.)
expect_no_leftovers() {
  local found
  found=$(find "$WORK/$1/repository" -name '*.tmp.*')
  [[ -z $found ]] || fail "leftovers in the repository: $found"
}

# archives_and_gives_back NAME COUNT: the core story on a running server. So many segments and a
# .backup file go in without a failure, come out byte by byte, and pg_waldump reads what came out.
# SEGMENT is the last one after.
archives_and_gives_back() {
  local file
  archive_segments "$1" "$2"
  sql "$1" "SELECT pg_backup_start('a label', true); SELECT pg_backup_stop(false)" >/dev/null
  archive_segments "$1" 1
  expect_equal 0 "$(archiver "$1" failed_count)" "failed_count"
  for file in $(archived_files "$1" | tail -n $(($2 + 2))); do
    expect_fetched "$1" "$file" "$WORK/$1/data/pg_wal/$file"
  done
  archived_files "$1" | grep -q '\.backup$' || fail "no .backup file was archived"
  rm -f "$WORK/$SEGMENT"
  expect_status 0 fetch "$1" "$SEGMENT" "$WORK/$SEGMENT"
  expect_status 0 pg_waldump --quiet "$WORK/$SEGMENT"
  expect_no_leftovers "$1"
}

# flip_byte FILE POSITION: inverts one byte in place.
flip_byte() {
  local byte
  byte=$(od -An -tu1 -j "$2" -N 1 "$1")
  # shellcheck disable=SC2059 # the format is the byte
  printf "\\x$(printf %02x $((byte ^ 255)))" |
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

size_of() { stat -c %s "$1"; }

# scratch_space: SCRATCH becomes an empty folder for rehearsals, in memory where there is room.
scratch_space() {
  local below=$WORK
  [[ ! -w /dev/shm || $(df --output=avail -k /dev/shm | tail -n 1) -lt 300000 ]] || below=/dev/shm
  SCRATCH=$(as_postgres mktemp -d "$below/pitr.XXXXXX")
  AT_EXIT+=('[[ ${KEEP-} == 1 ]] || rm -rf "$SCRATCH"')
}

# A rehearsal leaves neither a file nor a process behind.
nothing_is_left() {
  expect_equal "" "$(ls -A "$SCRATCH")" "what is left in the scratch space"
  ! pgrep -af "$SCRATCH" || fail "a process is left"
}

# ---------------------------------------------------------------------------------------------
# Backups and restores

# backup NAME [options]: takes one. BACKUP is its id after, and $OUT has its JSON.
# shellcheck disable=SC2034 # BACKUP is for the tests
backup() {
  local name=$1
  shift
  expect_status 0 pitr "$name" backup --json "$@"
  expect_json "$OUT"
  BACKUP=$(json "$OUT" 'd["id"]')
}

# slow_backup NAME RATE [options]: one in the background, which is reading files by now. BACKUP_PROCESS
# is its process; its output goes to $WORK/backup.out and $WORK/backup.err.
slow_backup() {
  local name=$1 rate=$2 before
  shift 2
  before=$(started_backups "$name")
  PITR_BACKUP_RATE_LIMIT=$rate "$PITR_BIN/pitr" --config "$WORK/$name/pitr.toml" backup "$@" \
    >"$WORK/backup.out" 2>"$WORK/backup.err" &
  BACKUP_PROCESS=$!
  wait_until 10 "the backup reads files" another_backup "$name" "$before"
}

# The backups that have stored something of the cluster's files, finished or not.
started_backups() {
  local folder=$WORK/$1/repository/data
  [[ ! -d $folder ]] || find "$folder" -mindepth 3 -type f -name '*bundle*' -printf '%h\n' | sort -u | wc -l
}
another_backup() { (($(started_backups "$1") > ${2:-0})); }

# expect_backup_status N: how the one in the background ends.
expect_backup_status() {
  local status=0
  wait "$BACKUP_PROCESS" 2>/dev/null || status=$?
  cp "$WORK/backup.out" "$OUT"
  cp "$WORK/backup.err" "$ERR"
  LAST_COMMAND="pitr backup, in the background"
  [[ $status == "$1" ]] || fail "expected status $1, got $status
$(last_command)"
}

# expect_backups NAME COUNT: so many are visible.
expect_backups() {
  expect_status 0 pitr "$1" info --json
  expect_json "$OUT"
  expect_equal "$2" "$(json "$OUT" 'len(d["clusters"][0]["backups"])')" "backups in info"
}

# Nobody but the asking session is connected: a backup's session holds the server in backup mode.
no_other_session() {
  [[ $(sql "$1" "SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()") == 0 ]]
}

# restore_into NAME COPY [options]: restores NAME's cluster as COPY, which pg_verifybackup accepts.
restore_into() {
  local name=$1 copy=$2
  shift 2
  as_postgres mkdir -p "$WORK/$copy"
  expect_status 0 pitr "$name" restore --to "$WORK/$copy/data" "$@"
  expect_verified "$copy"
}

expect_verified() {
  as_postgres "$PG_BIN/pg_verifybackup" -n "$WORK/$1/data" >"$WORK/verified" 2>&1 ||
    fail "pg_verifybackup does not accept \"$1\": $(cat "$WORK/verified")"
}

# A restored directory has its origin's settings: a socket of its own keeps them apart.
start_copy() {
  local copy=$1
  shift
  as_postgres "$PG_BIN/pg_ctl" start -D "$WORK/$copy/data" -l "$WORK/$copy/server.log" -w -t 30 \
    -o "-c unix_socket_directories=$WORK/$copy $*" >"$WORK/pg_ctl.log" 2>&1 ||
    fail "the copy \"$copy\" does not start: $(cat "$WORK/pg_ctl.log")"
}

# What must not be able to start: PostgreSQL says no, and by itself.
expect_cannot_start() {
  local status=0
  as_postgres timeout 20 "$PG_BIN/postgres" -D "$WORK/$1/data" \
    -c "unix_socket_directories=$WORK/$1" >"$WORK/$1/start.log" 2>&1 || status=$?
  [[ $status != 0 && $status != 124 && $status != 137 ]] ||
    fail "PostgreSQL started on \"$1\" (status $status): $(cat "$WORK/$1/start.log")"
}

paused_at_target() { [[ $(sql "$1" 'SELECT pg_is_wal_replay_paused()') == t ]]; }

# recovered COPY [postgres options]: starts it and waits until it has stopped at its target.
recovered() {
  start_copy "$@"
  wait_until 30 "\"$1\" at its target" paused_at_target "$1"
}

promote() {
  as_postgres "$PG_BIN/pg_ctl" promote -D "$WORK/$1/data" -w -t 30 >/dev/null ||
    fail "\"$1\" is not promoted"
}

# expect_sound COPY: of a copy that is out of recovery; it is stopped after.
expect_sound() {
  wait_until 30 "the end of recovery" out_of_recovery "$1"
  if [[ -x $PG_BIN/pg_amcheck ]]; then
    as_postgres "$PG_BIN/pg_amcheck" -a --install-missing -h "$WORK/$1" -p 5432 -U postgres \
      >"$WORK/amcheck" 2>&1 || fail "pg_amcheck: $(cat "$WORK/amcheck")"
  else # before 14
    sql "$1" "CREATE EXTENSION IF NOT EXISTS amcheck;
              SELECT bt_index_parent_check(i.indexrelid, true)
                FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
               WHERE a.amname = 'btree' AND c.relpersistence = 'p'" >"$WORK/amcheck"
  fi
  stop "$1"
  if "$PG_BIN/pg_controldata" "$WORK/$1/data" | grep -q '^Data page checksum version: *[1-9]'; then
    as_postgres "$PG_BIN/pg_checksums" --check -D "$WORK/$1/data" >"$WORK/checksums" 2>&1 ||
      fail "pg_checksums: $(cat "$WORK/checksums")"
  fi
}

# What a folder holds, to the byte, mode and link; and the claim that it is so still.
remember_folder() { listing "$1" >"$WORK/remembered.$(basename "$1")"; }
expect_folder_unchanged() {
  diff "$WORK/remembered.$(basename "$1")" <(listing "$1") >"$WORK/changes" ||
    fail "\"$1\" has changed: $(head -n 30 "$WORK/changes")"
}
listing() {
  (cd "$1" && find . -printf '%p %y %m %l\n' | sort && find . -type f -print0 | sort -z |
    xargs -0 --no-run-if-empty sha256sum)
}
