#!/bin/bash
# pitr verify finds every kind of damage, says which moments it costs, ends with 3, and is content
# with a repository that is whole. Each consequence is tried: what it calls lost cannot be planned.
source "$(dirname "$0")/lib.sh"

moment() { sql main 'SELECT clock_timestamp()'; }
commit() { sql main "INSERT INTO log VALUES ('$1')"; }

new_cluster main --wal-segsize=1
settings main 'fsync = off'
pitr main init >/dev/null
start main
sql main 'CREATE TABLE log (word text)'
backup main
first=$BACKUP
commit early
early=$(moment)
commit early_too
switch_and_wait main
fill main 4000
switch_and_wait main
inside=$SEGMENT # between the two backups
commit inside
lost=$(moment)
switch_and_wait main
after=$SEGMENT
commit last_before
backup main --label second
second=$BACKUP
commit late
late=$(moment)
fill main 3000
switch_and_wait main
commit end
switch_and_wait main
stop main

cp -a "$WORK/main/repository" "$WORK/whole"
cp -a "$WORK/main/state" "$WORK/state"
again() {
  chmod -R u+rwX "$WORK/main/repository"
  rm -rf "$WORK/main/repository" "$WORK/main/state"
  cp -a "$WORK/whole" "$WORK/main/repository"
  cp -a "$WORK/state" "$WORK/main/state"
}

# found KIND OBJECT CONSEQUENCE [options]: among the problems there is one like this (extended regular
# expressions), and every problem has all four of its fields.
found() {
  local kind=$1 object=$2 consequence=$3
  shift 3
  expect_status 3 pitr main verify --json "$@"
  expect_json "$OUT"
  python3 - "$OUT" "$kind" "$object" "$consequence" <<'PY' || fail "no such problem: $kind, $object, $consequence: $(cat "$OUT")"
import json, re, sys
document = json.load(open(sys.argv[1]))
assert document["format"] == 1 and document["status"] == "damaged", "status"
for problem in document["problems"]:
    assert all(problem[key] for key in ("kind", "object", "detail", "consequence")), problem
sys.exit(not any(p["kind"] == sys.argv[2] and re.search(sys.argv[3], p["object"]) and
                 re.search(sys.argv[4], p["consequence"]) for p in document["problems"]))
PY
  again
}

in_between="targets between .* and .* on timeline 1 cannot be reached"

story "whole: status 0, nothing found, everything counted"
expect_status 0 pitr main verify --json
expect_json "$OUT"
expect_equal "ok 0" "$(json "$OUT" 'd["status"], len(d["problems"])' | tr -d "(,')")" "answer"
expect_equal "$(find "$WORK/whole/wal" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' | wc -l)" \
  "$(json "$OUT" 'd["checked"]["segments"]')" "segments"
expect_status 0 pitr main verify
expect_output "all is well"
expect_status 0 pitr main verify --sample 20%
expect_status 0 pitr main verify --wal
expect_status 0 pitr main verify --backup "$second" --json
expect_equal "$(json <(pitr main info --json) \
  "[b['size_bytes'] for b in d['clusters'][0]['backups'] if b['id'] == '$second'][0]")" \
  "$(json "$OUT" 'd["checked"]["bytes"]')" "bytes of a backup"

story "a byte of a segment flipped: the moments from the commit before it to the next backup are lost"
file=$(stored main "$inside")
flip_byte "$file" $(($(size_of "$file") / 3))
pitr main verify --wal >"$OUT" 2>&1 && fail "nothing was found"
grep -qE "$in_between" "$OUT" || fail "no consequence: $(cat "$OUT")"
found corrupt "$inside\$" "$in_between"

story "truncated, emptied, replaced by zeros"
truncate -s $(($(size_of "$file") / 2)) "$(stored main "$inside")"
found corrupt "$inside\$" "$in_between"
: >"$(stored main "$inside")"
found corrupt "$inside\$" "$in_between"
head -c 1000 /dev/zero >"$(stored main "$inside")"
found corrupt "$inside\$" "$in_between"

story "two segments swapped"
mv "$(stored main "$inside")" "$WORK/kept"
mv "$(stored main "$after")" "$(dirname "$(stored main "$after")")/$inside"
mv "$WORK/kept" "$(dirname "$(stored main "$inside")")/$after"
found foreign "$inside\$" "$in_between"

story "a segment of another cluster, and names that nobody asks for"
new_cluster other --wal-segsize=1
pitr other init >/dev/null
start other
fill other 20000
switch_and_wait other
stop other
if foreign=$(stored other "$inside") && [[ -n $foreign ]]; then
  cp "$foreign" "$(stored main "$inside")"
else
  cp "$(stored other "$SEGMENT")" "$(stored main "$inside")"
fi
found foreign "$inside\$" "$in_between"
echo rubbish >"$(dirname "$(stored main "$inside")")/rubbish"
found foreign "/rubbish\$" "no moment is lost"
cp "$(stored main "$inside")" "$(dirname "$(stored main "$inside")")/0000000900000000000000$(printf %02X 7)"
found foreign "/000000090000000000000007\$" "no moment is lost"

story "a segment is missing in the middle: a gap; what it costs cannot be planned, the rest can"
rm "$(stored main "$inside")"
expect_status 3 pitr main restore --dry-run --target-time "$lost"
expect_status 0 pitr main restore --dry-run --target-time "$early"
expect_status 0 pitr main restore --dry-run --target-time "$late"
found gap "$inside\$" "$in_between"
rm "$(stored main "$inside")"
found not_in_repository "$inside\$" "$in_between"

story "a file that cannot be read"
chmod 000 "$(stored main "$inside")"
found unreadable "$inside\$" "$in_between"

story "a backup without its WAL"
start_segment=$(json <(pitr main info --json) \
  "[b['first_segment'] for b in d['clusters'][0]['backups'] if b['id'] == '$second'][0]")
rm "$(stored main "$start_segment")"
found wal_missing "$second\$" "backup $second cannot be restored"

story "a backup's manifest, a bundle, a chunk; flipped, truncated, swapped, missing"
manifest=$WORK/main/repository/backup/$(ls "$WORK/main/repository/backup")/$first
flip_byte "$manifest" $(($(size_of "$manifest") / 3))
found corrupt "/$first\$" "backup $first cannot be restored"
rm "$manifest"
found not_in_repository "/$first\$" "backup $first cannot be restored"
objects=$WORK/main/repository/data/$(ls "$WORK/main/repository/data")/$first
bundle=$(find "$objects" -name 'bundle-*' -size +100k | sort | head -n 1)
bundle=${bundle##*/}
flip_byte "$objects/$bundle" 50000
found corrupt "$first/$bundle\$" "backup $first cannot be restored"
truncate -s 60000 "$objects/$bundle"
found corrupt "$first/$bundle\$" "moments|targets" --backup "$first"
rm "$objects/$bundle"
found missing "$first/$bundle\$" "backup $first cannot be restored"
another=$(find "$objects" -name 'bundle-*' | sort | tail -n 1)
cp "$another" "$objects/$bundle"
found foreign "$first/$bundle\$" "backup $first cannot be restored"
rm "$objects/backup_manifest"
found missing "$first/backup_manifest\$" .

story "the trailer of a segment, section by section"
for back in 40 100 200 400 700 1000 1400; do
  file=$(stored main "$inside")
  flip_byte "$file" $(($(size_of "$file") - back))
  found corrupt "$inside\$" . --wal
done

story "without a catalog a lost manifest is still missed"
rm -rf "$WORK/main/state" "$manifest"
found missing "/$first\$" "backup $first cannot be restored"
rm -rf "$WORK/main/state" "$manifest"
start main
backup main
[[ -e $objects/$bundle ]] || fail "a backup removed the data of one that was published"
stop main
again

story "a row of the catalog without a file, a file without a row"
rm -rf "$WORK/main/state"
pitr main catalog rebuild >/dev/null
last=$(find "$WORK/main/repository/wal" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' | sort | tail -n 1)
mv "$last" "$WORK/last"
rm -rf "$WORK/main/state"
pitr main catalog rebuild >/dev/null
mv "$WORK/last" "$last"
found not_in_catalog "/${last##*/}\$" "no moment is lost"
rm "$last"
found not_in_repository "/${last##*/}\$" "targets after .* cannot be reached"

story "without a catalog nothing is compared with it"
rm -rf "$WORK/main/state"
expect_status 0 pitr main verify
again

story "a repository that is gone is no finding: 1"
mv "$WORK/main/repository" "$WORK/away"
expect_status 1 pitr main verify
expect_error "^ERROR: "
mv "$WORK/away" "$WORK/main/repository"

story "wrong usage"
for words in "--sample 0%" "--sample 5" "--sample 101%" "--sample x%" "--rate-limit x" "--rate-limit 0" "--backup nosuch" "--jobs 0"; do
  # shellcheck disable=SC2086 # two words
  expect_status 2 pitr main verify $words
done
