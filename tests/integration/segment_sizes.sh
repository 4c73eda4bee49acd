#!/bin/bash
# The core story with wal_segment_size 1 MiB and 64 MiB: nothing assumes 16 MiB.
source "$(dirname "$0")/lib.sh"

for size in 1 64; do
  story "segments of $size MiB are archived and given back"
  new_cluster "size$size" --wal-segsize="$size"
  expect_status 0 pitr "size$size" init
  expect_output "$size MiB"
  start "size$size"
  archives_and_gives_back "size$size" 2
  expect_equal $((size * 1048576)) "$(size_of "$WORK/fetched")" "size of a segment"
  stop "size$size"
done
