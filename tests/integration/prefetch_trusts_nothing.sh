#!/bin/bash
# Whatever happens to a file that waits in pg_wal/pitr.prefetch, recovery gets the right bytes; waiting files
# cost a call nothing; a volume that runs full is left alone; no call but PostgreSQL's own starts a prefetcher.
if [[ $(id -u) == 0 && -z ${OWN_MOUNTS-} ]] && unshare --mount true 2>/dev/null; then
  # A mount that nobody else sees, and that is gone with this script whatever happens.
  OWN_MOUNTS=1 exec unshare --mount -- bash "$0" "$@"
fi
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_PREFETCH=8

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 60000
switch_and_wait main
stop main
mapfile -t segments < <(archived_files main | grep -E '^[0-9A-F]{24}$')
((${#segments[@]} >= 10)) || fail "only ${#segments[@]} segments"
home=$WORK/main/data
wal=$WORK/main/data/pg_wal
folder=$wal/pitr.prefetch
cp -r "$wal" "$WORK/originals"

# recovery_asks STATUS SEGMENT: as PostgreSQL does, and gets the right bytes.
recovery_asks() {
  rm -f "$wal/RECOVERYXLOG"
  expect_status "$1" debug_fetch "$2" pg_wal/RECOVERYXLOG
  [[ $1 != 0 ]] || expect_same_file "$WORK/originals/$2" "$wal/RECOVERYXLOG"
}
debug_fetch() {
  (cd "$home" && PITR_RESTORE_RETRY_TIME=50ms as_postgres "$PITR_BIN/pitr-restore" --log-level debug \
    --config "$WORK/main/pitr.toml" "$@")
}
waits() { [[ $(find "$folder" -name "$1.*" ! -name '*.tmp' 2>/dev/null | wc -l) == 1 ]]; }
wait_for() { wait_until 20 "$1 fetched ahead" waits "$1"; }
file_of() { find "$folder" -name "$1.*" ! -name '*.tmp'; }
prefetchers() {
  local process
  for process in /proc/[0-9]*; do
    [[ $(cat "$process/comm" 2>/dev/null) == pitr-prefetch ]] || continue
    [[ $(readlink "$process/cwd") != "$WORK"/* ]] || echo "${process#/proc/}"
  done
}
kill_prefetcher() {
  local process
  for process in $(prefetchers); do kill -KILL "$process"; done
  wait_until 20 "it is dead" no_prefetcher
}
no_prefetcher() { [[ -z $(prefetchers) ]]; }
AT_EXIT+=(kill_prefetcher)

story "the first call starts it, the next take what waits"
recovery_asks 0 "${segments[0]}"
expect_no_error 'fetched ahead'
wait_for "${segments[3]}"
recovery_asks 0 "${segments[1]}"
expect_error 'fetched ahead'
expect_absent "$folder/${segments[1]}"*
expect_equal 1 "$(prefetchers | wc -l)" "prefetchers"
process=$(prefetchers)
expect_equal "$process" "$(ps -o sid= -p "$process" | tr -d ' ')" "its session"
find "/proc/$process/fd" -lname '*stdout*' -o -lname '*stderr*' -o -lname 'pipe:*' >"$WORK/open"
[[ ! -s $WORK/open ]] || fail "it holds descriptors of the call: $(ls -l "/proc/$process/fd")"

story "damaged, cut, swapped, foreign or half-written: never served"
flip_byte "$(file_of "${segments[2]}")" 300000
recovery_asks 0 "${segments[2]}"
expect_error 'was changed after it was verified'
wait_for "${segments[3]}"
truncate -s 300000 "$(file_of "${segments[3]}")"
recovery_asks 0 "${segments[3]}"
expect_error 'was changed after it was verified'
wait_for "${segments[5]}"
mv "$(file_of "${segments[5]}")" "$(file_of "${segments[4]}")"
recovery_asks 0 "${segments[4]}"
expect_error 'was changed after it was verified'
suffix=$(basename "$(file_of "${segments[6]}")")
suffix=${suffix#"${segments[6]}"}
head -c 1048576 /dev/urandom >"$folder/${segments[5]}$suffix"
recovery_asks 0 "${segments[5]}"
wait_for "${segments[6]}"
cp -p "$(file_of "${segments[6]}")" "$WORK/copy"
mv "$WORK/copy" "$(file_of "${segments[6]}")"
recovery_asks 0 "${segments[6]}"
expect_error 'was changed after it was verified'
wait_for "${segments[7]}"
ln -sf "$wal/${segments[8]}" "$(file_of "${segments[7]}")"
recovery_asks 0 "${segments[7]}"
expect_equal 1 "$(prefetchers | wc -l)" "prefetchers"

story "what was killed is cleaned up by the next call, and what it left is not used"
recovery_asks 0 "${segments[0]}"
wait_for "${segments[2]}"
kill_prefetcher
head -c 1000 /dev/zero >"$folder/${segments[1]}$suffix.tmp"
recovery_asks 0 "${segments[1]}"
expect_no_error 'fetched ahead'
wait_for "${segments[3]}"
expect_absent "$folder/${segments[1]}$suffix.tmp"
head -c 100 /dev/urandom | dd of="$folder/state" conv=notrunc status=none
head -c 100 /dev/urandom >"$folder/request"
recovery_asks 0 "${segments[2]}"
recovery_asks 0 "${segments[3]}"

story "waiting files cost a call nothing"
recovery_asks 0 "${segments[0]}"
wait_for "${segments[2]}"
calls() {
  (cd "$home" && as_postgres strace -c -o "$WORK/calls" "$PITR_BIN/pitr-restore" --log-level debug --config \
    "$WORK/main/pitr.toml" "$1" pg_wal/RECOVERYXLOG) 2>"$ERR"
  expect_error 'fetched ahead'
  awk '$NF == "total" { print $4 }' "$WORK/calls"
}
if ! has_sanitizers && strace -o /dev/null true 2>/dev/null; then # they make calls of their own
  few=$(calls "${segments[1]}")
  for i in {1..1000}; do : >"$folder/0000000100000001$(printf %08X "$i")$suffix"; done
  expect_equal "$few" "$(calls "${segments[2]}")" "system calls"
fi

story "a system call of prefetch fails: the call fetches by itself"
if strace -o /dev/null true 2>/dev/null; then
  for fault in flock:error=EIO rename:error=EIO flock:error=ENOLCK; do
    recovery_asks 0 "${segments[0]}"
    wait_for "${segments[1]}"
    (cd "$home" && expect_status 0 as_postgres strace -qq -o "$WORK/calls" -e "inject=$fault:when=1" \
      "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "${segments[1]}" pg_wal/RECOVERYXLOG)
    grep -q INJECTED "$WORK/calls" || fail "$fault did not happen"
    expect_same_file "$WORK/originals/${segments[1]}" "$wal/RECOVERYXLOG"
  done
  for fault in clone:error=EAGAIN mkdir:error=ENOSPC ftruncate:error=EIO flock:error=EIO; do
    kill_prefetcher
    [[ $fault != mkdir* ]] || rm -rf "$folder"
    (cd "$home" && expect_status 0 as_postgres strace -qq -o "$WORK/calls" -e "inject=$fault:when=1" \
      "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "${segments[1]}" pg_wal/RECOVERYXLOG)
    grep -q INJECTED "$WORK/calls" || fail "$fault did not happen"
    expect_same_file "$WORK/originals/${segments[1]}" "$wal/RECOVERYXLOG"
    no_prefetcher || fail "$fault: there is a prefetcher"
  done
fi
recovery_asks 0 "${segments[0]}"
wait_for "${segments[1]}"

story "a pipe in the place of its file of requests: the call goes on without it"
recovery_asks 0 "${segments[0]}"
rm -f "$folder/request"
mkfifo "$folder/request"
recovery_asks 0 "${segments[1]}"
kill_prefetcher
rm -rf "$folder"
recovery_asks 0 "${segments[0]}"
wait_for "${segments[1]}"

story "the folder is taken away: the prefetcher ends"
mv "$folder" "$WORK/taken_away" # at once, while files come into it
wait_until 10 "the prefetcher gone" no_prefetcher

story "the end of the archive is 1, a gap is 200, with a prefetcher and without"
last=${segments[-1]}
recovery_asks 0 "${segments[-2]}"
wait_for "$last"
recovery_asks 0 "$last"
expect_error 'fetched ahead'
recovery_asks 1 "$(segment_after "$last")"
recovery_asks 1 "$(segment_after "$last")"
mv "$(stored main "${segments[5]}")" "$WORK/lost"
recovery_asks 0 "${segments[3]}"
wait_for "${segments[4]}"
recovery_asks 0 "${segments[4]}"
recovery_asks 200 "${segments[5]}"
expect_error "gap: ${segments[5]} missing"
mv "$WORK/lost" "$(dirname "$(stored main "${segments[4]}")")/${segments[5]}"

story "a damaged stored segment is no file that waits"
cp "$(stored main "${segments[6]}")" "$WORK/whole"
flip_byte "$(stored main "${segments[6]}")" 1000
recovery_asks 0 "${segments[3]}"
wait_for "${segments[5]}"
recovery_asks 0 "${segments[5]}"
sleep 1.2
[[ -z $(find "$folder" -name "${segments[6]}*") ]] || fail "a damaged segment waits"
recovery_asks 200 "${segments[6]}"
expect_error 'is damaged'
cp "$WORK/whole" "$(stored main "${segments[6]}")"

story "another repository's call does not take what waits"
recovery_asks 0 "${segments[0]}"
wait_for "${segments[1]}"
PITR_REPOSITORY_URL=file://$WORK/elsewhere expect_status 200 fetch main "${segments[1]}" pg_wal/RECOVERYXLOG
recovery_asks 0 "${segments[1]}"
expect_error 'fetched ahead'

story "switched off: what was left goes, nothing starts"
kill_prefetcher
PITR_RESTORE_PREFETCH=0 recovery_asks 0 "${segments[2]}"
expect_absent "$folder"
no_prefetcher || fail "there is a prefetcher"

story "pg_rewind's call, and any other destination, starts nothing"
as_postgres mkdir -p "$WORK/rewind/global" "$WORK/rewind/pg_wal"
as_postgres cp "$home/global/pg_control" "$WORK/rewind/global/"
for destination in "pg_wal/${segments[1]}" pg_wal/wanted; do
  expect_status 0 fetch main "${segments[1]}" "$destination" "$WORK/rewind"
  expect_absent "$WORK/rewind/pg_wal/pitr.prefetch"
done

story "restore --delta takes the folder for what it is"
recovery_asks 0 "${segments[0]}"
wait_for "${segments[1]}"
kill_prefetcher
rm -f "$wal/RECOVERYXLOG"
start main
backup main
wait_until 30 "everything archived" nothing_to_archive main
stop main
wait_until 30 "everything archived" nothing_to_archive main
rm -f "$wal/xlogtemp"*
expect_status 0 pitr main restore --delta --to "$home" --target-immediate
expect_absent "$folder"

[[ ${OWN_MOUNTS-} == 1 ]] || skip "the rest needs a small volume of its own"
story "a small volume: at most a quarter of it, and the calls go on when it is full"
as_postgres mkdir -p "$WORK/small/global" "$WORK/small/pg_wal"
as_postgres cp "$WORK/rewind/global/pg_control" "$WORK/small/global/"
mount -t tmpfs -o "size=10m,mode=700,uid=$PG_USER" tmpfs "$WORK/small/pg_wal"
AT_EXIT+=("umount '$WORK/small/pg_wal'")
small=$WORK/small/pg_wal/pitr.prefetch
waiting() { find "$small" -mindepth 1 -name '*.*' ! -name '*.tmp' 2>/dev/null | wc -l; }
expect_status 0 fetch main "${segments[0]}" pg_wal/RECOVERYXLOG "$WORK/small"
some_wait() { (($(waiting) >= 1)); }
wait_until 10 "some wait" some_wait
for i in {1..10}; do
  (($(waiting) <= 2)) || fail "$(waiting) segments wait on a volume of 10"
  sleep 0.1
done
as_postgres dd if=/dev/zero of="$WORK/small/pg_wal/ballast" bs=1M count=6 status=none
expect_status 0 fetch main "${segments[1]}" pg_wal/RECOVERYXLOG "$WORK/small"
none_wait() { (($(waiting) == 0)); }
wait_until 10 "what waits is given back" none_wait
expect_status 0 fetch main "${segments[2]}" pg_wal/RECOVERYXLOG "$WORK/small"
expect_same_file "$WORK/originals/${segments[2]}" "$WORK/small/pg_wal/RECOVERYXLOG"
rm -rf "$small"
wait_until 10 "the prefetcher gone" no_prefetcher
