#!/bin/bash
# A backup that could not be restored is refused at the start, in words, with status 1 and without a
# trace in the repository.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
start main

# refused PATTERN [options]
refused() {
  expect_status 1 pitr main backup
  expect_error "^ERROR: "
  expect_error "$1"
  expect_status 1 pitr main backup --json
  expect_json "$OUT"
  expect_equal True "$(json "$OUT" 'd["error"]["code"] != ""')" "an error code"
  no_other_session main || fail "a session is left"
}
reload() {
  sql main 'SELECT pg_reload_conf()' >/dev/null
  sleep 0.2
}

story "a repository that was never made"
refused 'pitr init'
pitr main init >/dev/null

story "no archive_command"
settings main "archive_command = ''"
reload
refused 'archive_command'

story "archiving fails"
settings main "archive_command = 'false'"
reload
switch main
wait_until 20 "a counted failure" archiving_failed main
refused 'archiv.*fail|fail.*archiv'
settings main "archive_command = '$PITR_BIN/pitr-archive --config $WORK/main/pitr.toml %p'"
reload
switch_and_wait main

story "the data directory is another one"
mkdir -m 700 "$WORK/other"
new_cluster second --wal-segsize=1
cp "$WORK/main/pitr.toml" "$WORK/good.toml"
sed -i "s|^data_directory = .*|data_directory = \"$WORK/second/data\"|" "$WORK/main/pitr.toml"
refused "$WORK/second/data"
sed -i "s|^data_directory = .*|data_directory = \"$WORK/nowhere\"|" "$WORK/main/pitr.toml"
refused "$WORK/nowhere"
cp "$WORK/good.toml" "$WORK/main/pitr.toml"

story "the connection leads to another server"
start second
sed -i "s|^connection = .*|connection = \"host=$WORK/second port=5432 user=postgres dbname=postgres\"|" "$WORK/main/pitr.toml"
refused "system identifier|data directory"
stop second

story "no server answers"
expect_status 1 pitr main backup
expect_error "^ERROR: .*(connect|server)"
cp "$WORK/good.toml" "$WORK/main/pitr.toml"

story "what this version does not have, and what does not exist"
expect_status 2 pitr main backup --type incremental
expect_error "not available in this version"
expect_status 2 pitr main backup --type ful
expect_status 2 pitr main backup --labl x
expect_error "HINT: .*--label"
expect_status 2 pitr main backup --jobs 0

story "archive_mode = off"
stop main
settings main "archive_mode = off"
start main
refused 'archive_mode'
settings main "archive_mode = on"
stop main

story "a server in recovery"
cp -r "$WORK/main/data" "$WORK/kept"
as_postgres touch "$WORK/main/data/standby.signal"
start main
refused 'recovery'
stop main
rm -r "$WORK/main/data"
mv "$WORK/kept" "$WORK/main/data"

story "nothing of all this is in the repository, and a good backup succeeds"
expect_absent "$WORK/main/repository/backup"
start main
backup main
expect_backups main 1
