#!/bin/bash
# A stored file that was damaged is found out before PostgreSQL sees a byte of it: 200, never 0 or 1.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 3
stop main
segment=$SEGMENT
file=$(stored main "$segment")
other=$(stored main "$(segment_after "$segment" -1)")
size=$(size_of "$file")
cp "$file" "$WORK/good"

damaged() {
  story "$1"
  expect_refused 200 main "$segment" "^ERROR: .*$segment"
  cp "$WORK/good" "$file"
}

for position in 0 20 $((size / 3)) $((size / 2)) $((size - 100)) $((size - 20)) $((size - 1)); do
  flip_byte "$file" "$position"
  damaged "one byte inverted at $position of $size"
done
truncate -s $((size / 2)) "$file"
damaged "truncated to half"
truncate -s $((size - 1)) "$file"
damaged "the last byte missing"
truncate -s 10 "$file"
damaged "a few bytes left"
: >"$file"
damaged "empty"
echo >>"$file"
damaged "a byte too many"
truncate -s "$size" <(:) 2>/dev/null || head -c "$size" /dev/zero >"$file"
damaged "zeros"

story "two stored files swapped: both are refused, though each is whole"
cp "$other" "$WORK/other"
cp "$WORK/other" "$file"
cp "$WORK/good" "$other"
expect_refused 200 main "$segment" "^ERROR: .*$segment"
expect_refused 200 main "$(segment_after "$segment" -1)" "^ERROR: "
cp "$WORK/good" "$file"
cp "$WORK/other" "$other"

story "a file under the name of a segment that never was"
cp "$WORK/good" "$(dirname "$file")/$(segment_after "$segment" 50)"
expect_refused 200 main "$(segment_after "$segment" 50)" "^ERROR: "
rm "$(dirname "$file")/$(segment_after "$segment" 50)"

if [[ $(id -u) != 0 ]]; then
  story "a stored file without permission to read is not absent"
  chmod 000 "$file"
  expect_refused 200 main "$segment" "^ERROR: .*Permission denied"
  chmod 600 "$file"
fi

story "a directory or an empty link in its place is not absent"
mv "$file" "$WORK/file"
mkdir "$file"
expect_refused 200 main "$segment" "^ERROR: "
rmdir "$file"
mv "$WORK/file" "$file"

story "an existing destination stays as it was while the stored file is damaged"
echo mine >"$WORK/destination"
flip_byte "$file" $((size / 2))
expect_status 200 fetch main "$segment" "$WORK/destination"
expect_equal mine "$(cat "$WORK/destination")" "destination"
cp "$WORK/good" "$file"
expect_fetched main "$segment" "$WORK/main/data/pg_wal/$segment"
