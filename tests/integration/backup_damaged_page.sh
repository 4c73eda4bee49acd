#!/bin/bash
# A page damaged on disk: the backup is published and names it, with status 3. A page of zeros is none.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 2000
file=$(sql main "SELECT pg_relation_filepath('filled')")
stop main
cp "$WORK/main/data/$file" "$WORK/whole"

story "a page of zeros, as PostgreSQL leaves behind when it extends a file, is valid"
dd if=/dev/zero bs=8192 count=1 >>"$WORK/main/data/$file" 2>/dev/null
start main
backup main
expect_equal "[]" "$(json "$OUT" 'd["page_errors"]')" "page errors"
stop main

story "damaged pages are listed with file and block"
flip_byte "$WORK/main/data/$file" $((8192 * 3 + 5000))
flip_byte "$WORK/main/data/$file" $((8192 * 7 + 8000))
start main
expect_status 3 pitr main backup --json
expect_json "$OUT"
expect_equal page_errors "$(json "$OUT" 'd["status"]')" "status"
expect_equal "[('$file', 3), ('$file', 7)]" \
  "$(json "$OUT" 'sorted((e["path"], e["block"]) for e in d["page_errors"])')" "page errors"
damaged=$(json "$OUT" 'd["id"]')
expect_status 3 pitr main backup
expect_error "$file"

story "a file of which every page is damaged: each is listed"
stop main
cp "$WORK/main/data/$file" "$WORK/two"
start main
fill main 40000
stop main
pages=$(($(stat -c %s "$WORK/main/data/$file") / 8192))
((pages > 400)) || fail "only $pages pages"
for ((i = 0; i < pages; i++)); do flip_byte "$WORK/main/data/$file" $((8192 * i + 6000)); done
start main
expect_status 3 pitr main backup --json
expect_equal "$(seq 0 $((pages - 1)))" "$(json "$OUT" '"\n".join(str(e["block"]) for e in d["page_errors"])')" "page errors"
stop main immediate
cp "$WORK/two" "$WORK/main/data/$file"
start main

story "the backup is visible, and info says that it is damaged"
expect_status 0 pitr main info --json
expect_equal page_errors \
  "$(json "$OUT" "[b['status'] for b in d['clusters'][0]['backups'] if b['id'] == '$damaged'][0]")" "status in info"
expect_status 0 pitr main info
expect_output page_errors

story "it can be restored still, byte by byte as the server had it"
restore_into main copy --target-immediate --backup "$damaged"
expect_same_file "$WORK/main/data/$file" "$WORK/copy/data/$file"
