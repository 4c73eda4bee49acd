#!/bin/bash
# A cluster with logical replication subscriptions: restore says that a promoted copy would start them.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
backup main
switch_and_wait main

story "without any nothing is said"
expect_status 0 pitr main restore --dry-run
expect_no_error "subscription"

story "one that the newest map knows is named, with what keeps it from starting"
sql main "SET client_min_messages = error; CREATE SUBSCRIPTION from_elsewhere CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)"
pitr main map >/dev/null
switch_and_wait main
expect_status 0 pitr main restore --dry-run --target-immediate
expect_error "subscriptions \(\"from_elsewhere of postgres\"\)"
option=$(sed -nE 's/.*--recovery-option (max_[a-z_]+=0).*/\1/p' "$ERR")
restore_into main copy --recovery-option "$option" --archive-mode off
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 1 "$(sql copy 'SELECT count(*) FROM pg_subscription')" "subscriptions"
expect_equal 0 "$(sql copy 'SHOW max_logical_replication_workers')" "workers"
stop copy

story "a standby takes nothing from publishers"
expect_status 0 pitr main restore --to "$WORK/standby" --standby --archive-mode off
expect_no_error "subscriptions"
