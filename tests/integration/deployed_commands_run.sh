#!/bin/bash
# The commands of deploy/cron and deploy/kubernetes, word for word, on a real cluster: on the server's host,
# and as the CronJobs run, beside a server whose data directory is not there.
# Read first: lib.sh may go on as a user, and from a copy, that cannot.
deploy=$(dirname "$0")/../../deploy
export CRON_COMMANDS=${CRON_COMMANDS:-$(grep -vE '^(#|$|[A-Z]+=)' "$deploy/cron/pitr" | grep -oE 'pitr [a-z][^>|)]*')}
export JOB_COMMANDS=${JOB_COMMANDS:-$(grep -oE 'command: \[pitr, .*\]' "$deploy/kubernetes/cronjobs.yaml" |
  sed -E 's/command: \[(.*)\]/\1/; s/,//g')}
source "$(dirname "$0")/lib.sh"
new_cluster main --wal-segsize=1
expect_status 0 pitr main init
scratch_space
cat >>"$WORK/main/pitr.toml" <<END
[retention]
backups = 2
[drill]
directory = "$SCRATCH"
bin_directory = "$PG_BIN"
END
start main
fill main 100
switch_and_wait main

# run_line WORDS…: with paths that are not here replaced.
ON_HOST=()
run_line() {
  local words=() word
  for word in "$@"; do
    [[ $word != */pitr.prom ]] || word=$WORK/main/pitr.prom
    words+=("$word")
  done
  story "${words[*]}"
  [[ ${words[0]} == pitr ]] || fail "not pitr: ${words[*]}"
  expect_status 0 "${ON_HOST[@]}" "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" "${words[@]:1}"
}

while read -r line; do
  read -ra words <<<"$line"
  run_line "${words[@]}"
done <<<"$CRON_COMMANDS"
promtool check metrics <"$WORK/main/pitr.prom" >"$WORK/promtool" 2>&1 || fail "$(cat "$WORK/promtool")"

# Nothing of the server's path may be on a job's host.
mkdir "$WORK/kept"
hide() {
  unshare --user --map-current-user --keep-caps --mount bash -ec '
    kept=$1 place=$2
    shift 2
    mount --bind "$place" "$kept"
    mount -t tmpfs none "$place"
    for entry in "$kept"/* "$kept"/.s.*; do
      name=$(basename "$entry")
      [[ $name != data ]] || continue
      if [[ -d $entry ]]; then mkdir "$place/$name"; else : >"$place/$name"; fi
      mount --bind "$entry" "$place/$name"
    done
    exec "$@"' - "$WORK/kept" "$WORK/main" "$@"
}
if ! hide true 2>/dev/null; then
  echo "the CronJobs are left out: a mount namespace is not allowed here"
  exit 0
fi
ON_HOST=(hide)
export PITR_CLUSTER_DATA_DIRECTORY=/nowhere
while read -r line; do
  read -ra words <<<"$line"
  run_line "${words[@]}"
done <<<"$JOB_COMMANDS"
unset PITR_CLUSTER_DATA_DIRECTORY
expect_status 0 pitr main info --json
expect_equal "files stream" "$(json "$OUT" '" ".join(b["method"] for b in d["clusters"][0]["backups"])')" "methods"
expect_equal "verify drill" "$(grep -oE '"command":"(verify|drill)"' "$WORK/main/state/audit.log" | tail -n 2 |
  sed -E 's/.*:"(.*)"/\1/' | xargs)" "the last lines of the audit log"
