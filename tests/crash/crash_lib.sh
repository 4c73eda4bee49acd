# shellcheck shell=bash
# What the tests of this folder share, on top of ../integration/lib.sh: a program is killed at a
# system call, by number. One traced run tells what there is to kill at; then strace runs the same
# command once for each of these points and sends SIGKILL when the point is reached, in place of the
# system call. So whatever the program did before has happened, and nothing after it.
#
#     LONG=1     at every point (hours); without it at a sample of them that has the first and the
#                last point of each system call
#
# Or the call fails, and the program goes on: its outcome is done, or an error in words. What strace
# cannot do, a short read or write, is done by builds of the programs that are for these tests only
# ($PITR_BIN/tests/faulty, see tests/harness/faulty_calls.h), which also reach into io_uring.

CRASH_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A checkout that PG_USER may not enter: lib.sh copies its own folder only, so both are copied here.
if [[ $(id -u) == 0 && -z ${COPY-} ]] &&
  ! setpriv --reuid="${PG_USER:-postgres}" --clear-groups test -r "$CRASH_TESTS/crash_lib.sh" 2>/dev/null; then
  bin=$(realpath "${PITR_BIN:-$CRASH_TESTS/../../build/release}")
  copy=$(mktemp -d /tmp/pitr.copy.XXXXXX)
  mkdir -p "$copy/bin/tests"
  cp -r "$CRASH_TESTS" "$CRASH_TESTS/../integration" "$copy/"
  cp "$bin"/{pitr,pitr-archive,pitr-restore} "$copy/bin/"
  [[ ! -d $bin/tests/faulty ]] || cp -r "$bin/tests/faulty" "$copy/bin/tests/"
  chown -R "${PG_USER:-postgres}" "$copy"
  COPY=$copy PITR_BIN=$copy/bin exec bash "$copy/crash/$(basename "$0")" "$@"
fi
# In memory where there is room: the programs run hundreds of times, and no power fails here.
if [[ -z ${WORK_BELOW-} ]] && (($(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1) > 500000)); then
  export WORK_BELOW=/dev/shm
fi
source "$CRASH_TESTS/../integration/lib.sh"

# strace runs the program as who it is itself: no setpriv in between, whose system calls would count.
[[ $(id -u) != 0 ]] || fail "a crash test cannot stay root"
strace -o /dev/null true 2>/dev/null || skip "strace is not allowed here"

# What changes something or makes it durable, talks to the server, or ends the program.
CHANGES=open,openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate
CHANGES+=,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat
CHANGES+=,fsync,fdatasync,syncfs,sync_file_range,msync,copy_file_range,close,flock,chmod,fchmod
CHANGES+=,fchmodat,chown,fchown,fchownat,lchown,utimensat,io_uring_enter,sendto,exit_group

# expect_no_gap SEGMENT…: of these, in the order of the WAL, the first so many are stored, whole.
expect_no_gap() {
  local segment absent=
  for segment in "$@"; do
    if [[ -z $(stored main "$segment") ]]; then
      absent=$segment
      continue
    fi
    [[ -z $absent ]] || fail "$POINT: $segment is stored, and $absent before it is not"
    expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
  done
}

# traced FILE command…: runs it to its end and notes every such system call.
traced() {
  local file=$1
  shift
  expect_status 0 strace -f -qq -s 0 -o "$file" -e "trace=$CHANGES" "$@"
}

# points_of FILE [COUNT [PATTERN]]: a line "system call number" for each point of a traced run, COUNT
# of each system call at most (LONG=1: all) and only of those that match. strace counts for each
# thread by itself, and so do we. Opening counts where it may create or cut a file.
points_of() {
  awk -v most="${2:-1000000}" -v wanted="^(${3:-.*})\$" -v long="${LONG:-0}" '
    !match($0, /^[0-9]+ +[a-z_0-9]+\(/) { next }
    {
      call = substr($2, 1, index($2, "(") - 1)
      number = ++count[$1, call]
      if (call !~ wanted || (call ~ /^open/ && !/O_CREAT|O_TRUNC/)) next
      if (seen[call, number]++) next
      if (!(call in points)) order[++calls] = call
      point[call, ++points[call]] = number
    }
    END {
      for (i = 1; i <= calls; i++) {
        call = order[i]
        all = points[call]
        take = long == 1 || all < most ? all : most
        for (j = 0; j < take; j++)
          print call, point[call, take == 1 ? all : 1 + int(j * (all - 1) / (take - 1) + 0.5)]
      }
    }' "$1"
}

# killed_at CALL NUMBER command…: STATUS is 137, or the command's own where it never came to that
# point: threads share their work differently each time.
killed_at() {
  local call=$1 number=$2
  shift 2
  POINT="$call $number"
  STATUS=0
  { timeout 60 strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$number" \
    "$@" >"$OUT" 2>"$ERR"; } 2>/dev/null || STATUS=$?
  # shellcheck disable=SC2034 # lib.sh prints it
  LAST_COMMAND="killed at $POINT: $*"
  case $STATUS in
    137) KILLED=$((KILLED + 1)) ;;
    0) SURVIVED=$((SURVIVED + 1)) ;;
    *) fail "$POINT: neither killed nor done
$(last_command)" ;;
  esac
}
KILLED=0
SURVIVED=0

# expect_killed COUNT WHAT: the test would prove nothing if its points were never reached.
expect_killed() {
  echo "$2: killed $KILLED times, $SURVIVED runs never came to their point ($SECONDS s)"
  ((KILLED >= $1)) || fail "$2: killed only $KILLED times"
  KILLED=0
  SURVIVED=0
}

# ---------------------------------------------------------------------------------------------
# Calls that fail

# What the kernel may answer for reasons outside of the program. A call that is not here cannot fail, or
# only for a mistake of the program; or, fstatfs and sync_file_range, RocksDB asserts that it does not.
declare -A ERRORS_OF=()
errors_of() { # "CALL…" "ERROR…"
  local call
  for call in $1; do ERRORS_OF[$call]=$2; done
}
errors_of "open openat openat2 creat" "EIO EMFILE ENOMEM EINTR ENOSPC"
errors_of "read pread64 preadv getdents64 readlink readlinkat" "EIO EINTR ENOMEM"
errors_of "stat lstat fstat newfstatat statx access faccessat faccessat2" "EIO ENOMEM"
errors_of "write writev pwrite64 pwritev ftruncate truncate fallocate" "ENOSPC EIO EINTR"
errors_of "fsync fdatasync syncfs msync" "EIO ENOSPC EINTR"
errors_of "close" "EIO EINTR ENOSPC"
errors_of "rename renameat renameat2 link linkat mkdir mkdirat symlink symlinkat" "ENOSPC EIO"
errors_of "unlink unlinkat rmdir chmod fchmod fchmodat chown fchown fchownat lchown utimensat" "EIO EROFS"
errors_of "flock fcntl" "EINTR ENOLCK"
errors_of "mmap mremap brk mprotect" "ENOMEM"
errors_of "clone clone3" "EAGAIN ENOMEM"
errors_of "socket" "EMFILE ENOMEM"
errors_of "connect recvfrom recvmsg" "EINTR ECONNRESET ENOMEM"
errors_of "poll getsockopt getsockname" "EINTR ENOMEM"
# After a send that failed libpq waits for the last words of a server that is gone. Ours is not.
errors_of "sendto sendmsg" "EINTR"
errors_of "io_uring_setup" "ENOMEM EPERM EMFILE"
errors_of "io_uring_enter" "EINTR EAGAIN EBUSY ENOMEM"

# fault_points FILE COUNT [PATTERN] -- command…: traces the command and notes in FILE a line "call
# number error" for each way in which one of its calls can fail: COUNT points of each call with an error
# each; with LONG=1 up to 150, and with all errors where there are no more than 40. What the loader does
# before the program begins is left out, which opens its configuration first of all.
fault_points() {
  local file=$1 count=$2 pattern='.*' calls
  shift 2
  if [[ $1 != -- ]]; then
    pattern=$1
    shift
  fi
  shift
  calls=$(printf '%s\n' "${!ERRORS_OF[@]}" | grep -xE -- "$pattern" | paste -sd,)
  # Whatever its status is.
  strace -f -qq -s 0 -o "$WORK/trace" -e "trace=openat,$calls" "$@" >"$OUT" 2>"$ERR" || true
  {
    for call in "${!ERRORS_OF[@]}"; do echo "$call ${ERRORS_OF[$call]}"; done
    cat "$WORK/trace"
  } | awk -v most="$count" -v wanted="^($pattern)\$" -v long="${LONG:-0}" '
    /^[a-z]/ { errors[$1] = substr($0, length($1) + 2); next }
    !match($0, /^[0-9]+ +[a-z_0-9]+\(/) { next }
    {
      call = substr($2, 1, index($2, "(") - 1)
      number = ++seen[$1, call]
      if (main == "") main = $1
      if (!begun) loader[call] = number
      if (/pitr\.toml"/) begun = 1
      if (!begun || number <= loader[call] || call !~ wanted || ((call, number) in known)) next
      known[call, number] = 1
      if (!(call in points)) order[++calls] = call
      point[call, ++points[call]] = number
    }
    END {
      for (i = 1; i <= calls; i++) {
        call = order[i]
        all = points[call]
        errors_here = split(errors[call], error, " ")
        if (long == 1) most = 150
        take = all < most ? all : most
        for (j = 0; j < take; j++) {
          number = point[call, 1 + int((j + 0.5) * all / take)]
          every = long == 1 && all <= 40
          for (k = 0; k < (every ? errors_here : 1); k++)
            print call, number, error[1 + (i + j + k) % errors_here]
        }
      }
    }' >"$file"
}

# failing_at CALL NUMBER ERROR command…: the call does nothing and fails, once in each thread. STATUS is
# the status of the command, which ends in time and without a signal. MET is 1 if it came so far.
failing_at() {
  local call=$1 number=$2 error=$3
  shift 3
  POINT="$call $number $error"
  local answer=error=$error
  [[ $call != brk ]] || answer=retval=0 # it has no errors: the C library compares addresses
  run_with_a_fault strace -f -y -qq -o "$WORK/injected" -e "trace=$call" \
    -e "inject=$call:$answer:when=$number" "$@"
  MET=0
  ! grep -q INJECTED "$WORK/injected" || MET=1
  count_fault
}

# failing_operation NUMBER FAULT command…: the read, write or fsync, whichever way it is asked for, fails
# with FAULT or is cut "short". OPERATIONS is how many there were.
failing_operation() {
  run_faulty "$@"
  count_fault
}

run_faulty() {
  local report
  POINT="operation $1 $2"
  rm -f "$WORK/report"
  FAULT_NUMBER=$1 FAULT=$2 FAULT_REPORT=$WORK/report run_with_a_fault \
    "$PITR_BIN/tests/faulty/$(basename "$3")" "${@:4}"
  MET=0
  read -r OPERATIONS report <"$WORK/report" || fail "$POINT: no report"
  [[ $report != met ]] || MET=1
}

# operation_points FILE COUNT command…: a line "number fault" for COUNT operations of the command, or with
# LONG=1 for all of them. There are none where the programs for it are not.
operation_points() {
  local file=$1 count=$2 number
  local -a faults=(short EIO EINTR ENOSPC ENOMEM EAGAIN)
  shift 2
  : >"$file"
  if [[ ! -d $PITR_BIN/tests/faulty ]]; then
    echo "left out: short reads and writes, whose programs are not built: $PITR_BIN/tests/faulty"
    return
  fi
  run_faulty 0 none "$@"
  local all=$OPERATIONS
  if [[ ${LONG-} == 1 && $all -le 200 ]]; then
    for ((number = 1; number <= all; number++)); do
      printf "$number %s\n" "${faults[@]}" >>"$file"
    done
    return
  fi
  [[ ${LONG-} != 1 ]] || count=$all
  ((count <= all)) || count=$all
  for ((number = 0; number < count; number++)); do
    echo "$((1 + number * (all - 1) / (count - 1))) ${faults[number % ${#faults[@]}]}" >>"$file"
  done
}

run_with_a_fault() {
  STATUS=0
  LAST_COMMAND="$POINT: ${*: -6}"
  { timeout --kill-after=5 90 "$@" >"$OUT" 2>"$ERR"; } 2>/dev/null || STATUS=$?
  case $STATUS in
    0) ;;
    1) [[ $* != *pitr-restore* ]] || return 0 ;;& # an answer, not an error
    3) [[ $* != *" verify "* ]] || return 0 ;;&  # its document has the words
    124 | 137) fail "$POINT: it hangs
$(last_command)" ;;
    129 | 13? | 14? | 15?) fail "$POINT: it died, status $STATUS
$(last_command)" ;;
    *)
      grep -qE '^ERROR:  .' "$ERR" || lost_its_words || fail "$POINT: status $STATUS without a word
$(last_command)"
      # The configuration is right: what was not read must not pass for what is not there.
      ! grep -qE 'ERROR: .*(is|not) configured' "$ERR" || fail "$POINT: it blames the configuration
$(last_command)" ;;
  esac
}

# The write that failed was that of the message.
lost_its_words() { [[ $POINT == write\ * ]] && grep -qE ' write\(2[,<].*INJECTED' "$WORK/injected"; }

# An fsync that failed is no fsync: then the outcome is not "done", unless a warning tells of something
# that need not be durable, or it was of the folder of holds (one that a crash brings back is known to be
# of a process that is gone) or of the state, which may be lost. FSYNCS_OF_OTHERS=1: it may have been of a
# file that nobody asked for.
count_fault() {
  if [[ $MET == 0 ]]; then
    UNMET=$((UNMET + 1))
    return
  fi
  MET_COUNT=$((MET_COUNT + 1))
  if [[ $STATUS != 0 ]]; then
    SAID=$((SAID + 1))
    return
  fi
  DONE=$((DONE + 1))
  if [[ $POINT =~ ^(fsync|fdatasync|syncfs)\  && $POINT != *EINTR ]]; then
    [[ -n ${FSYNCS_OF_OTHERS-} ]] || grep -q '^WARNING:' "$ERR" || need_not_last || fail "$POINT: acknowledged without an fsync
$(last_command)"
  fi
}
need_not_last() { ! grep INJECTED "$WORK/injected" | grep -qvE '/(repository/hold|state)[/>]'; }
MET_COUNT=0
DONE=0
SAID=0
UNMET=0

# expect_status_of_pitr [PATTERN]: 2 refuses before anything is touched, a configuration that cannot be
# read or what else may be the message.
expect_status_of_pitr() {
  [[ $STATUS == [01] ]] || { [[ $STATUS == 2 ]] && grep -qE "ERROR:  .*configuration file${1:+|$1}" "$ERR"; } ||
    fail "$POINT: status $STATUS
$(last_command)"
}

# expect_faults COUNT WHAT: so many were met at least.
expect_faults() {
  echo "$2: $MET_COUNT faults, $DONE of them passed over, $SAID said; $UNMET not met ($SECONDS s)"
  ((MET_COUNT >= $1)) || fail "$2: only $MET_COUNT faults"
  MET_COUNT=0 DONE=0 SAID=0 UNMET=0
}

# ---------------------------------------------------------------------------------------------

# small_cluster NAME: a running one with 1 MiB segments and only one database, which archives.
small_cluster() {
  new_cluster "$1" --wal-segsize=1
  settings "$1" "fsync = off" "wal_keep_size = 0" "shared_buffers = '2MB'" "jit = off"
  expect_status 0 pitr "$1" init
  start "$1"
  sql "$1" "ALTER DATABASE template0 IS_TEMPLATE false"
  sql "$1" "DROP DATABASE template0"
  sql "$1" "ALTER DATABASE template1 IS_TEMPLATE false"
  sql "$1" "DROP DATABASE template1"
}

# answer NAME: what info says but for the time of asking.
answer() {
  expect_status 0 pitr "$1" info --json
  sed -E 's/"generated_at": *"[^"]*"//' "$OUT"
}

# Notes what info says with neither catalog nor journal, and that it is a whole document without a
# problem; and the claim that it says the same still.
remember_answer() {
  PITR_STATE_DIRECTORY=$WORK/no_state answer "$1" >"$WORK/answer"
  expect_json "$OUT"
  expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["problems"]')" "problems"
}
expect_answer() {
  answer "$1" | cmp -s - "$WORK/answer" || fail "$2: the catalog changes what info says:
$(answer "$1" | diff "$WORK/answer" -)"
}
