#!/bin/bash
# While pgbench writes, a call of pitr-archive, a backup or a restore is killed at a random moment, again
# and again. After each time the job is done again; what was acknowledged is given back byte by byte, and
# every published backup restores.
#     ROUNDS   how many times (20; LONG=1: 200)
#     SEED     of the random numbers, to see a run again
source "$(dirname "$0")/crash_lib.sh"
export PITR_RESTORE_RETRY_TIME=2s
rounds=${ROUNDS:-$([[ ${LONG-} == 1 ]] && echo 200 || echo 20)}
SEED=${SEED:-$((EPOCHSECONDS % 32768))}
RANDOM=$SEED
echo "seed $SEED, $rounds rounds"

# PostgreSQL's archiver calls it. It notes which process archives, so that the test can kill that one; a
# signal would otherwise take the archiver with it, which is started again after ten seconds only.
cat >"$WORK/archive" <<END_OF_SCRIPT
#!/bin/bash
"$PITR_BIN/pitr-archive" --config "$WORK/main/pitr.toml" "\$1" &
echo \$! >"$WORK/archiving.\$!"
wait \$!
status=\$?
rm -f "$WORK/archiving.\$!"
((status <= 128)) || status=1
exit \$status
END_OF_SCRIPT

small_cluster main
settings main "wal_keep_size = '4GB'" "archive_command = 'bash $WORK/archive %p'" "max_wal_size = '64MB'"
sql main 'SELECT pg_reload_conf()' >/dev/null
pgbench=("$PG_BIN/pgbench" -h "$WORK/main" -p 5432 -U postgres -d postgres)
"${pgbench[@]}" -i -q -s 1 >/dev/null 2>&1
"${pgbench[@]}" -n -c 2 -T 100000 --rate 300 >"$WORK/pgbench.log" 2>&1 &
load=$!
AT_EXIT+=("kill $load 2>/dev/null")
backup main

# random FROM TO: a number of milliseconds, as sleep(1) wants it.
random() {
  local number=$(($1 + RANDOM % ($2 - $1 + 1)))
  printf '%d.%03d' $((number / 1000)) $((number % 1000))
}

# kill_after SECONDS command…: STATUS is 137 unless it was done before.
kill_after() {
  local delay=$1 process
  shift
  STATUS=0
  "$@" >"$OUT" 2>"$ERR" &
  process=$!
  sleep "$delay"
  kill -KILL "$process" 2>/dev/null || true
  wait "$process" 2>/dev/null || STATUS=$?
  [[ $STATUS == 0 || $STATUS == 137 ]] || fail "status $STATUS: $* $(cat "$ERR")"
  [[ $STATUS != 137 ]] || KILLED=$((KILLED + 1))
}

backup_ids() {
  expect_status 0 pitr main info --json
  json "$OUT" '"\n".join(b["id"] for b in d["clusters"][0]["backups"])'
}

forget() { find "$WORK/main/repository/data" "$WORK/main/repository/backup" -depth -path "*$1*" -delete; }

# Those that this has not seen yet; then all but the newest are forgotten.
expect_backups_restore() {
  local id newest=
  for id in $(backup_ids | sort); do
    [[ -z $newest ]] || forget "$newest"
    newest=$id
    [[ $id > $CHECKED_BACKUP ]] || continue
    rm -rf "$WORK/check"
    restore_into main check --backup "$id" --target-immediate
    CHECKED_BACKUP=$id
    BACKUPS=$((BACKUPS + 1))
  done
}
CHECKED_BACKUP=
BACKUPS=0

# What PostgreSQL was told is stored, and this has not seen yet.
CHECKED=
expect_acknowledged_given_back() {
  local file
  for file in $(archived_files main); do
    [[ $file > $CHECKED && $file =~ ^[0-9A-F]{24}$ ]] || continue
    expect_fetched main "$file" "$WORK/main/data/pg_wal/$file"
    CHECKED=$file
    SEGMENTS=$((SEGMENTS + 1))
  done
}
SEGMENTS=0

# Waits for a call of the archiver and kills it at some moment of its life.
kill_archiving() {
  local note process killed=0
  sql main "SELECT pg_switch_wal()" >/dev/null
  for _ in {1..200}; do
    for note in "$WORK"/archiving.*; do
      process=${note##*.}
      [[ -e /proc/$process ]] || continue
      sleep "$(random 0 4)"
      # Only the process that the note is about: its number may have another owner by now.
      if grep -qs "$WORK/main/pitr.toml" "/proc/$process/cmdline"; then
        kill -KILL "$process" 2>/dev/null && killed=1
      fi
      break
    done
    [[ $killed == 0 ]] || break
    sleep 0.01
  done
  KILLED=$((KILLED + killed))
  # A backup is refused while the last word of the archiver was a failure.
  wait_until 10 "the call is over" test ! -e "$note"
  sleep 0.1
  wait_until 10 "archiving goes on" archiving_works
}
archiving_works() {
  [[ $(archiver main "coalesce(last_archived_time > last_failed_time, true)") == t ]]
}

kill_backup() {
  kill_after "$(random 0 250)" "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" backup --jobs 2
  wait_until 10 "the server out of backup mode" no_other_session_of_ours
  [[ $((RANDOM % 2)) == 0 ]] || backup main
  expect_backups_restore
}
no_other_session_of_ours() {
  [[ $(sql main "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND application_name <> 'pgbench'") == 0 ]]
}

kill_restore() {
  local command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" restore --to "$WORK/copy/data" --jobs 2)
  rm -rf "$WORK/copy"
  mkdir "$WORK/copy"
  kill_after "$(random 0 60)" "${command[@]}"
  if [[ $STATUS == 137 && ! -e $WORK/copy/data/global/pg_control ]]; then
    expect_cannot_start copy
  fi
  expect_status 0 "${command[@]}" --delta
  expect_verified copy
}

jobs=(kill_archiving kill_backup kill_restore)
declare -A COUNT=()
for ((round = 1; round <= rounds; round++)); do
  job=${jobs[RANDOM % ${#jobs[@]}]}
  COUNT[$job]=$((${COUNT[$job]-0} + 1))
  LAST_COMMAND="round $round of seed $SEED: $job"
  "$job"
  expect_acknowledged_given_back
  kill -0 "$load" || fail "pgbench has ended: $(cat "$WORK/pgbench.log")"
done
for job in "${!COUNT[@]}"; do echo "$job: ${COUNT[$job]} rounds"; done
echo "killed $KILLED times, $SEGMENTS segments given back, $BACKUPS backups restored ($SECONDS s)"
((KILLED >= rounds / 3)) || fail "killed only $KILLED times"

story "the repository is clean, and the last moment of the server can be recovered"
kill "$load"
wait "$load" 2>/dev/null || true
wait_until 10 "the last transactions of pgbench" no_other_session main
backup main
switch main
wait_until 30 "everything archived" nothing_to_archive main
expect_acknowledged_given_back
for file in $(archived_files main | grep -E '^[0-9A-F]{24}$'); do
  expect_fetched main "$file" "$WORK/main/data/pg_wal/$file"
done
expect_backups_restore
expect_no_leftovers main
expect_status 0 pitr main info --json
expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["problems"]')" "problems"
sums="SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
  (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history),
  (SELECT count(*) FROM pgbench_history)"
expected=$(sql main "$sums")
stop main
rm -rf "$WORK/copy"
restore_into main copy
settings copy "archive_mode = off"
start_copy copy
wait_until 60 "the end of recovery" out_of_recovery copy
expect_equal "$expected" "$(sql copy "$sums")" "pgbench's sums"
expect_sound copy
