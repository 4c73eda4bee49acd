#!/bin/bash
# The core story with each compression, in one repository: what was stored with another stays
# readable.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
declare -A stored_size
for compression in none lz4 zstd zstd:9; do
  story "compression = \"$compression\""
  COMPRESSION=$compression pitr_config main
  archives_and_gives_back main 2
  stored_size[$compression]=$(size_of "$(stored main "$SEGMENT")")
done
((stored_size[none] >= 1048576)) || fail "none stored ${stored_size[none]} bytes"
for compression in lz4 zstd zstd:9; do
  ((stored_size[$compression] < stored_size[none])) || fail "$compression did not compress"
done

story "everything stored with any of them is given back with the last one configured"
for file in $(archived_files main); do
  expect_fetched main "$file" "$WORK/main/data/pg_wal/$file"
done

story "a segment stored with one compression is the same file under another"
remember_repository main
for segment in $(archived_files main | head -n 4); do
  expect_status 0 archive main "pg_wal/$segment"
done
expect_repository_unchanged main
