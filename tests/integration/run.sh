#!/bin/bash
# Runs the integration tests: run.sh [-j N] [PATTERN…]
# A pattern is a part of a test's name; without one all run, N at a time (2). Each test has
# TEST_TIMEOUT seconds (120). The status is 0 if every test passed.
set -euo pipefail

TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

run_one() {
  local test=$1 name status=0 begin=$EPOCHREALTIME
  name=$(basename "$test" .sh)
  timeout --kill-after=30 "${TEST_TIMEOUT:-120}" bash "$test" >"$RESULTS/$name.out" 2>&1 || status=$?
  local tenths=$(((${EPOCHREALTIME/./} - ${begin/./}) / 100000))
  local seconds=$((tenths / 10)).$((tenths % 10))
  if [[ $status == 0 ]]; then
    touch "$RESULTS/$name.passed"
    printf 'ok      %5s s  %s%s\n' "$seconds" "$name" \
      "$(sed -n '/^skipped: /{s/^/  (/;s/$/)/;p;q}' "$RESULTS/$name.out")"
  else
    touch "$RESULTS/$name.failed"
    # One write, so that the output of two tests does not mix.
    printf '%s\n' "FAILED  $(printf %5s "$seconds") s  $name (status $status)
$(sed 's/^/    /' "$RESULTS/$name.out")"
  fi
}

if [[ ${1-} == --one ]]; then
  run_one "$2"
  exit 0
fi

jobs=2
patterns=()
while (($#)); do
  case $1 in
    -j) jobs=${2:?-j needs a number}; shift 2 ;;
    -j*) jobs=${1#-j}; shift ;;
    -h | --help) sed -n '2,4s/^# //p' "$0"; exit 0 ;;
    -*) echo "unknown option $1" >&2; exit 2 ;;
    *) patterns+=("$1"); shift ;;
  esac
done

chosen=()
for test in "$TESTS"/*.sh; do
  name=$(basename "$test" .sh)
  [[ $name == *lib || $name == run ]] && continue
  matches=$((${#patterns[@]} == 0))
  for pattern in "${patterns[@]}"; do
    [[ $name == *$pattern* ]] && matches=1
  done
  ((matches)) && chosen+=("$test")
done
((${#chosen[@]})) || { echo "no test matches" >&2; exit 2; }

RESULTS=$(mktemp -d)
export RESULTS
trap 'rm -rf "$RESULTS"' EXIT

# The end of run.sh is the end of every test, each of which cleans up after itself.
printf '%s\0' "${chosen[@]}" | xargs -0 -n 1 -P "$jobs" "$0" --one

passed=$(find "$RESULTS" -name '*.passed' | wc -l)
failed=$((${#chosen[@]} - passed))
echo "$passed passed, $failed failed"
((failed == 0))
