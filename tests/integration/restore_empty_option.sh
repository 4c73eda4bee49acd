#!/bin/bash
# An option with an empty value, as a script's unset variable leaves it, is refused: taken for no target
# it would bring back everything up to the end of the WAL.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
for option in --target-time --target-lsn --target-xid --target-name --before-xid --timeline --backup --action \
  --archive-mode --waldir --tablespace --recovery-option; do
  story "$option \"\""
  expect_status 2 pitr main restore --to "$WORK/to" "$option" ""
  expect_error "^ERROR: .*${option#--}"
  expect_absent "$WORK/to"
  expect_status 2 pitr main restore --to "$WORK/to" "$option="
  expect_absent "$WORK/to"
done
