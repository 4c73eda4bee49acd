#!/bin/bash
# Every history file that a host has seen is cached, not only those that it saw as a standby.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
printf '1\t0/5000000\tno recovery target specified\n' >"$WORK/00000002.history"
printf '1\t0/5000000\tno recovery target specified\n2\t0/6000000\tno recovery target specified\n' \
  >"$WORK/00000003.history"
archive main "$WORK/00000002.history"
archive main "$WORK/00000003.history"
mkdir "$WORK/standby" "$WORK/elsewhere"
touch "$WORK/standby/standby.signal"

# fetch_on_standby FILE: the working directory tells what the server is.
fetch_on_standby() {
  rm -f "$WORK/fetched"
  fetch main "$1" "$WORK/fetched" "$WORK/standby"
}

story "one that a server fetched in its own recovery is served when it is a standby later"
expect_status 0 fetch main 00000002.history "$WORK/fetched" "$WORK/elsewhere"
mv "$WORK/main/repository" "$WORK/away"
expect_status 0 fetch_on_standby 00000002.history
expect_same_file "$WORK/00000002.history" "$WORK/fetched"
