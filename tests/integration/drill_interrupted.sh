#!/bin/bash
# A rehearsal that is asked to end, or killed, leaves no process behind; what lies there still the next
# one removes, and nothing else. Two at once take turns.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=200ms

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 2000
backup main
switch_and_wait main
scratch_space
export PITR_DRILL_DIRECTORY=$SCRATCH PITR_DRILL_BIN_DIRECTORY=$PG_BIN PITR_DRILL_TIMEOUT=60s
cp "$WORK/main/pitr.toml" "$WORK/plain.toml"
cat >"$WORK/sleeps" <<'END'

[[drill.check]]
name = "sleeps"
sql = "SELECT true FROM pg_sleep(60)"
END

no_process() { ! pgrep -f "$SCRATCH"; }
# Of our own server: other tests rehearse at the same time.
asleep() {
  local postmaster
  postmaster=$(head -q -n 1 "$SCRATCH"/*/data/postmaster.pid 2>/dev/null) || return 1
  pgrep -P "$postmaster" -f 'pitr drill: .*SELECT'
}
# drill_in_background [options]: DRILL is its process.
drill_in_background() {
  "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" drill --json "$@" >"$OUT" 2>"$ERR" &
  DRILL=$!
}
expect_end() {
  local status=0
  wait "$DRILL" 2>/dev/null || status=$?
  LAST_COMMAND="pitr drill, in the background"
  [[ $status == "$1" ]] || fail "expected status $1, got $status
$(last_command)"
}

story "asked to end while the server answers a question"
cat "$WORK/sleeps" >>"$WORK/main/pitr.toml"
drill_in_background
wait_until 20 "the question is asked" asleep
kill -TERM "$DRILL"
expect_end 1
expect_equal interrupted "$(json "$OUT" 'd["error"]["code"]')" "the error"
nothing_is_left
expect_absent "$WORK/main/state/drill.json"

story "asked to end while the server starts, which does not heed anyone"
mkdir "$WORK/bin"
ln -s "$PG_BIN/pg_verifybackup" "$WORK/bin/"
cat >"$WORK/bin/postgres" <<END
#!/bin/bash
[[ \$1 != --version ]] || exec $PG_BIN/postgres --version
trap '' TERM INT
(setsid sleep 61 $SCRATCH &) 2>/dev/null
bash -c 'trap "" QUIT; exec -a "orphan of $SCRATCH" sleep 60' &
echo \$\$ >$WORK/started
while :; do sleep 0.1; done
END
chmod +x "$WORK/bin/postgres"
drill_in_background --bin-dir "$WORK/bin"
wait_until 20 "it was started" test -s "$WORK/started"
kill -INT "$DRILL"
expect_end 1
nothing_is_left

story "killed: the server goes with it, the next one removes the folder"
drill_in_background
wait_until 20 "the question is asked" asleep
kill -KILL "$DRILL"
expect_end 137
wait_until 10 "no process" no_process
left=$(ls "$SCRATCH")
[[ -n $left ]] || fail "nothing is left: the test shows nothing"
cp "$WORK/plain.toml" "$WORK/main/pitr.toml"
mkdir "$SCRATCH/pitr-drill.mine"
echo mine >"$SCRATCH/pitr-drill.mine/file"
expect_status 0 pitr main drill
expect_error "^INFO: +removing .*$left"
expect_equal pitr-drill.mine "$(ls "$SCRATCH")" "the scratch space"
expect_equal mine "$(cat "$SCRATCH/pitr-drill.mine/file")" "what is somebody else's"
rm -r "$SCRATCH/pitr-drill.mine"

story "a server that has survived is ended before its folder goes"
folder=$SCRATCH/pitr-drill.20261101T000000Z
expect_status 0 pitr main restore --to "$folder/data" --target-immediate --archive-mode off
touch "$folder/pitr.drill"
"$PG_BIN/pg_ctl" start -D "$folder/data" -l "$WORK/left.log" -w -o "-c unix_socket_directories=$folder" >/dev/null
expect_status 0 pitr main drill
nothing_is_left

story "two at once: the second waits, or says who is there"
cat "$WORK/sleeps" >>"$WORK/main/pitr.toml"
drill_in_background
wait_until 20 "the question is asked" asleep
cp "$WORK/plain.toml" "$WORK/main/pitr.toml"
cp "$OUT" "$WORK/first.out"
OUT=$WORK/second.out ERR=$WORK/second.err
expect_status 1 pitr main drill --lock-timeout 200ms
expect_error "another rehearsal uses"
expect_error "held by process $DRILL on"
kill -TERM "$DRILL"
expect_status 0 pitr main drill --lock-timeout 30s
expect_end 1
nothing_is_left

story "a folder for the state that cannot be written costs the record only"
chmod 500 "$WORK/main/state"
expect_status 0 pitr main drill
expect_error "^WARNING: .*was not recorded"
chmod 700 "$WORK/main/state"
nothing_is_left
