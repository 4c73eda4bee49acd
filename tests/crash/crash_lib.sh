# shellcheck shell=bash
# What the tests of this folder share, on top of ../integration/lib.sh: a program is killed at a
# system call, by number. One traced run tells what there is to kill at; then strace runs the same
# command once for each of these points and sends SIGKILL when the point is reached, in place of the
# system call. So whatever the program did before has happened, and nothing after it.
#
#     LONG=1     at every point (hours); without it at a sample of them that has the first and the
#                last point of each system call

CRASH_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A checkout that PG_USER may not enter: lib.sh copies its own folder only, so both are copied here.
if [[ $(id -u) == 0 && -z ${COPY-} ]] &&
  ! setpriv --reuid="${PG_USER:-postgres}" --clear-groups test -r "$CRASH_TESTS/crash_lib.sh" 2>/dev/null; then
  bin=$(realpath "${PITR_BIN:-$CRASH_TESTS/../../build/release}")
  copy=$(mktemp -d /tmp/pitr.copy.XXXXXX)
  mkdir "$copy/bin"
  cp -r "$CRASH_TESTS" "$CRASH_TESTS/../integration" "$copy/"
  cp "$bin"/{pitr,pitr-archive,pitr-restore} "$copy/bin/"
  chown -R "${PG_USER:-postgres}" "$copy"
  COPY=$copy PITR_BIN=$copy/bin exec bash "$copy/crash/$(basename "$0")" "$@"
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
