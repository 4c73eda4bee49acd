#!/bin/bash
# pitr expire is killed at its system calls: every backup that is seen restores, what is half removed is
# not seen and is no finding, and the next one ends what was begun.
source "$(dirname "$0")/crash_lib.sh"
sample=2
export PITR_RETENTION_BACKUPS=1 PITR_RETENTION_DAILY=2

small_cluster main
fill main 100
for _ in 1 2 3; do
  backup main
  archive_segments main 2
done
last=$BACKUP
stop main
cp -a "$WORK/main/repository" "$WORK/repository"
cp -a "$WORK/main/state" "$WORK/state"
command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" expire --json)

prepare() {
  rm -rf "$WORK/main/repository" "$WORK/main/state"
  cp -a "$WORK/repository" "$WORK/main/repository"
  cp -a "$WORK/state" "$WORK/main/state"
}

# What is seen is whole: no problem, no finding, every backup with its WAL.
expect_whole() {
  expect_status 0 pitr main info --json
  expect_json "$OUT"
  expect_equal "[]" "$(json "$OUT" 'd["clusters"][0]["problems"]')" "$POINT: problems"
  BACKUPS=$(json "$OUT" '" ".join(b["id"] for b in d["clusters"][0]["backups"] if b["status"] == "ok")')
  expect_equal "$(json "$OUT" 'len(d["clusters"][0]["backups"])')" "$(wc -w <<<"$BACKUPS")" "$POINT: whole backups"
  [[ $BACKUPS == *$last ]] || fail "$POINT: the last backup is gone"
  expect_status 0 pitr main verify
}

prepare
POINT=none
expect_status 0 "${command[@]}"
expect_whole
expect_equal "$last" "$BACKUPS" "what the policy keeps"
repository_files main | grep -v '/expired/' >"$WORK/expected"

prepare
traced "$WORK/trace" "${command[@]}"
points_of "$WORK/trace" "$sample" >"$WORK/points"
story "$(wc -l <"$WORK/points") points"
half=0
while read -r call number; do
  prepare
  killed_at "$call" "$number" "${command[@]}"
  expect_whole
  [[ $BACKUPS == "$last" ]] || half=$((half + 1))
  expect_status 0 "${command[@]}"
  expect_whole
  diff "$WORK/expected" <(repository_files main | grep -v '/expired/') >"$WORK/sums" ||
    fail "$POINT: the next one leaves something else: $(cat "$WORK/sums")"
done <"$WORK/points"
echo "$half times a backup was left to the next one"
expect_killed 20 "expire"

story "the last backup restores"
rm -rf "$WORK/copy"
restore_into main copy --target-immediate
