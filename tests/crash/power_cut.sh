#!/bin/bash
# The power of the repository's disk is cut: every file that was acknowledged is there afterwards, and
# whole, every backup too, and the catalog opens or is begun anew. On ext4 and on XFS, whose journals
# the kernel replays. At last fsyncs are left out, to show that this would be seen.
#
# The repository and pitr's state are on a disk with a cache that forgets: volatile_disk.cc. The
# server and what was acknowledged are not.
#
#     LONG=1          every story 50 times for each file system: an hour
#     SEED=N          the same moments and the same losses again, as far as processes allow it
#     VOLATILE_DISK   the program  (../../build/release/tests/crash/volatile_disk)
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ $(id -u) == 0 && -z ${OWN_MOUNTS-} ]] && unshare --mount true 2>/dev/null; then
  # Mounts that nobody else sees, and that are gone with this script whatever happens.
  OWN_MOUNTS=1 exec unshare --mount -- bash "$0" "$@"
fi
bin=$(realpath "${PITR_BIN:-$tests/../../build/release}")
VOLATILE_DISK=$(realpath -m "${VOLATILE_DISK:-$bin/tests/crash/volatile_disk}")
# A checkout that PG_USER may not enter: lib.sh copies its own folder only, so both are copied here.
if [[ $(id -u) == 0 && -z ${COPY-} ]] && ! setpriv --reuid="${PG_USER:-postgres}" --clear-groups \
  test -r "$tests/power_cut.sh" -a -x "$bin/pitr" 2>/dev/null; then
  copy=$(mktemp -d /tmp/pitr.copy.XXXXXX)
  mkdir "$copy/bin"
  cp -r "$tests" "$tests/../integration" "$copy/"
  cp "$bin"/{pitr,pitr-archive,pitr-restore} "$copy/bin/"
  chown -R "${PG_USER:-postgres}" "$copy"
  export VOLATILE_DISK
  COPY=$copy PITR_BIN=$copy/bin exec bash "$copy/crash/power_cut.sh" "$@"
fi
RUN_AS_ROOT=1
source "$tests/../integration/lib.sh"
PATH+=:/usr/sbin:/sbin # mkfs

[[ ${OWN_MOUNTS-} == 1 ]] || skip "only root may mount file systems, and not everywhere"
[[ -x $VOLATILE_DISK ]] || skip "volatile_disk is not built: libfuse3-dev is missing"
SEED=${SEED:-$RANDOM}
RANDOM=$SEED

image=$WORK/image                # what the disk keeps without power
device=$WORK/device              # volatile_disk
disk=$WORK/disk                  # the file system, with the repository and the state
acknowledged=$WORK/acknowledged  # lines "SHA256  pg_wal/FILE"
backups=$WORK/backups            # ids, one a line
hold=$WORK/hold                  # while it exists, archive_command waits

# ---------------------------------------------------------------------------------------------
# The disk

make_ext4() { mkfs.ext4 -q -N 8192 -E lazy_itable_init=0,lazy_journal_init=0 "$image"; }
make_xfs() { mkfs.xfs -q "$image"; }
check_ext4() { e2fsck -fn "$image"; }
check_xfs() { xfs_repair -n "$image"; }

# try_new_disk FILE_SYSTEM: an empty one, switched on. It fails where something is not permitted here.
try_new_disk() {
  FS=$1
  rm -f "$image" "$acknowledged" "$backups"
  touch "$acknowledged" "$backups"
  chown "$PG_USER" "$acknowledged" "$backups"
  truncate -s 320M "$image"
  "make_$FS" >"$OUT" 2>"$ERR" && power_on && chown "$PG_USER" "$disk" && sync -f "$disk"
}

new_disk() {
  switch_off
  try_new_disk "$1" || fail "no $1: $(cat "$ERR")"
  sql main 'TRUNCATE filled' # or backups grow and grow
  expect_status 0 pitr main init
}

# As the device's child it does not outlive this script.
power_on() {
  setpriv --pdeathsig TERM "$VOLATILE_DISK" "$image" "$device" >>"$WORK/cuts" 2>"$ERR" &
  DEVICE=$!
  until [[ -e $device/disk ]]; do
    if ! kill -0 "$DEVICE" 2>/dev/null; then
      DEVICE= # it has said why
      return 1
    fi
    sleep 0.02
  done
  mount -t "$FS" -o loop "$device/disk" "$disk" 2>"$ERR"
}

# Not by a look at the place itself, which fails when the power is cut.
mounted() { grep -q " $1 " /proc/self/mounts; }

# Programs that the cut has met may have files open for a moment more.
switch_off() {
  ! mounted "$disk" || wait_until 20 "$disk unmounted" umount "$disk"
  ! mounted "$device" || wait_until 20 "$device unmounted" umount "$device"
  [[ -z ${DEVICE-} ]] || wait "$DEVICE" || fail "volatile_disk has failed: $(cat "$WORK/cuts")"
  DEVICE=
}

# Beyond this point the disk is what was flushed, and some of the rest; the journal is replayed.
power_back() {
  switch_off
  power_on || fail "$(which_cut) the file system cannot be mounted any more: $(cat "$ERR")"
}

# At once, before anybody else makes something durable.
cut_and_back() {
  CUT=$((SEED * 1000 + ++CUTS))
  echo "cut $CUT" >"$device/control"
  touch "$hold"
  power_back
}
CUTS=0

# plan_cut SECTORS: when so many more of them have been written.
plan_cut() {
  CUT=$((SEED * 1000 + ++CUTS))
  echo "cut $CUT $1" >"$device/control"
}

# If so many were not written.
cut_at_last() {
  is_cut || echo "cut $CUT" 2>/dev/null >"$device/control" || is_cut
}

is_cut() { grep -q "^cut $CUT:" "$WORK/cuts"; }

# Before what a failure says.
which_cut() { echo "$FS, SEED=$SEED, $(tail -n 1 "$WORK/cuts");"; }

expect_sound_file_system() {
  switch_off
  "check_$FS" >"$OUT" 2>&1 || fail "$(which_cut) the file system is damaged: $(cat "$OUT")"
}

clean_disk() {
  trap - ERR
  touch "$hold"
  kill -- ${WORKLOAD:+"$WORKLOAD"} ${BACKING_UP:+"-$BACKING_UP"} 2>/dev/null
  running main && stop main immediate
  for place in "$disk" "$device"; do
    for ((i = 0; i < 100; i++)); do
      mounted "$place" || break
      umount "$place" 2>/dev/null || sleep 0.1
    done
  done
  [[ -z ${DEVICE-} ]] || kill "$DEVICE" 2>/dev/null
}
AT_EXIT+=(clean_disk)

# ---------------------------------------------------------------------------------------------
# Acknowledgements

# The oldest segment that waits in pg_wal and was not acknowledged on this disk.
next_segment() {
  status_files main ready | grep -E '^[0-9A-F]{24}$' |
    grep -vxF -f <(sed 's/.*pg_wal.//' "$acknowledged") | head -n 1 || true
}

# Ended segments that wait in pg_wal.
more_segments() {
  local i
  for ((i = 0; i < $1; i++)); do
    fill main 300
    switch main
  done
}

note() { (cd "$WORK/main/data" && sha256sum "pg_wal/$1") >>"$acknowledged"; }

# archive_by_hand [SEGMENT]
archive_by_hand() {
  SEGMENT=${1:-$(next_segment)}
  expect_status 0 archive main "pg_wal/$SEGMENT"
}

# Of the segments; the server removes backup history files. Empty: there is none.
last_acknowledged() { sed -n 's/.*pg_wal.\([0-9A-F]\{24\}\)$/\1/p' "$acknowledged" | tail -n 1; }

# A line for each file that was acknowledged and is not given back as it was. One process for each, as
# this happens after every cut.
losses() {
  local path name
  rm -rf "$WORK/given_back"
  as_postgres mkdir -p "$WORK/given_back/pg_wal"
  (cd "$WORK/main/data" && as_postgres bash "$WORK/give_back" <"$acknowledged")
  (cd "$WORK/given_back" && { sha256sum --check --quiet "$acknowledged" 2>/dev/null || true; }) |
    sort -u | while IFS=: read -r path _; do
      name=${path#pg_wal/}
      echo "$name: $(tail -n 1 "$WORK/given_back/$name.said"), $(head -n 1 "$WORK/given_back/$name.said")"
    done
}

# answer: what info says but for the time of asking.
answer() {
  expect_status 0 pitr main info --json
  sed -E 's/"generated_at": *"[^"]*"//' "$OUT"
}

# What info says with what survived of the catalog, and with an empty state directory.
expect_same_answer() {
  answer >"$WORK/answer.catalog"
  PITR_STATE_DIRECTORY=$WORK/no_state answer >"$WORK/answer"
  cmp -s "$WORK/answer" "$WORK/answer.catalog" ||
    fail "$(which_cut) $1: the catalog changes what info says: $(diff "$WORK/answer" "$WORK/answer.catalog")"
}

# A line for each backup that was acknowledged and is not in info as a sound one.
lost_backups() {
  pitr main info --json >"$OUT" 2>"$ERR" || { echo "all: $(cat "$OUT" "$ERR")"; return; }
  json "$OUT" '"\n".join(b["id"] for c in d["clusters"] for b in c["backups"] if b["status"] == "ok")' \
    >"$WORK/listed"
  grep -vxF -f "$WORK/listed" "$backups" || true
}

expect_nothing_lost() {
  local lost
  lost=$(losses)
  [[ -z $lost ]] || fail "$(which_cut) $1: lost is $lost"
  lost=$(lost_backups)
  [[ -z $lost ]] || fail "$(which_cut) $1: lost are backups $lost"
  expect_same_answer "$1"
}

expect_last_backup_restores() {
  rm -rf "$WORK/copy"
  restore_into main copy --backup "$(tail -n 1 "$backups")" --target-immediate
}

# ---------------------------------------------------------------------------------------------
# Stories

# Each deed returns, and the power goes.
after_acknowledgements() {
  local deed
  more_segments 3
  new_disk "$FS"
  cut_and_back
  expect_same_answer "pitr init"
  expect_equal main "$(json "$OUT" 'd["clusters"][0]["name"]')" "the cluster"

  for deed in "the first segment, which makes its folders" "the next segment" "another one"; do
    archive_by_hand
    cut_and_back
    note "$SEGMENT"
    expect_nothing_lost "$deed"
  done
  archive_by_hand "$SEGMENT"
  cut_and_back
  expect_nothing_lost "a segment that is stored already"

  everything_archived
  expect_status 0 pitr main backup --json
  cut_and_back
  json "$OUT" 'd["id"]' >>"$backups"
  expect_nothing_lost "pitr backup"
  expect_last_backup_restores

  expect_status 0 pitr main catalog rebuild
  cut_and_back
  expect_nothing_lost "pitr catalog rebuild"
}

everything_archived() {
  rm "$hold"
  switch main
  wait_until 90 "segment $SEGMENT archived" archived_up_to main "$SEGMENT"
  wait_until 90 "everything archived" nothing_to_archive main
}

# In the middle of one segment's way: afterwards it is there and whole, or it is not there at all, and
# the same command again stores it.
while_one_is_archived() {
  local status=0
  more_segments 1
  SEGMENT=$(next_segment)
  plan_cut $((1 + RANDOM % 400))
  archive main "pg_wal/$SEGMENT" >"$OUT" 2>"$ERR" || status=$?
  cut_at_last
  power_back
  # Acknowledged: then it must be there.
  [[ $status != 0 ]] || expect_fetched main "$SEGMENT" "$WORK/main/data/pg_wal/$SEGMENT"
  rm -f "$WORK/fetched"
  status=0
  fetch main "$SEGMENT" "$WORK/fetched" >"$OUT" 2>"$ERR" || status=$?
  case $status in
    0) expect_same_file "$WORK/main/data/pg_wal/$SEGMENT" "$WORK/fetched" ;;
    1) expect_equal "" "$(stored disk "$SEGMENT")" "$(which_cut) stored, but not given back" ;;
    *) fail "$(which_cut) neither there nor not there: $(last_command)" ;;
  esac
  archive_by_hand "$SEGMENT"
  note "$SEGMENT"
}

# The catalog is written again and again, and the power goes in the middle of it.
while_the_catalog_is_written() {
  plan_cut $((1 + RANDOM % 400))
  local tries
  for ((tries = 0; tries < 30; tries++)); do
    pitr main catalog rebuild >"$OUT" 2>"$ERR" || true
    ! is_cut || break
  done
  cut_at_last
  power_back
  expect_nothing_lost "cut while the catalog is written"
  more_segments 1
  archive_by_hand
  note "$SEGMENT"
  expect_status 0 pitr main catalog rebuild
  expect_nothing_lost "cut while the catalog is written, and rebuilt"
}

begin_work() {
  rm -f "$hold"
  "${become_postgres[@]}" "$PG_BIN/pgbench" -n -h "$WORK/main" -p 5432 -U postgres -f "$WORK/work.sql" \
    -R 12 -T 600 postgres >"$WORK/pgbench.log" 2>&1 &
  WORKLOAD=$!
  "${become_postgres[@]}" setsid bash "$WORK/back_up" >"$WORK/back_up.log" 2>&1 &
  BACKING_UP=$!
}

end_work() {
  touch "$hold"
  kill "$WORKLOAD"
  kill -- "-$BACKING_UP" 2>/dev/null || true
  wait "$WORKLOAD" "$BACKING_UP" 2>/dev/null || true
  WORKLOAD=
  BACKING_UP=
}

# While the server archives and backups are taken, the power goes; afterwards all goes on.
while_archiving() {
  plan_cut $((1 + RANDOM % 12000))
  begin_work
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    ! is_cut || break
    sleep 0.1
  done
  cut_at_last
  end_work
  power_back
  expect_nothing_lost "cut while archiving"
  [[ ! -s $backups ]] || expect_last_backup_restores

  local segment
  segment=$(last_acknowledged)
  [[ -z $segment ]] || expect_status 0 archive main "pg_wal/$segment"
  everything_archived
  wait_until 10 "no session of a killed backup" no_other_session main
  backup main
  touch "$hold"
  echo "$BACKUP" >>"$backups"
  expect_nothing_lost "cut while archiving, and archiving goes on"
  expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["problems"]')" "problems"
  expect_equal "$(wc -l <"$WORK/listed")" "$(started_backups disk)" "$(which_cut) folders of backups"
}

# ---------------------------------------------------------------------------------------------
# The test's teeth

# archive_without_fsync NUMBER PATTERN: archives a segment, but its fsync of this number does nothing;
# it is of a file whose name matches.
archive_without_fsync() {
  SEGMENT=$(next_segment)
  (cd "$WORK/main/data" && PITR_IO_RING=off as_postgres strace -f -qq -y -o "$WORK/trace" \
    -e trace=fsync,fdatasync -e "inject=fsync:retval=0:when=$1" \
    "$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "pg_wal/$SEGMENT") >"$OUT" 2>"$ERR" ||
    fail "pitr-archive without an fsync: $(cat "$ERR")"
  expect_equal 1 "$(grep -cE "fsync\([0-9]+<[^>]*/$2>\).*INJECTED" "$WORK/trace")" \
    "fsyncs left out of: $(cat "$WORK/trace")"
}

# bites WHAT COMMAND…: one of several cuts after the command loses its segment, and no other one.
bites() {
  local what=$1 lost tries
  shift
  more_segments 6
  new_disk "$FS"
  archive_by_hand
  note "$SEGMENT"
  for ((tries = 1; tries <= 5; tries++)); do
    "$@"
    cut_and_back
    note "$SEGMENT"
    lost=$(losses)
    [[ -n $lost ]] || continue
    expect_equal "$SEGMENT" "$(cut -c 1-24 <<<"$lost")" "$(which_cut) lost without the fsync of $what"
    story "$FS, without the fsync of $what, cut $tries: ${lost//$disk/…}"
    return
  done
  fail "$FS, SEED=$SEED: without the fsync of $what nothing was lost in 5 cuts"
}

# The same for a backup, with no fsync at all.
backup_bites() {
  new_disk "$FS"
  everything_archived
  (PITR_IO_RING=off as_postgres strace --seccomp-bpf -f -qq -o /dev/null \
    -e trace=fsync,fdatasync,syncfs -e inject=fsync,fdatasync,syncfs:retval=0 \
    "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup --json) >"$OUT" 2>"$ERR" ||
    fail "pitr backup without fsync: $(cat "$OUT" "$ERR")"
  cut_and_back
  json "$OUT" 'd["id"]' >>"$backups"
  [[ -n $(lost_backups) ]] || fail "$FS, SEED=$SEED: a backup without fsync was not lost"
  story "$FS, without any fsync of a backup: it is lost"
}

# ---------------------------------------------------------------------------------------------

mkdir "$device" "$disk"
permitted=()
for fs in ext4 xfs; do
  if try_new_disk "$fs"; then
    permitted+=("$fs")
  else
    reason="$fs: $(cat "$ERR")"
    story "not on $reason"
  fi
  switch_off
done
((${#permitted[@]})) || skip "a file system on a FUSE file under a loop device is not possible here: $reason"

cat >"$WORK/archive" <<END
# What pitr-archive acknowledges is noted where no power is cut.
while [ -e "$hold" ]; do sleep 0.02; done
"$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "\$1" &&
  sha256sum "\$1" >>"$acknowledged"
END
cat >"$WORK/give_back" <<END
export PITR_RESTORE_RETRY_TIME=50ms
while read -r _ path; do
  "$PITR_BIN/pitr-restore" --config "$WORK/main/pitr.toml" "\${path#pg_wal/}" \
    "$WORK/given_back/\$path" 2>"$WORK/given_back/\${path#pg_wal/}.said"
  echo "pitr-restore ended with \$?" >>"$WORK/given_back/\${path#pg_wal/}.said"
done
END
cat >"$WORK/back_up" <<END
# Backups, one after the other, until one fails; what pitr acknowledges is noted. A signal is meant for
# pitr, and this ends after it: an orphan stays a zombie for a while, and passes for one that lives.
trap 'stop=1' TERM
while [[ -z \${stop-} ]] && answer=\$(exec "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup --json); do
  sed -n 's/.*"id": *"\([^"]*\)".*/\1/p' <<<"\$answer" >>"$backups"
done
END
# Not faster than it is archived: a busy machine would never catch up.
cat >"$WORK/work.sql" <<'SQL'
DO $$ BEGIN
  IF (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready') < 5 THEN
    INSERT INTO filled (contents)
      SELECT md5(random()::text) || repeat('pitr', 20) FROM generate_series(1, 300);
    PERFORM pg_switch_wal();
  END IF;
END $$;
SQL
touch "$hold"
new_cluster main --wal-segsize=1
pitr_config main disk
settings main "fsync = off" "wal_keep_size = '256MB'" "jit = off" "archive_command = 'sh $WORK/archive %p'"
start main
for template in template0 template1; do
  sql main "ALTER DATABASE $template IS_TEMPLATE false"
  sql main "DROP DATABASE $template"
done
fill main 1

rings=(auto off)
times=(1 6 2 3)
[[ ${LONG-} != 1 ]] || times=(50 50 50 50)
for FS in "${permitted[@]}"; do
  story "$FS: cut after an acknowledgement; SEED=$SEED ($SECONDS s)"
  for ((i = 0; i < times[0]; i++)); do after_acknowledgements; done
  story "$FS: cut while one segment is archived ($SECONDS s)"
  for ((i = 0; i < times[1]; i++)); do PITR_IO_RING=${rings[i % 2]} while_one_is_archived; done
  expect_nothing_lost "cut while one segment is archived"
  story "$FS: cut while the catalog is written ($SECONDS s)"
  for ((i = 0; i < times[2]; i++)); do while_the_catalog_is_written; done
  story "$FS: cut while archiving ($SECONDS s)"
  for ((i = 1; i <= times[3]; i++)); do
    while_archiving
    echo "  $(tail -n 1 "$WORK/cuts"); acknowledged: $(wc -l <"$acknowledged") files," \
      "$(wc -l <"$backups") backups ($SECONDS s)"
    # Every disk lives through several cuts, and is not filled.
    if ((i % 5 == 0)); then
      expect_sound_file_system
      new_disk "$FS"
    fi
  done
  expect_sound_file_system
done

if ! as_postgres strace -o /dev/null true 2>/dev/null; then
  skip "strace is not allowed here; the rest has passed"
fi
export PITR_ARCHIVE_LOOK_AHEAD=0 # the segment that loses its fsync is not stored before
for FS in "${permitted[@]}"; do
  bites "the file" archive_without_fsync 1 '\.tmp\.[^/]*'
  bites "its directory" archive_without_fsync 2 '[0-9A-F]{8}'
  backup_bites
done
switch_off
story "all in $SECONDS s"
