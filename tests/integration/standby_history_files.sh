#!/bin/bash
# A standby asks for timeline history files while its repository is gone. A false "not there" would
# make it take a timeline that exists; a false 200 would take down the node that failover needs.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
printf '1\t0/5000000\tno recovery target specified\n' >"$WORK/00000002.history"
printf '1\t0/5000000\tno recovery target specified\n2\t0/6000000\tno recovery target specified\n' \
  >"$WORK/00000003.history"
archive main "$WORK/00000002.history"
archive main "$WORK/00000003.history"
mkdir "$WORK/standby"
touch "$WORK/standby/standby.signal"

# fetch_on_standby FILE: the working directory tells what the server is.
fetch_on_standby() {
  rm -f "$WORK/fetched"
  fetch main "$1" "$WORK/fetched" "$WORK/standby"
}

expect_status 0 fetch_on_standby 00000002.history
expect_same_file "$WORK/00000002.history" "$WORK/fetched"
mv "$WORK/main/repository" "$WORK/away"

story "one that it has seen is served from the cache"
expect_status 0 fetch_on_standby 00000002.history
expect_same_file "$WORK/00000002.history" "$WORK/fetched"
PITR_RESTORE_STANDBY_UNREACHABLE=stop expect_status 0 fetch_on_standby 00000002.history
expect_same_file "$WORK/00000002.history" "$WORK/fetched"

story "one beyond the highest known is 1 with ERROR"
expect_status 1 fetch_on_standby 00000004.history
expect_error "^ERROR: "
expect_absent "$WORK/fetched"

story "one that is known to exist, but is not cached, is 200: that timeline is taken"
expect_status 200 fetch_on_standby 00000003.history
expect_error "^ERROR: "
expect_absent "$WORK/fetched"

story "outside a standby the cache answers nothing: 200"
expect_refused 200 main 00000004.history "^ERROR: "

story "the repository is back: all are served"
mv "$WORK/away" "$WORK/main/repository"
expect_status 0 fetch_on_standby 00000003.history
expect_same_file "$WORK/00000003.history" "$WORK/fetched"
expect_status 1 fetch_on_standby 00000004.history
expect_absent "$WORK/fetched"
