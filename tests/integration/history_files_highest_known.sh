#!/bin/bash
# The highest timeline listed is noted at each contact with the repository: a standby that has never
# fetched a history file does not take a timeline that it could have known to exist.
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

story "a contact that answers \"not there\" tells which are there"
expect_status 1 fetch_on_standby 00000004.history
mv "$WORK/main/repository" "$WORK/away"
expect_status 200 fetch_on_standby 00000003.history
expect_error "^ERROR: "
expect_absent "$WORK/fetched"
expect_status 1 fetch_on_standby 00000004.history
