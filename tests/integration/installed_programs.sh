#!/bin/bash
# What `cmake --install` puts down works from there: the programs PostgreSQL calls need no library at all,
# the example configuration is valid, systemd accepts the units and their commands exist.
# shellcheck disable=SC2034 # lib.sh reads it: the build folder's owner installs
RUN_AS_ROOT=1
source "$(dirname "$0")/lib.sh"
! has_sanitizers || skip "for programs without sanitizers"
[[ -e $PITR_BIN/cmake_install.cmake ]] || skip "PITR_BIN is not a build folder"
stage=$WORK/stage/usr
DESTDIR=$WORK/stage cmake --install "$PITR_BIN" --prefix /usr >"$WORK/install.log" 2>&1 || fail "$(cat "$WORK/install.log")"
chmod -R go+rX "$WORK/stage"

story "three programs that say who they are"
for program in pitr pitr-archive pitr-restore; do
  expect_status 0 "$stage/bin/$program" --version
  expect_output "^$program "
done

story "pitr-archive and pitr-restore open no library, and hold no RocksDB, TLS or HTTP"
if ! grep -q '^PITR_SANITIZE:STRING=.' "$PITR_BIN/CMakeCache.txt"; then
  for program in pitr-archive pitr-restore; do
    expect_equal "" "$(readelf -d "$stage/bin/$program" | grep NEEDED || true)" "libraries of $program"
    expect_equal "" "$(strings -a "$stage/bin/$program" | grep -iE 'rocksdb|SSL_CTX|libcurl' || true)" "in $program"
  done
fi

story "a server archives and recovers with them"
new_cluster main --wal-segsize=1
PITR_BIN=$stage/bin
settings main "archive_command = '$stage/bin/pitr-archive --config $WORK/main/pitr.toml %p'"
expect_status 0 pitr main init
start main
backup main
sql main 'CREATE TABLE log AS SELECT 1 AS n'
switch_and_wait main
restore_into main copy --action promote
expect_output_in() { grep -q -- "$2" "$1" || fail "\"$2\" is not in $1"; }
expect_output_in "$WORK/copy/data/postgresql.auto.conf" "$stage/bin/pitr-restore"
start_copy copy
wait_until 30 "the end of recovery" out_of_recovery copy
expect_equal 1 "$(sql copy 'SELECT n FROM log')" "rows"
stop copy

story "the example configuration is valid, and each page of the manual is one"
example=$(find "$stage" -name pitr.example.toml)
as_postgres cp "$example" "$WORK/example.toml"
as_postgres chmod 600 "$WORK/example.toml"
expect_status 1 as_postgres "$stage/bin/pitr" --config "$WORK/example.toml" info --log-level debug
expect_error "^ERROR: .*/srv/pitr"
for page in "$stage"/share/man/man?/*; do
  mandoc -T lint -W error "$page" >"$WORK/lint" 2>&1 || fail "$(cat "$WORK/lint")"
done

story "systemd accepts the units, and the commands in them are known to the programs"
units=$(find "$stage" -name '*.service' -o -name '*.timer')
[[ $(wc -l <<<"$units") -ge 8 ]] || fail "units: $units"
mkdir "$WORK/units"
for unit in $units; do
  sed "s|^ExecStart=[^ ]*/\(pitr[a-z-]*\)|ExecStart=$stage/bin/\1|" "$unit" >"$WORK/units/$(basename "$unit")"
done
if command -v systemd-analyze >"$WORK/where"; then
  systemd-analyze verify --man=no "$WORK"/units/* >"$WORK/verify" 2>&1 || fail "$(cat "$WORK/verify")"
  expect_equal "" "$(grep "$WORK/units" "$WORK/verify" || true)" "what systemd-analyze says"
  for unit in "$WORK"/units/*.service; do
    systemd-analyze security --offline=true --threshold=25 --no-pager "$unit" >"$WORK/security" 2>&1 ||
      fail "$(basename "$unit") may do too much: $(tail -n 1 "$WORK/security")"
  done
fi
grep -h '^ExecStart=' "$WORK"/units/*.service | sed 's/^ExecStart=//' | while read -r command; do
  # Every option is known: help is what is asked for then.
  # shellcheck disable=SC2086 # a command line
  expect_status 0 $command --help
done
