#!/bin/bash
# Any one system call or operation of a program that only looks fails: the answer is the same, or it says
# what could not be read.
source "$(dirname "$0")/crash_lib.sh"
sample=1
operations=4
questions=(
  "info --json"
  "restore --dry-run --json --to $WORK/nowhere"
  "restore --dry-run --json --before-drop filled"
  "history --json"
  "verify --json"
)

small_cluster main
fill main 100
backup main
archive_segments main 2
sql main 'DROP TABLE filled'
switch_and_wait main
stop main
PITR_IO_RING=off
export PITR_IO_RING
expect_status 0 pitr main catalog rebuild
cp -a "$WORK/main/state" "$WORK/state"
remember_repository main

# The state of the catalog is as it was, or there is none.
with_catalog() {
  rm -rf "$WORK/main/state"
  cp -a "$WORK/state" "$WORK/main/state"
}
without_catalog() { rm -rf "$WORK/main/state"; }

answer_in() { sed -E 's/"generated_at": *"[^"]*"//' "$1"; }

expect_same_answer_or_words() {
  # What cannot be read is a problem of the repository, but none of its contents.
  if [[ $STATUS == 3 && $question == verify* ]]; then
    expect_equal "['unreadable']" "$(json "$OUT" 'sorted({p["kind"] for p in d["problems"]})')" \
      "$POINT: kinds of problems"
    return
  fi
  expect_status_of_pitr
  if [[ $STATUS == 0 ]] && ! answer_in "$OUT" | cmp -s - "$WORK/answer"; then
    grep -q '^WARNING:  .' "$ERR" || grep -q '"code": *"unreadable"' "$OUT" ||
      fail "$POINT: another answer: $(answer_in "$OUT" | diff - "$WORK/answer" | head)
$(last_command)"
  fi
  expect_repository_unchanged main
}

# fail_everywhere PREPARE QUESTION
fail_everywhere() {
  local prepare=$1 call number error fault
  local -a command
  read -ra command <<<"$PITR_BIN/pitr --config $WORK/main/pitr.toml $2"
  "$prepare"
  expect_status 0 "${command[@]}"
  answer_in "$OUT" >"$WORK/answer"
  fault_points "$WORK/points" "$sample" -- "${command[@]}"
  while read -r call number error; do
    "$prepare"
    failing_at "$call" "$number" "$error" "${command[@]}"
    expect_same_answer_or_words
  done <"$WORK/points"
  "$prepare"
  operation_points "$WORK/points" "$operations" "${command[@]}"
  while read -r number fault; do
    "$prepare"
    failing_operation "$number" "$fault" "${command[@]}"
    expect_same_answer_or_words
  done <"$WORK/points"
}

for question in "${questions[@]}"; do
  for prepare in with_catalog without_catalog; do
    story "$question, ${prepare/_/ }"
    fail_everywhere "$prepare" "$question"
    expect_faults 8 "$question"
  done
done
