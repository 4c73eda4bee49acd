#!/bin/bash
# A wrong configuration is refused in words, by each program with its status for that: pitr 2,
# pitr-archive 1, pitr-restore 200; nothing is stored or restored.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
start main
archive_segments main 1
stop main
segment=$SEGMENT
config=$WORK/main/pitr.toml
cp "$config" "$WORK/good.toml"
remember_repository main

# refused_by_all PATTERN…: each program must say every one of them.
refused_by_all() {
  local pattern
  expect_status 2 pitr main init
  for pattern; do expect_error "$pattern"; done
  expect_error "^ERROR: "
  expect_status 1 archive main "pg_wal/$segment"
  for pattern; do expect_error "$pattern"; done
  expect_refused 200 main "$segment" "^ERROR: "
  for pattern; do expect_error "$pattern"; done
  expect_repository_unchanged main
}

# line TEXT: the number of its line, as a message has it.
line() { grep -nF -- "$1" "$config" | tail -n 1 | cut -d: -f1; }

# with_lines DESCRIPTION LINES PATTERN…: the good configuration with lines added at the end.
with_lines() {
  story "$1"
  { cat "$WORK/good.toml"; printf '\n%b\n' "$2"; } >"$config"
  shift 2
  refused_by_all "$@"
}

# instead DESCRIPTION OLD NEW PATTERN…: the good configuration with a line replaced.
instead() {
  story "$1"
  sed "s|^$2.*|$3|" "$WORK/good.toml" >"$config"
  local number
  number=$(line "$3")
  shift 3
  refused_by_all "pitr.toml:$number" "$@"
}

instead "an unknown key: file and line" compression 'compresion = "lz4"' 'compresion'
instead "a wrong type" compression 'compression = 4' 'compression' 'xpected'
instead "a value that is none" compression 'compression = "gzip"' gzip 'lz4'
instead "a level that is none" compression 'compression = "zstd:99"' 'zstd:99'
instead "no TOML at all" compression 'compression = ' 'ERROR'
with_lines "an unknown section: the nearest known one" '[archve]\njobs = 2' archve 'HINT: .*archive'
with_lines "an unknown key in a section" '[archive]\njobz = 2' 'jobz'
with_lines "an impossible number" '[archive]\njobs = -1' 'jobs'
with_lines "encryption: not in this version" '[encryption]\nkey_file = "/etc/key"' \
  'encryption' 'not available in this version'
for scheme in s3 azure gs sftp; do
  instead "$scheme: not in this version" url "url = \"$scheme://bucket/pitr\"" \
    'not available in this version'
done
story "several repositories: not in this version"
sed 's/^\[repository\]/[[repository]]/' "$WORK/good.toml" >"$config"
refused_by_all 'repositories' 'not available in this version'
instead "a url of no kind" url 'url = "ftp://host/pitr"' 'ftp'
instead "a path that is no url" url 'url = "/srv/pitr"' 'file://'
instead "a relative data directory" data_directory 'data_directory = "data"' 'data_directory'

story "a configuration that everyone may write, since it decides what is run and stored where"
cp "$WORK/good.toml" "$config"
chmod 666 "$config"
refused_by_all "$config" 'chmod'
chmod 600 "$config"

story "a wrong value in the environment names its variable"
export PITR_REPOSITORY_COMPRESSION=gzip
refused_by_all PITR_REPOSITORY_COMPRESSION
unset PITR_REPOSITORY_COMPRESSION
export PITR_RESTORE_RETRY_TIME=soon
refused_by_all PITR_RESTORE_RETRY_TIME
unset PITR_RESTORE_RETRY_TIME

export PITR_ENCRYPTION_KEY_FILE=/k
refused_by_all PITR_ENCRYPTION_KEY_FILE
unset PITR_ENCRYPTION_KEY_FILE

story "a variable that means nothing is told, and stops nothing; an empty PITR_CONFIG names no file"
PITR_RETENTION_DAY=3 expect_status 0 pitr main info
expect_error '^WARNING: .*PITR_RETENTION_DAY means nothing. .*PITR_RETENTION_DAYS'
PITR_ELSEWHERE_DAY=3 PITR_CONFIG='' expect_status 0 pitr main info
expect_no_error .

story "option before environment before file, and no file at all where the environment suffices"
run() { (cd "$WORK/main/data" && as_postgres env "$@"); }
expect_status 0 run PITR_CONFIG="$config" "$PITR_BIN/pitr-archive" "pg_wal/$segment"
expect_status 0 run PITR_CONFIG=/nowhere.toml "$PITR_BIN/pitr-archive" --config "$config" "pg_wal/$segment"
expect_status 1 run PITR_CONFIG=/nowhere.toml "$PITR_BIN/pitr-archive" "pg_wal/$segment"
expect_error /nowhere.toml
expect_status 1 run PITR_CONFIG="$config" PITR_REPOSITORY_URL="file://$WORK/nowhere" \
  "$PITR_BIN/pitr-archive" "pg_wal/$segment"
expect_error "$WORK/nowhere"
if [[ ! -e /etc/pitr/pitr.toml ]]; then
  expect_status 0 run PITR_CLUSTER_NAME=main PITR_CLUSTER_DATA_DIRECTORY="$WORK/main/data" \
    PITR_REPOSITORY_URL="file://$WORK/main/repository" PITR_STATE_DIRECTORY="$WORK/main/state" \
    "$PITR_BIN/pitr-archive" "pg_wal/$segment"
  expect_status 1 run "$PITR_BIN/pitr-archive" "pg_wal/$segment"
  expect_error "^ERROR: "
fi
expect_repository_unchanged main
