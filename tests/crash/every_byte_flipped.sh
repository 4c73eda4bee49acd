#!/bin/bash
# Bytes of stored files are inverted one after the other: pitr verify finds each of them, and neither
# pitr-restore nor pitr restore ever hands on what was damaged.
#     LONG=1     every byte of small files; without it a sample of each
source "$(dirname "$0")/crash_lib.sh"

small_cluster main
sql main 'CREATE TABLE rows AS SELECT generate_series(1, 100) AS n'
backup main
switch_and_wait main
crash main
touch "$WORK/main/data/standby.signal"
start main
promote main
wait_until 30 "the end of recovery" out_of_recovery main
switch_and_wait main
sql main 'INSERT INTO rows SELECT generate_series(1, 100)'
switch_and_wait main
stop main
cp -a "$WORK/main/repository" "$WORK/whole"
# Without a catalog, so that only contents count.
export PITR_STATE_DIRECTORY=$WORK/no_state
expect_status 0 pitr main verify

# flips FILE COUNT: positions, first and last among them; all of a small file with LONG=1.
flips() {
  local size
  size=$(size_of "$1")
  python3 - "$size" "$2" "${LONG:-0}" <<'PY'
import random, sys
size, count, long = map(int, sys.argv[1:])
if size <= 20000 and long:
    print(*range(size), sep="\n")
else:
    random.seed(size)
    some = random.sample(range(size), min(size, count * (10 if long else 1)))
    print(*sorted({0, size - 1, *some}), sep="\n")
PY
}

TRIED=0
# damage FILE COUNT VERIFY-OPTIONS -- command…: whatever the command says, it must not succeed.
damage() {
  local file=$1 count=$2 options=() position status
  shift 2
  while [[ $1 != -- ]]; do options+=("$1") && shift; done
  shift
  story "${file#"$WORK/main/repository/"}"
  cp "$file" "$WORK/kept"
  while read -r position; do
    flip_byte "$file" "$position"
    status=0
    pitr main verify --jobs 1 "${options[@]}" >"$OUT" 2>"$ERR" || status=$?
    [[ $status == 3 ]] || fail "byte $position of $file: verify ends with $status
$(cat "$OUT" "$ERR")"
    if (($#)); then
      status=0
      "$@" >"$OUT" 2>"$ERR" || status=$?
      [[ $status != 0 ]] || fail "byte $position of $file: \"$*\" succeeds"
      rm -rf "$WORK/fetched" "$WORK/restored"
    fi
    TRIED=$((TRIED + 1))
    cp "$WORK/kept" "$file"
  done < <(flips "$file" "$count")
}

repository=$WORK/main/repository
# Its contents as they were are no harm: a byte of the trailer may be one that recovery does not need.
fetched() { fetch main "$1" "$WORK/fetched" && ! cmp -s "$WORK/fetched" "$WORK/good"; }
restored() { pitr main restore --to "$WORK/restored" --target-immediate; }

damage "$(find "$repository/cluster" -type f)" 20 --wal --
fetch main 00000002.history "$WORK/good" 2>/dev/null
damage "$(find "$repository/history" -type f)" 40 --wal -- fetched 00000002.history
damage "$(stored main '*.backup')" 40 --wal --
damage "$(find "$repository/map" -type f | head -n 1)" 20 --wal --
segment=$(find "$repository/wal" -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' | sort | head -n 1)
fetch main "${segment##*/}" "$WORK/good" 2>/dev/null
damage "$segment" 40 --wal -- fetched "${segment##*/}"
id=$BACKUP
damage "$(find "$repository/backup" -type f)" 25 --backup "$id" -- restored
damage "$repository/data/$(ls "$repository/data")/$id/backup_label" 10 --backup "$id" --
damage "$repository/data/$(ls "$repository/data")/$id/backup_manifest" 10 --backup "$id" -- restored
damage "$(find "$repository/data" -name 'bundle-*' -size +100k | sort | head -n 1)" 15 --backup "$id" -- restored
story "the segment where the timeline changes is missing"
mv "$(find "$repository/wal" -type f -name '00000002*' | sort | head -n 1)" "$WORK/kept"
expect_status 3 pitr main verify --wal --json
expect_equal "['gap']" "$(json "$OUT" 'sorted({p["kind"] for p in d["problems"]})')" "kinds of problems"
mv "$WORK/kept" "$(dirname "$(find "$repository/wal" -type f -name '00000002*' | head -n 1)")/$(
  cd "$WORK/whole" && find wal -type f -name '00000002*' | sort | head -n 1 | sed 's|.*/||')"
echo "$TRIED bytes inverted"
diff -r "$WORK/whole" "$repository" || fail "the test did not put everything back"
expect_status 0 pitr main verify
