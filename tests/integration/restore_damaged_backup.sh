#!/bin/bash
# A stored backup that is damaged: status 1 and the object's name, and what was restored so far cannot
# start. Another backup still restores.
source "$(dirname "$0")/lib.sh"
export PITR_RESTORE_RETRY_TIME=2s

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
fill main 20000
backup main
good=$BACKUP
backup main
fill main 100
switch_and_wait main
stop main
folder=$(dirname "$(find "$WORK/main/repository/data" -path "*$BACKUP*" -name '*bundle*' | head -n 1)")
mkdir "$WORK/copy"
cp -r "$folder" "$WORK/whole"

# damaged WHAT: the restore fails with the object's name.
damaged() {
  story "$1"
  rm -rf "$WORK/copy/data"
  expect_status 1 pitr main restore --to "$WORK/copy/data" --backup "$BACKUP"
  expect_error "^ERROR: "
  expect_error "${2:-$(basename "$object")|$BACKUP}"
  [[ ! -d $WORK/copy/data ]] || expect_cannot_start copy
  rm -rf "$folder"
  cp -r "$WORK/whole" "$folder"
}

mapfile -t objects < <(find "$folder" -type f -size +10k | sort)
for object in "${objects[@]}"; do
  chmod u+w "$object"
  flip_byte "$object" $(($(size_of "$object") / 2))
  damaged "a byte is another: $(basename "$object")"
done
object=$(find "$folder" -type f -size +100k | head -n 1)
truncate -s -1000 "$object"
damaged "truncated"
: >"$object"
damaged "empty"
rm "$object"
damaged "missing"
mapfile -t two < <(find "$folder" -type f -name '*bundle*' | sort | head -n 2)
mv "${two[0]}" "$WORK/swap"
mv "${two[1]}" "${two[0]}"
mv "$WORK/swap" "${two[1]}"
object=${two[0]}
damaged "two objects swapped"

story "a damaged backup is left out of the plan or fails; the other one restores"
list=$(find "$WORK/main/repository/backup" -type f -name "$BACKUP*" | head -n 1)
chmod u+w "$list"
flip_byte "$list" $(($(size_of "$list") - 20))
rm -r "$WORK/main/state" # what pitr knows of it by heart
expect_status 0 pitr main info --json
expect_json "$OUT"
expect_equal True "$(json "$OUT" 'd["clusters"][0]["status"] != "ok" and d["clusters"][0]["problems"] != []')" \
  "info says that something is wrong"
expect_status 0 pitr main info
expect_output "$BACKUP"
rm -rf "$WORK/copy"
restore_into main copy --backup "$good"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 20100 "$(sql copy 'SELECT count(*) FROM filled')" "rows"
expect_sound copy
