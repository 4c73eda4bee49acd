#!/bin/bash
# A configuration that cannot be read is a configuration error: pitr 2, pitr-archive 1,
# pitr-restore 200.
source "$(dirname "$0")/lib.sh"

new_cluster main --wal-segsize=1
pitr main init >/dev/null
segment=000000010000000000000001
config=$WORK/main/pitr.toml
remember_repository main
mv "$config" "$WORK/elsewhere.toml"

refused_by_all() {
  expect_status 1 archive main "pg_wal/$segment"
  expect_error "^ERROR: .*$config"
  expect_refused 200 main "$segment" "^ERROR: .*$config"
  expect_status 2 pitr main init
  expect_error "^ERROR: .*$config"
  expect_status 2 pitr main --json init
  expect_json "$OUT"
  expect_repository_unchanged main
}

story "no file"
refused_by_all

story "a directory"
mkdir "$config"
refused_by_all
rmdir "$config"

if [[ $(id -u) != 0 ]]; then
  story "a file without permission to read"
  cp "$WORK/elsewhere.toml" "$config"
  chmod 000 "$config"
  refused_by_all
fi
