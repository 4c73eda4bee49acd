#!/bin/bash
# pitr catalog rebuild is killed at its system calls: info says the same as without a catalog, and the
# next call works.
source "$(dirname "$0")/crash_lib.sh"
sample=4

small_cluster main
fill main 100
archive_segments main 2
backup main
archive_segments main 2
stop main
remember_answer main
# With a catalog and a journal to be taken in.
cp -a "$WORK/main/state" "$WORK/state"
[[ -d $WORK/state/catalog && -s $WORK/state/journal ]] || fail "no catalog or no journal to begin with"
command=("$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" catalog rebuild)

for begin in "with a catalog" "without one"; do
  prepare() {
    rm -rf "$WORK/main/state"
    [[ $begin == "without one" ]] || cp -a "$WORK/state" "$WORK/main/state"
  }
  prepare
  traced "$WORK/trace" "${command[@]}"
  points_of "$WORK/trace" "$sample" >"$WORK/points"
  story "$begin: $(wc -l <"$WORK/points") points"
  while read -r call number; do
    prepare
    killed_at "$call" "$number" "${command[@]}"
    expect_answer main "$POINT"
    expect_status 0 "${command[@]}"
    expect_answer main "$POINT, and rebuilt"
  done <"$WORK/points"
  expect_killed 20 "$begin"
done
