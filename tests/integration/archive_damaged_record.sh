#!/bin/bash
# A damaged record inside a segment: archived all the same, since to refuse would fill the server's
# disk; warned about; and given back to no recovery that would silently end at it.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 1
remember_repository main

# A full segment, never offered to pitr in its good form.
settings main "archive_command = 'false'"
sql main 'SELECT pg_reload_conf()' >/dev/null
fill main 20000
switch main
stop main immediate
segment=$(status_files main ready | grep -E '^[0-9A-F]{24}$' | head -n 1)
mkdir "$WORK/offered"
damaged=$WORK/offered/$segment
cp "$WORK/main/data/pg_wal/$segment" "$damaged"
flip_byte "$damaged" 500000
! "$PG_BIN/pg_waldump" --quiet "$damaged" >/dev/null 2>&1 || fail "the damage does not show"

story "a segment with a damaged record is archived with status 0 and a WARNING that names it"
expect_status 0 archive main "$damaged"
expect_error "^WARNING: .*$segment"
expect_repository_kept main
[[ $(repository_files main | wc -l) == $(($(wc -l <"$WORK/main/remembered") + 1)) ]] ||
  fail "expected one more stored file"

story "again: status 0 still"
expect_status 0 archive main "$damaged"

story "pitr-restore does not hand it to a recovery, which would end there and open: 200"
expect_refused 200 main "$segment" "^ERROR: .*$segment.*damaged|^ERROR: .*$segment.*invalid"

story "a damaged record in the last page is no end of the WAL: archived whole, not as a tail"
segment=$(status_files main ready | grep -E '^[0-9A-F]{24}$' | sed -n 2p)
damaged=$WORK/offered/$segment
for back in 3000 6000; do
  cp "$WORK/main/data/pg_wal/$segment" "$damaged"
  flip_byte "$damaged" $((1048576 - back))
  "$PG_BIN/pg_waldump" --quiet "$damaged" >/dev/null 2>&1 && continue # in a hole of a page image
  break
done
expect_status 0 archive main "$damaged"
expect_error "^WARNING: .*$segment.*invalid record"
[[ -n $(stored main "$segment") ]] || fail "the whole segment is not stored: $(repository_files main)"
expect_equal "" "$(stored main "$segment.tail-*")" "tails"
expect_refused 200 main "$segment" "^ERROR: .*$segment.*invalid"
