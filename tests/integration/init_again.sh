#!/bin/bash
# pitr init makes the repository once, says so when asked again, and never gives a name to two
# clusters.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
new_cluster other --wal-segsize=1

story "before init nothing is archived, and nothing is created"
expect_status 1 archive main pg_wal/000000010000000000000001
expect_error "^ERROR: "
expect_absent "$WORK/main/repository"

story "init reads the data directory; no server is needed"
expect_status 0 pitr main init
expect_output '"main"'
expect_output "$("$PG_BIN/pg_controldata" "$WORK/main/data" | sed -n 's/^Database system identifier: *//p')"
remember_repository main

story "again: says so, status 0, changes nothing"
expect_status 0 pitr main init
expect_output '"main"'
expect_repository_unchanged main

story "another cluster under the same name is refused"
pitr_config other main
expect_status 1 pitr other init
expect_error "^ERROR: .*main"
expect_error "$("$PG_BIN/pg_controldata" "$WORK/other/data" | sed -n 's/^Database system identifier: *//p')"
expect_repository_unchanged main

story "under a name of its own it is welcome in the same repository"
sed -i 's/^name = .*/name = "other"/' "$WORK/other/pitr.toml"
expect_status 0 pitr other init
expect_repository_kept main

story "a directory that holds something else is not taken for a repository"
for place in "$WORK/main/pitr.toml" "$WORK/main/pitr.toml/in" /dev/null; do
  PITR_REPOSITORY_URL=file://$place expect_status 1 pitr main init
  expect_error "^ERROR: .*$place.*: Not a directory"
done
ln -s "$WORK/main/data" "$WORK/link"
for place in "$WORK/main/data/repository" "$WORK/link/base/repository" "$WORK/main/data"; do
  PITR_REPOSITORY_URL=file://$place expect_status 2 pitr main init
  expect_error "^ERROR: .*lies in the data directory"
done
expect_absent "$WORK/main/data/repository"
mkdir "$WORK/full"
echo mine >"$WORK/full/file"
PITR_REPOSITORY_URL=file://$WORK/full expect_status 2 pitr main init
expect_error "^ERROR: .*$WORK/full"
expect_equal file "$(ls -A "$WORK/full")" "the directory's contents"
