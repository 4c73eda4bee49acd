#!/bin/bash
# Two programs that want the catalog at once: the second waits, says for whom, and gives up in time.
# Archiving never waits for it.
source "$(dirname "$0")/crash_lib.sh"

small_cluster main
backup main
archive_segments main 1
expect_status 0 pitr main catalog rebuild
lock=$WORK/main/state/catalog.lock

held() { ! flock --nonblock "$lock" true; }
seconds_since() { echo $(((${EPOCHREALTIME/./} - $1) / 1000000)); }

story "a rebuild that takes its time, waited for in vain"
strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=1500000 \
  "$PITR_BIN/pitr" --config "$WORK/main/pitr.toml" catalog rebuild >/dev/null 2>&1 &
first=$!
wait_until 10 "it holds the catalog" held
begin=${EPOCHREALTIME/./}
expect_status 1 pitr main catalog rebuild --lock-timeout 1s
expect_error "waiting for the catalog.*process [0-9]+ on .*pitr catalog rebuild"
expect_error "^ERROR: .*catalog is in use"
expect_error "^DETAIL: .*process [0-9]+ on $(uname -n) \(pitr catalog rebuild\)"
expect_error "^HINT: .*--lock-timeout"
(($(seconds_since "$begin") >= 1 && $(seconds_since "$begin") < 4)) || fail "it did not wait for 1 s"

story "reading does not wait for it, and is told the truth meanwhile"
remember_answer main
expect_answer main "during a rebuild"
held || fail "the first one is done already"

story "and waited for with patience; neither disturbs the other"
held || fail "the first one is done already"
expect_status 0 pitr main --lock-timeout 60s catalog rebuild
expect_error "waiting for the catalog"
wait "$first" || fail "the first one failed"
remember_answer main
expect_answer main "after both"

story "--json says it too"
flock "$lock" sleep 20 &
holder=$!
AT_EXIT+=("kill $holder 2>/dev/null")
wait_until 10 "the catalog held" held
expect_status 1 pitr main catalog rebuild --lock-timeout 100ms --json
expect_json "$OUT"
expect_equal lock_timeout "$(json "$OUT" 'd["error"]["code"]')" "code"

story "archiving and reading never wait for it"
begin=${EPOCHREALTIME/./}
archive_segments main 2
expect_equal 0 "$(archiver main failed_count)" "failed_count"
remember_answer main
expect_answer main "while another holds it"
(($(seconds_since "$begin") < 10)) || fail "archiving waited"

story "a backup is published all the same; the catalog learns of it later"
expect_status 0 pitr main backup --json --lock-timeout 1s
expect_error "catalog was not brought up to date"
expect_backups main 2
held || fail "nobody held the catalog"
remember_answer main
expect_answer main "published without the catalog"
