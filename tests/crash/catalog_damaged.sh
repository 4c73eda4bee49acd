#!/bin/bash
# Whatever happened to the files of the catalog: info, backup and rebuild work, and give the same answer
# as with no catalog.
source "$(dirname "$0")/crash_lib.sh"

small_cluster main
archive_segments main 2
backup main
archive_segments main 1
expect_status 0 pitr main catalog rebuild
backup main
archive_segments main 1 # a journal, too
cp -a "$WORK/main/state" "$WORK/state"
remember_answer main
files=$(cd "$WORK/state" && find catalog -type f | sort)
grep -q '\.sst$' <<<"$files" || fail "the catalog has no table file to damage"

# Each damages a file.
inverted_bytes() {
  local size position
  size=$(size_of "$1")
  for ((position = 0; position < size; position += 1 + size / 20)); do flip_byte "$1" "$position"; done
}
last_byte_inverted() { [[ ! -s $1 ]] || flip_byte "$1" $(($(size_of "$1") - 1)); }
middle_byte_inverted() { [[ ! -s $1 ]] || flip_byte "$1" $(($(size_of "$1") / 2)); }
removed() { rm "$1"; }
emptied() { truncate -s 0 "$1"; }
halved() { truncate -s $(($(size_of "$1") / 2)) "$1"; }
garbage() { head -c 5000 /dev/urandom >"$1"; }
a_folder() { rm "$1" && mkdir "$1"; }
unreadable() { chmod 000 "$1"; }

# damaged_state COMMAND…: main's state is what it was, and the command damages it.
damaged_state() {
  chmod -R u+rwX "$WORK/main/state"
  rm -rf "$WORK/main/state"
  cp -a "$WORK/state" "$WORK/main/state"
  (cd "$WORK/main/state" && "$@")
}

# still_right WHAT COMMAND…
still_right() {
  local what=$1
  shift
  damaged_state "$@"
  expect_answer main "$what"
  expect_status 0 pitr main catalog rebuild
  expect_answer main "$what, and rebuilt"
  if [[ $BACKUPS == 1 ]]; then
    damaged_state "$@"
    backup main
    wait_until 10 "everything archived" nothing_to_archive main
    remember_answer main
    expect_answer main "$what, and a backup after it"
  fi
}

BACKUPS=0
for damage in inverted_bytes last_byte_inverted middle_byte_inverted removed emptied halved garbage a_folder unreadable; do
  story "$damage, file by file"
  for file in $files; do still_right "$file $damage" "$damage" "$file"; done
done

BACKUPS=1
all() { local file; for file in $files; do "$1" "$file"; done; }
for damage in inverted_bytes removed emptied garbage; do
  story "$damage, every file"
  still_right "every file $damage" all "$damage"
done
story "a table file, in the middle, and a backup with what is left"
for file in $files; do
  [[ $file != *.sst ]] || still_right "$file middle_byte_inverted" middle_byte_inverted "$file"
done
story "a file or an empty folder in the catalog's place, garbage beside it"
still_right "a file" sh -c 'rm -r catalog; echo garbage >catalog'
still_right "an empty folder" sh -c 'rm -r catalog/*'
still_right "garbage in the lock file and the journal" sh -c \
  'head -c 3000 /dev/urandom >catalog.lock; head -c 3000 /dev/urandom >journal'
still_right "a journal half taken" sh -c 'cp journal journal.taken; truncate -s 100 journal.taken'

story "a link to a volume that is not mounted is left alone, and nobody who reads minds"
damaged_state sh -c 'rm -r catalog; ln -s /nowhere/catalog catalog'
expect_answer main "a dangling link"
expect_equal /nowhere/catalog "$(readlink "$WORK/main/state/catalog")" "the link"
