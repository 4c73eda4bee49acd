#!/bin/bash
# pitr verify, stopped at any moment, goes on where it was and ends with the same answer; it is clean on
# a repository that is written to at the same time, keeps to a rate, and reads a share when asked.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
settings main 'fsync = off'
pitr main init >/dev/null
start main
backup main
for _ in 1 2 3 4 5 6 7 8; do
  fill main 9000
  switch_and_wait main
done
backup main

# The second half of a verification that was killed must not read the first half again.
checked() { json "$OUT" 'd["checked"]["segments"], d["checked"]["backup_files"], d["checked"]["bytes"]'; }
expect_status 0 pitr main verify --json
whole=$(checked)

story "killed three times on the way"
stopped=0
rate=$(($(json "$OUT" 'd["checked"]["bytes"]') / 12))
for _ in 1 2 3; do
  status=0
  timeout -s KILL 3 "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" verify --json --rate-limit "$rate" \
    >"$OUT" 2>"$ERR" || status=$?
  [[ $status == 137 ]] || break
  stopped=$((stopped + 1))
  ls "$WORK"/main/state/verify/* >/dev/null || fail "nothing was noted"
done
((stopped >= 2)) || fail "it was stopped $stopped times only: the rate limit limits nothing"
expect_status 0 pitr main verify --json
expect_error "going on with the verification"
expect_equal "$whole" "$(checked)" "what was checked in pieces"
[[ -z $(ls "$WORK/main/state/verify") ]] || fail "the note was left behind"

story "what was found before it was stopped is told at the end"
first=$(find "$WORK/main/repository/wal" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' | sort | head -n 1)
cp "$first" "$WORK/kept"
flip_byte "$first" 5000
timeout -s KILL 3 "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" verify --rate-limit "$rate" >/dev/null 2>&1 || true
grep -q "${first##*/}" "$WORK"/main/state/verify/* || fail "the finding was not noted"
cp "$WORK/kept" "$first" # it is known all the same
expect_status 3 pitr main verify --json
expect_equal "corrupt" "$(json "$OUT" 'd["problems"][0]["kind"]')" "kind"

story "another question, --restart, or a damaged note begins anew"
timeout -s KILL 3 "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" verify --rate-limit "$rate" >/dev/null 2>&1 || true
expect_status 0 pitr main verify --wal
expect_no_error "going on"
timeout -s KILL 3 "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" verify --rate-limit "$rate" >/dev/null 2>&1 || true
expect_status 0 pitr main verify --restart --json
expect_no_error "going on"
expect_equal "$whole" "$(checked)" "what was checked anew"
echo rubbish >"$WORK/main/state/verify/main-$(json <(pitr main info --json) 'd["clusters"][0]["system_identifier"]')"
expect_status 0 pitr main verify --json
expect_equal "$whole" "$(checked)" "what was checked beside a damaged note"

story "while WAL is archived and a backup is taken"
(
  while [[ ! -e $WORK/enough ]]; do
    fill main 2000
    sql main "SELECT pg_switch_wal()" >/dev/null
  done
) &
writer=$!
pitr main backup >/dev/null 2>"$WORK/backup.err" &
taker=$!
for _ in 1 2 3 4; do
  before=$(find "$WORK/main/repository/wal" -type f | wc -l)
  expect_status 0 pitr main verify --json --rate-limit $((rate * 5))
  (($(find "$WORK/main/repository/wal" -type f | wc -l) > before)) || fail "nothing was archived meanwhile"
done
touch "$WORK/enough"
wait "$writer"
wait "$taker" || fail "backup: $(cat "$WORK/backup.err")"
expect_status 0 pitr main verify --json

story "a share of the contents, by chance: damage is found by some of many samples, and never by none"
flip_byte "$first" 5000
found=0
for _ in $(seq 12); do
  status=0
  pitr main verify --wal --sample 40% >"$OUT" 2>"$ERR" || status=$?
  [[ $status == 0 || $status == 3 ]] || fail "status $status: $(cat "$ERR")"
  ((status == 0)) || found=$((found + 1))
done
((found > 0 && found < 12)) || fail "$found of 12 samples of 40 % had the damaged segment"

story "a state directory that cannot be written costs a warning"
cp "$WORK/kept" "$first"
rm -rf "$WORK/main/state"
: >"$WORK/main/state"
expect_status 0 pitr main verify
